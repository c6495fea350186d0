--- Batches: tokens laid end to end, their positions, and segments {begin, length, parent}. A token sees its
-- own segment up to itself and the whole of its segment's ancestors. No pad token is ever stored.
--
-- Fields of a batch: `ids` and `positions` [N] i64, `segments` [S,3] i64 {begin, length, parent}, all counting from 0,
-- parent -1 for none; `rows` and `targets` [M] i64: the token `targets[i]` is predicted at place `rows[i]`; `counts`:
-- how many of these each sequence (of trees: response) has; `tokens` = N, `trained` = M. `b:close()` frees it early.
-- @module rlhf.batch
local core = require "rlhf.core"
local option = require "rlhf.option"

local M = {}
local Batch = {}
Batch.__index = Batch
Batch.__name = "rlhf.batch"

-- A batch holds its tensors itself: it outlives the scope it was made in.
local function i64(list) return core.unscoped(core.tensor(list, {dtype = "i64"})) end

-- Collects what becomes the tensors of a batch.
local function builder()
  return {ids = {}, positions = {}, segments = {}, rows = {}, targets = {}, counts = {}}
end

-- Appends a segment; returns its index from 1. `before`: tokens of its ancestors (its first position).
local function add_segment(b, ids, parent, before, positions)
  local begin = #b.ids
  for i, id in ipairs(ids) do
    b.ids[begin + i] = id
    b.positions[begin + i] = positions and positions[i] or before + i - 1
  end
  b.segments[#b.segments + 1] = {begin, #ids, parent and parent - 1 or -1}
  return #b.segments
end

-- Each token of a segment is predicted from the one before it; the first from `row` (the parent's last), if any.
-- labels[i], where given, is the id to predict at i, or below 0 for none.
local function add_targets(b, ids, begin, row, labels)
  local n = #b.rows
  for i = row and 1 or 2, #ids do
    local target = labels and labels[i] or ids[i]
    if target >= 0 then
      b.rows[#b.rows + 1] = i == 1 and row or begin + i - 2
      b.targets[#b.targets + 1] = target
    end
  end
  b.counts[#b.counts + 1] = #b.rows - n
end

local function finish(b)
  return setmetatable({
    ids = i64(b.ids), positions = i64(b.positions), segments = i64(b.segments),
    rows = i64(b.rows), targets = i64(b.targets), counts = b.counts, lengths = b.lengths,
    tokens = #b.ids, trained = #b.rows,
  }, Batch)
end

local function shown(x)
  if type(x) == "table" then return #x == 0 and "an empty list" or ("a list of %d"):format(#x) end
  return type(x) == "number" and tostring(x) or type(x)
end

-- A list of whole numbers, of n of them where n is given.
local function check_list(list, n, what, level)
  if type(list) ~= "table" or #list == 0 or n and #list ~= n then
    error(("%s: a list of %s wanted, got %s"):format(what, n and n .. " whole numbers" or "token ids", shown(list)), level + 1)
  end
  for i, v in ipairs(list) do
    if math.type(v) ~= "integer" then
      error(("%s: a whole number wanted at %d, got %s"):format(what, i, shown(v)), level + 1)
    end
  end
end

local function check_lists(lists, what, level)
  if type(lists) ~= "table" or #lists == 0 then
    error(("%s: a list of lists wanted, got %s"):format(what, shown(lists)), level + 1)
  end
end

-- The s-th list of labels or positions, nil where none were given.
local function of_sequence(options, key, s, n, what, level)
  local lists = options[key]
  if not lists then return nil end
  local name = ("%s: %s of sequence %d"):format(what, key, s)
  check_list(type(lists) == "table" and lists[s], n, name, level + 1)
  return lists[s]
end

--- As sequences, in the name of another function; its errors have the level as error takes it in the caller.
-- @local
function M.from_lists(sequences, options, what, level)
  check_lists(sequences, what, level)
  local b = builder()
  for s, ids in ipairs(sequences) do
    check_list(ids, nil, ("%s: sequence %d"):format(what, s), level)
    local begin = #b.ids
    add_segment(b, ids, nil, 0, of_sequence(options, "positions", s, #ids, what, level))
    add_targets(b, ids, begin, nil, of_sequence(options, "labels", s, #ids, what, level))
  end
  return finish(b)
end

--- A batch of sequences, each a list of ids (counting from 0).
-- @tparam table sequences list of lists of ids
-- @tparam[opt] table options `labels`: a list for each sequence, label i is the id to predict at place i (usually
--   ids[i]) or -100 for none; by default every id but a sequence's first. `positions`: a list for each sequence.
-- @treturn batch
-- @raise on what is no list of lists of whole numbers, and on labels or positions of other lengths
function M.sequences(sequences, options)
  options = option.check(options, {labels = option.optional, positions = option.optional}, "rlhf.batch.sequences", 2)
  local b = M.from_lists(sequences, options, "rlhf.batch.sequences", 3)
  return b
end

-- The prompt's segment and its responses'.
local function add_tree(b, group, what, level)
  if type(group) ~= "table" then error(("%s: {prompt =, responses =} wanted, got %s"):format(what, shown(group)), level + 1) end
  check_list(group.prompt, nil, what .. ": prompt", level + 1)
  check_lists(group.responses, what .. ": responses", level + 1)
  local last = #b.ids + #group.prompt - 1
  local parent = add_segment(b, group.prompt, nil, 0)
  for r, ids in ipairs(group.responses) do
    check_list(ids, nil, ("%s: response %d"):format(what, r), level + 1)
    local begin = #b.ids
    add_segment(b, ids, parent, #group.prompt)
    add_targets(b, ids, begin, last)
  end
end

--- A batch of trees of depth 1: each prompt is computed once for all of its responses. Only the responses'
-- tokens are predicted, their first from the prompt's last.
-- @tparam table groups list of `{prompt = ids, responses = list of lists of ids}`
-- @treturn batch its `counts` has one entry for each response, in order
-- @raise on what is no such list, naming group and response
function M.trees(groups)
  check_lists(groups, "rlhf.batch.trees", 2)
  local b = builder()
  for g, group in ipairs(groups) do add_tree(b, group, "rlhf.batch.trees: group " .. g, 2) end
  return finish(b)
end

local function rows_of(x, like, what)
  if type(x) == "userdata" then x = x:totable() end
  local level = 3 -- whoever called from_padded
  what = "rlhf.batch.from_padded: " .. what
  check_lists(x, what, level)
  if like and #x ~= #like then error(("%s: %d rows wanted, got %d"):format(what, #like, #x), level) end
  for r, row in ipairs(x) do
    if type(row) ~= "table" or like and #row ~= #like[r] then
      local wanted = like and ("a row of %d"):format(#like[r]) or "a list"
      error(("%s: row %d: %s wanted, got %s"):format(what, r, wanted, shown(row)), level)
    end
  end
  return x
end

-- The real places of a row, in order.
local function places(mask)
  local list = {}
  for i, m in ipairs(mask) do
    if m == true or m ~= false and m ~= 0 then list[#list + 1] = i end
  end
  return list
end

local function pick(row, at)
  local out = {}
  for i, place in ipairs(at) do out[i] = row[place] end
  return out
end

--- The same batch from padded rows, on whichever side the padding is.
-- @param ids [B,T] i64 tensor or list of lists
-- @param mask [B,T], 1 (or true) for real tokens
-- @tparam[opt] table options `positions` [B,T] (default: each row's real tokens counted from 0), `labels` [B,T],
--   -100 for none (default: every real id but a row's first)
-- @treturn batch
-- @raise where shapes differ, and on a row without a real token
function M.from_padded(ids, mask, options)
  options = option.check(options, {labels = option.optional, positions = option.optional}, "rlhf.batch.from_padded", 2)
  local id_rows = rows_of(ids, nil, "ids")
  local mask_rows = rows_of(mask, id_rows, "mask")
  local labels = options.labels and rows_of(options.labels, id_rows, "labels")
  local positions = options.positions and rows_of(options.positions, id_rows, "positions")
  local sequences, given = {}, {labels = labels and {}, positions = positions and {}}
  for r, row in ipairs(id_rows) do
    local at = places(mask_rows[r])
    if #at == 0 then error(("rlhf.batch.from_padded: row %d has no real token"):format(r), 2) end
    sequences[r] = pick(row, at)
    if labels then given.labels[r] = pick(labels[r], at) end
    if positions then given.positions[r] = pick(positions[r], at) end
  end
  local b = M.from_lists(sequences, given, "rlhf.batch.from_padded", 3)
  return b
end

--- Is x a batch?
-- @param x
-- @treturn boolean
function M.is(x) return getmetatable(x) == Batch end

--- Releases the batch's tensors now, not when the collector comes: `local b <close> = ...` does so too.
function Batch:close()
  for _, t in ipairs {self.ids, self.positions, self.segments, self.rows, self.targets} do t:close() end
end
Batch.__close = Batch.close

function Batch:__tostring()
  return ("batch: %d tokens in %d segments, %d predicted"):format(self.tokens, #self.segments, self.trained)
end

return M
