--- What people do who rank responses: read what they type, keep where they are, say how far two of them agree.
-- Rests on rlhf.rank. examples/rank.lua is a terminal around it.
-- @module rlhf.data.judge
local core = require "rlhf.core"
local rank = require "rlhf.rank"

local M = {}

--- Reads a ranking: `2 > 1 = 4 > 3`. Every response must be in it once; `?` before a number leaves it unranked.
-- @tparam string text
-- @tparam int n how many responses there are
-- @treturn {int,...}|nil rank of each response, 1 the best, rlhf.null where unranked
-- @treturn ?string what is wrong
function M.parse(text, n)
  local ranks, place, pos = {}, 1, 1
  while true do
    local unsure, number, stop = text:match("^%s*(%??)%s*(%d+)%s*()", pos)
    local i = math.tointeger(tonumber(number))
    if not i then return nil, ("a number wanted at '%s'"):format(text:match("^%s*(.-)%s*$", pos)) end
    if i < 1 or i > n then return nil, ("%d: there are responses 1 to %d"):format(i, n) end
    if ranks[i] then return nil, ("%d stands there twice"):format(i) end
    ranks[i] = unsure == "?" and core.null or place
    if stop > #text then break end
    local sign = text:sub(stop, stop)
    if sign ~= ">" and sign ~= "=" then return nil, ("'>' or '=' wanted at '%s'"):format(text:sub(stop)) end
    if sign == ">" then place = place + 1 end
    pos = stop + 1
  end
  for i = 1, n do
    if not ranks[i] then return nil, ("%d is missing"):format(i) end
  end
  return ranks
end

--- An order in which responses are shown, by seed and prompt alone: nobody sees which came first, or from whom.
-- @tparam int n
-- @tparam int seed
-- @tparam int stream which prompt
-- @treturn {int,...} order[i] = which response is shown as number i
function M.order(n, seed, stream)
  local draws <close> = core.rand({n}, {seed = seed, stream = stream})
  local order, u = {}, draws:totable()
  for i = 1, n do order[i] = i end
  for i = n, 2, -1 do
    local j = 1 + math.floor(u[i] * i)
    order[i], order[j] = order[j], order[i]
  end
  return order
end

--- Ranks of what was shown, put back in the order of the row.
-- @tparam {int,...} shown rank of each number
-- @tparam {int,...} order as M.order gave it
-- @treturn {int,...}
function M.unshuffle(shown, order)
  local ranks = {}
  for i, original in ipairs(order) do ranks[original] = shown[i] end
  return ranks
end

-- better response -> worse response -> true, as one key of a set.
local function pair_set(ranks)
  local set = {}
  for _, pair in ipairs(rank.pairs(ranks)) do set[pair[1] .. ">" .. pair[2]] = pair end
  return set
end

--- How two people agree about one prompt: of the pairs of responses that both put in an order, how many in the same.
-- @tparam {int,...} a ranks
-- @tparam {int,...} b ranks of the same responses
-- @treturn int pairs in which they agree
-- @treturn int pairs that both ordered
function M.agreement(a, b)
  local same, both = 0, 0
  local theirs = pair_set(b)
  for key, pair in pairs(pair_set(a)) do
    if theirs[key] then same, both = same + 1, both + 1
    elseif theirs[pair[2] .. ">" .. pair[1]] then both = both + 1 end
  end
  return same, both
end

-- What one prompt's responses are, whoever ranked them.
local function identity(row)
  return core.json_encode {row.instruction, row.input or "", table.unpack(row.responses)}
end

