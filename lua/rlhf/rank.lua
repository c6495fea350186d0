--- Rankings: which of several responses people prefer, and the pairs that follow from it.
-- @module rlhf.rank
local core = require "rlhf.core"

local M = {}

local function is_rank(r) return r ~= nil and r ~= core.null and r ~= false end

--- Pairs of places in a list of ranks: the better one first. Equal ranks make no pair, nor do unranked places.
-- @tparam table ranks rank of each response, smaller is better; rlhf.null = unranked
-- @tparam[opt] int n how many places there are (default #ranks)
-- @treturn table list of {better, worse}, in the order of places
function M.pairs(ranks, n)
  local list = {}
  n = n or #ranks
  for i = 1, n do
    for j = i + 1, n do
      local a, b = ranks[i], ranks[j]
      if is_rank(a) and is_rank(b) and a ~= b then list[#list + 1] = a < b and {i, j} or {j, i} end
    end
  end
  return list
end

--- The most pairs that k responses make.
function M.most_pairs(k) return k * (k - 1) // 2 end

return M
