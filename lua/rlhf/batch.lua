--- Batches: tokens laid end to end, their positions, and segments {begin, length, parent}. A token sees its
-- own segment up to itself and the whole of its segment's ancestors. No pad token is ever stored.
-- @module rlhf.batch
local core = require "rlhf.core"
local option = require "rlhf.option"

local M = {}
local Batch = {}
Batch.__index = Batch
Batch.__name = "rlhf.batch"

local function i64(list) return core.tensor(list, {dtype = "i64"}) end

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
  if #b.ids == 0 then error("rlhf.batch: no tokens", 3) end
  return setmetatable({
    ids = i64(b.ids), positions = i64(b.positions), segments = i64(b.segments),
    rows = i64(b.rows), targets = i64(b.targets), counts = b.counts, lengths = b.lengths,
    tokens = #b.ids, trained = #b.rows,
  }, Batch)
end

local function check_ids(ids, what, level)
  if type(ids) ~= "table" or #ids == 0 then
    error(("%s: a list of token ids wanted, got %s"):format(what, type(ids) == "table" and "an empty list" or type(ids)), level + 1)
  end
end

--- A batch of sequences, each a list of ids (counting from 0).
-- @tparam table sequences list of lists of ids
-- @tparam[opt] table options `labels`: a list for each sequence, label i is the id to predict at place i (usually
--   ids[i]) or -100 for none; by default every id but a sequence's first. `positions`: a list for each sequence.
-- @treturn batch
function M.sequences(sequences, options)
  options = option.check(options, {labels = option.optional, positions = option.optional}, "rlhf.batch.sequences", 2)
  local b = builder()
  for s, ids in ipairs(sequences) do
    check_ids(ids, "rlhf.batch.sequences: sequence " .. s, 2)
    local begin = #b.ids
    add_segment(b, ids, nil, 0, options.positions and options.positions[s])
    add_targets(b, ids, begin, nil, options.labels and options.labels[s])
  end
  return finish(b)
end

--- A batch of trees of depth 1: each prompt is computed once for all of its responses. Only the responses'
-- tokens are predicted, their first from the prompt's last.
-- @tparam table groups list of `{prompt = ids, responses = list of lists of ids}`
-- @treturn batch its `counts` has one entry for each response, in order
function M.trees(groups)
  local b = builder()
  for g, group in ipairs(groups) do
    check_ids(group.prompt, "rlhf.batch.trees: prompt " .. g, 2)
    local prompt_begin = #b.ids
    local parent = add_segment(b, group.prompt, nil, 0)
    for r, ids in ipairs(group.responses) do
      check_ids(ids, ("rlhf.batch.trees: response %d of prompt %d"):format(r, g), 2)
      local begin = #b.ids
      add_segment(b, ids, parent, #group.prompt)
      add_targets(b, ids, begin, prompt_begin + #group.prompt - 1)
    end
  end
  return finish(b)
end

local function rows_of(x, what)
  if type(x) == "userdata" then x = x:totable() end
  if type(x) ~= "table" then error(("rlhf.batch.from_padded: %s: a tensor or list of lists wanted"):format(what), 3) end
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
function M.from_padded(ids, mask, options)
  options = option.check(options, {labels = option.optional, positions = option.optional}, "rlhf.batch.from_padded", 2)
  local id_rows, mask_rows = rows_of(ids, "ids"), rows_of(mask, "mask")
  local labels = options.labels and rows_of(options.labels, "labels")
  local positions = options.positions and rows_of(options.positions, "positions")
  local sequences, given = {}, {labels = labels and {}, positions = positions and {}}
  for r, row in ipairs(id_rows) do
    local at = places(mask_rows[r] or {})
    if #at == 0 then error(("rlhf.batch.from_padded: row %d has no real token"):format(r), 2) end
    sequences[r] = pick(row, at)
    if labels then given.labels[r] = pick(labels[r], at) end
    if positions then given.positions[r] = pick(positions[r], at) end
  end
  return M.sequences(sequences, given)
end

--- Is x a batch?
function M.is(x) return getmetatable(x) == Batch end

function Batch:__tostring()
  return ("batch: %d tokens in %d segments, %d predicted"):format(self.tokens, #self.segments, self.trained)
end

return M
