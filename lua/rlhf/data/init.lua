--- Data: sources of rows, stages over them, and the formats of instruction tuning and rankings.
-- `source(pass)` starts a pass over the rows; every stage takes a source, a list or a bare iterator (which works for
-- one pass) and is a source. This module only re-exports.
-- @see rlhf.data.source.list
-- @see rlhf.data.jsonl.jsonl
-- @see rlhf.data.stages
-- @see rlhf.data.batches.batches
-- @see rlhf.data.instructions.instructions
-- @see rlhf.data.rankings.rankings
-- @see rlhf.data.pairs.pairs
-- @see rlhf.data.template.prompt
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
