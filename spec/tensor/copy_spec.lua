-- Copies between views of any strides (c/tensor/copy.c), against indices worked out here: tiles and
-- their edges, every element size, dimensions that lie in memory as one.
local rlhf = require "rlhf"
local values = require "support.values"

-- The flat data of x:permute(dims), x counted 0, 1, 2, ... in this shape
local function permuted(shape, dims)
  local strides, step = {}, 1
  for d = #shape, 1, -1 do strides[d], step = step, step * shape[d] end
  local out = {}
  local function walk(depth, at)
    if depth > #dims then out[#out + 1] = at return end
    for i = 0, shape[dims[depth]] - 1 do walk(depth + 1, at + i * strides[dims[depth]]) end
  end
  walk(1, 0)
  return out
end

local function counted(shape, dtype)
  local data = {}
  for i = 1, values.count(shape) do data[i] = i - 1 end
  if dtype == "bool" then
    for i, v in ipairs(data) do data[i] = v % 3 == 0 end
  end
  return values.tensor(data, shape, dtype)
end

describe("a copy of a view", function()
  local cases = {
    {{3, 5}, {2, 1}}, {{64, 64}, {2, 1}}, {{65, 130}, {2, 1}}, {{1, 70}, {2, 1}}, {{2, 3, 4}, {3, 1, 2}},
    {{5, 70, 66}, {1, 3, 2}}, {{4, 1, 67, 3}, {3, 2, 4, 1}}, {{2, 3, 2, 3, 2}, {5, 3, 1, 4, 2}}, {{3, 4, 5}, {1, 2, 3}},
  }
  for _, case in ipairs(cases) do
    local shape, dims = case[1], case[2]
    it(("of [%s] in the order %s"):format(table.concat(shape, ","), table.concat(dims, " ")), function()
      local want = permuted(shape, dims)
      for _, dtype in ipairs {"f32", "i64", "bool"} do
        local got = values.flat(counted(shape, dtype):permute(dims):contiguous())
        for i, v in ipairs(want) do
          local wanted = v
          if dtype == "bool" then wanted = v % 3 == 0 end
          if got[i] ~= wanted then error(("%s, element %d: %s, not %s"):format(dtype, i, got[i], v)) end
        end
      end
    end)
  end

  it("repeats what is expanded, skips what is sliced away", function()
    local x = counted{4, 3}
    assert.same({0, 0, 6, 6}, values.flat(x:slice{dim = 1, step = 2}:slice{dim = 2, stop = 1}:expand{2, 2}:clone()))
    assert.same({1, 4, 7, 10, 1, 4, 7, 10}, values.flat(x:select(2, 2):expand{2, 4}:clone()))
  end)

  it("goes into a strided part too, and adds there", function()
    local x = rlhf.zeros{70, 66}:requires_grad()
    local g = rlhf.randn({66, 35}, {seed = 1})
    for _ = 1, 2 do x:slice{dim = 1, step = 2}:transpose():backward(g) end
    local want, got = g:transpose():totable(), x:grad():totable()
    for r = 1, 70 do
      for c = 1, 66 do assert(got[r][c] == (r % 2 == 1 and 2 * want[(r + 1) // 2][c] or 0)) end
    end
  end)

  it("of nothing is nothing", function()
    assert.same({0, 3}, rlhf.zeros{3, 0}:transpose():clone():shape())
  end)
end)
