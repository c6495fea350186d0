-- Samples several responses to each prompt, for people to rank (examples/rank.lua).
-- Usage: lua5.4 examples/collect.lua FOLDER PROMPTS.jsonl OUT.jsonl [K = 4] [MAX_PROMPTS] [MAX_NEW_TOKENS = 64] [TEMPLATE]
-- FOLDER is a model folder with a tokenizer; rows of PROMPTS.jsonl have `prompt`, or `instruction` and `input`. TEMPLATE
-- ("alpaca", "chat") is how the model was tuned; without it the prompt is continued as it stands.
-- Rows of OUT.jsonl: {instruction, input, responses}. Prompts that are in OUT.jsonl already are passed over.
local rlhf = require "rlhf"
local d = require "rlhf.data"

local folder, prompts_file, out_file = arg[1], arg[2], arg[3]
local k, most, tokens = math.tointeger(tonumber(arg[4] or 4)), tonumber(arg[5] or math.huge), math.tointeger(tonumber(arg[6] or 64))
local template = arg[7]
if not out_file or not k or k < 4 or k > 9 or not most or not tokens then
  io.stderr:write("usage: lua5.4 examples/collect.lua FOLDER PROMPTS.jsonl OUT.jsonl [K, 4 to 9] [MAX_PROMPTS] ",
    "[MAX_NEW_TOKENS] [TEMPLATE]\n")
  os.exit(2)
end

local model, tok = assert(rlhf.load(folder))
assert(tok, folder .. " has no tokenizer")

-- {instruction, input} and the text that the model continues.
local function read(row)
  local place = d.where(row)
  local instruction = row.instruction or row.prompt
  if type(instruction) ~= "string" then error(place .. ': "prompt" or "instruction" must be a string', 0) end
  local input = type(row.input) == "string" and row.input or ""
  local text = template and d.prompt({instruction = instruction, input = input}, template) or instruction
  return {instruction = instruction, input = input, text = text}
end

local there = {}
local old = io.open(out_file, "rb")
if old then
  old:close()
  for row in d.jsonl(out_file)(1) do there[row.instruction .. "\0" .. row.input] = true end
end

-- k different responses where the model has as many to give: a few rounds, each with streams of its own.
local function sample(text, place)
  local ids, seen, responses = tok:encode(text), {}, {}
  for round = 0, 3 do
    local prompts, streams = {}, {}
    for i = 1, k - #responses do
      prompts[i], streams[i] = ids, place * 64 + round * 16 + i
    end
    local lists = model:generate(prompts, {max_new_tokens = tokens, seed = 1, streams = streams})
    for _, new in ipairs(lists) do
      local response = tok:decode(new, {skip_special = true})
      if not seen[response] or round == 3 then
        seen[response] = true
        responses[#responses + 1] = response
      end
    end
    if #responses == k then return responses end
  end
end

local out = assert(io.open(out_file, "ab"))
local done, place = 0, 0
for row in d.jsonl(prompts_file)(1) do
  if done >= most then break end
  local prompt = read(row)
  place = place + 1
  if not there[prompt.instruction .. "\0" .. prompt.input] then
    done = done + 1
    local line = rlhf.json_encode {instruction = prompt.instruction, input = prompt.input, responses = sample(prompt.text, place)}
    assert(out:write(line, "\n"))
    assert(out:flush())
  end
end
assert(out:close())
print(("%d prompts with %d responses each are new in %s"):format(done, k, out_file))
