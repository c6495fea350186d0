--- Data: sources of rows, stages over them, and the formats of instruction tuning and rankings.
-- A source is a restartable object: `source(pass)` (from 1) gives a fresh iterator, a function that returns the next
-- row and nil at the end. Every stage takes a source, a list or a bare iterator (which works for one pass) first, and
-- is a source. Rows remember the file and line they came from, and messages name them.
--
--     local rows = d.shuffle(d.filter(d.jsonl "train.jsonl", function(row) return row.output ~= "" end), {seed = 1})
--     for row in rows(1) do print(d.where(row), row.instruction) end
-- @module rlhf.data
local source = require "rlhf.data.source"
local stages = require "rlhf.data.stages"

return {
  list = source.list, where = source.where,
  jsonl = require "rlhf.data.jsonl",
  map = stages.map, filter = stages.filter, take = stages.take, shuffle = stages.shuffle, split = stages.split,
  cursor = stages.cursor,
  batches = require "rlhf.data.batches",
  instructions = require "rlhf.data.instructions",
  rankings = require "rlhf.data.rankings",
  pairs = require "rlhf.data.pairs",
  prompt = require "rlhf.data.template".prompt,
}
