-- Ranks responses at the terminal: blind, in shuffled order; saved after each prompt, goes on where it stopped.
-- Usage: lua5.4 examples/rank.lua RESPONSES.jsonl RANKINGS.jsonl NAME
-- RESPONSES.jsonl has rows {instruction, input, responses} (examples/collect.lua makes them), RANKINGS.jsonl is what a
-- reward model is trained on. Where two people ranked the same prompt (NAME is yours), how far they agree is told.
local rlhf = require "rlhf"
local d = require "rlhf.data"
local judge = require "rlhf.data.judge"

local responses_file, rankings_file, name = arg[1], arg[2], arg[3]
if not name then
  io.stderr:write "usage: lua5.4 examples/rank.lua RESPONSES.jsonl RANKINGS.jsonl NAME\n"
  os.exit(2)
end

local function read(path)
  local rows = {}
  for row in d.jsonl(path)(1) do
    if type(row.instruction) ~= "string" or type(row.responses) ~= "table" or #row.responses < 2 then
      error(d.where(row) .. ': "instruction" and two or more "responses" wanted', 0)
    end
    rows[#rows + 1] = row
  end
  return rows
end

local function exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

-- The file is the old one or the new one, never a part.
local function save(rows)
  local lines = {}
  for i, row in ipairs(rows) do lines[i] = rlhf.json_encode(row) .. "\n" end
  assert(rlhf.write_file(rankings_file, table.concat(lines)))
end

-- Text from a model could steer the terminal: control characters are shown as dots.
local function shown(text) return (text:gsub("[%c\127]", function(c) return (c == "\n" or c == "\t") and c or "." end)) end

local function show(row, order, place, total)
  print(("\n==== %d of %d ====\n%s"):format(place, total, shown(row.instruction)))
  if row.input and row.input ~= "" then print(shown(row.input)) end
  for i, original in ipairs(order) do print(("\n[%d] %s"):format(i, shown(row.responses[original]))) end
end

local rows = read(responses_file)
local sitting = judge.sitting(rows, name, exists(rankings_file) and read(rankings_file) or {})
print "Best first: 2 > 1 = 4 > 3 (= is a tie, ?3 leaves a response unranked). Or: skip, undo, quit."

local row, order, place = sitting:current()
while row do
  show(row, order, place, #rows)
  io.write "\n> "
  local typed = io.read "l"
  if not typed or typed:match "^%s*quit%s*$" then break end
  local ok, message = sitting:answer(typed)
  if ok then save(sitting:rows()) else print("not understood: " .. message) end
  row, order, place = sitting:current()
end

local all = sitting:rows()
local agreement = judge.agreements(all)
print(("\n%d rankings in %s"):format(#all, rankings_file))
if agreement.rate then
  print(("%d prompts were ranked by two or more people: they agree on %d of %d pairs (%.0f %%)")
    :format(agreement.prompts, agreement.same, agreement.both, 100 * agreement.rate))
end
