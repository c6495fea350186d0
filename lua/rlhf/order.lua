--- Orders that depend on a seed alone.
-- @module rlhf.order
local core = require "rlhf.core"

local M = {}

--- 1 to n in an order that depends on seed and stream alone.
-- @tparam int n
-- @tparam int seed
-- @tparam[opt=0] int stream such as the pass over the data
-- @treturn {int,...}
function M.permutation(n, seed, stream)
  local keys = core.rand({n}, {seed = seed, stream = stream or 0}):totable()
  local order = {}
  for i = 1, n do order[i] = i end
  table.sort(order, function(a, b) return keys[a] < keys[b] or keys[a] == keys[b] and a < b end)
  return order
end

return M