--- Agreement over all rows that two people ranked. A person's later row of the same prompt stands for the earlier.
-- @tparam {table,...} rows `{instruction, input, responses, ranking, by}`
-- @treturn table `same`, `both` (pairs), `prompts` that two or more people ranked, `rate` = same / both, or nil
function M.agreements(rows)
  local prompts, order = {}, {}
  for _, row in ipairs(rows) do
    local key = identity(row)
    if not prompts[key] then
      prompts[key] = {names = {}, ranks = {}}
      order[#order + 1] = prompts[key]
    end
    local p, by = prompts[key], tostring(row.by or "")
    if not p.ranks[by] then p.names[#p.names + 1] = by end
    p.ranks[by] = row.ranking
  end
  local out = {same = 0, both = 0, prompts = 0}
  for _, p in ipairs(order) do
    if #p.names > 1 then out.prompts = out.prompts + 1 end
    for i = 1, #p.names do
      for j = i + 1, #p.names do
        local same, both = M.agreement(p.ranks[p.names[i]], p.ranks[p.names[j]])
        out.same, out.both = out.same + same, out.both + both
      end
    end
  end
  out.rate = out.both > 0 and out.same / out.both or nil
  return out
end

-- ---- a sitting ----

local Sitting = {}
Sitting.__index = Sitting

--- One person's way through rows. What was done is a list of answers {row, ranking}, in the order of time; `row` is the
-- row's place, `ranking` false where it was skipped.
-- @tparam {table,...} rows `{instruction, input, responses}`
-- @tparam string by who ranks
-- @tparam table done what is ranked already: rows of a file, whoever made them
-- @treturn sitting `s:current()`, `s:answer(text)`, `s:rows()`
function M.sitting(rows, by, done)
  local self = setmetatable({list = rows, by = by, others = {}, answers = {}}, Sitting)
  local mine = {}
  for _, row in ipairs(done or {}) do
    if row.by == by then mine[identity(row)] = row else self.others[#self.others + 1] = row end
  end
  for i, row in ipairs(rows) do
    local key = identity(row)
    if mine[key] then self.answers[#self.answers + 1] = {row = i, ranking = mine[key].ranking} end
    mine[key] = nil
  end
  for _, row in ipairs(done or {}) do -- of prompts that aren't among these rows
    if mine[identity(row)] == row then self.others[#self.others + 1] = row end
  end
  return self
end

-- Place of the next row without an answer, or nil.
local function next_place(self)
  local answered = {}
  for _, a in ipairs(self.answers) do answered[a.row] = true end
  for i in ipairs(self.list) do
    if not answered[i] then return i end
  end
end

--- What is to be ranked now.
-- @treturn ?table the row, nil when all is done
-- @treturn {int,...} the order in which its responses are shown
-- @treturn int its place
function Sitting:current()
  local place = next_place(self)
  if not place then return nil end
  local row = self.list[place]
  return row, M.order(#row.responses, 0, place), place
end

--- Takes what was typed: a ranking of the numbers shown, `skip`, or `undo`.
-- @tparam string text
-- @treturn true|nil
-- @treturn ?string what is wrong with it
function Sitting:answer(text)
  text = text:match "^%s*(.-)%s*$"
  if text == "undo" then
    if #self.answers == 0 then return nil, "there is nothing to undo" end
    self.answers[#self.answers] = nil
    return true
  end
  local row, order, place = self:current()
  if not row then return nil, "all is done" end
  if text == "skip" then
    self.answers[#self.answers + 1] = {row = place, ranking = false}
    return true
  end
  local shown, message = M.parse(text, #row.responses)
  if not shown then return nil, message end
  self.answers[#self.answers + 1] = {row = place, ranking = M.unshuffle(shown, order)}
  return true
end

--- All rankings, others' and own, as rows for a file. What was skipped isn't in it and comes again in the next sitting.
-- @treturn {table,...} `{instruction, input, responses, ranking, by}`
function Sitting:rows()
  local out = table.move(self.others, 1, #self.others, 1, {})
  for _, a in ipairs(self.answers) do
    local row = self.list[a.row]
    if a.ranking then
      out[#out + 1] = {instruction = row.instruction, input = row.input or "", responses = row.responses, ranking = a.ranking,
                       by = self.by}
    end
  end
  return out
end

return M
