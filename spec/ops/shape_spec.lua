-- Facts about views (c/ops/shape.c): they share storage, count as string.sub does, and say what they
-- were asked for when they can't.
local rlhf = require "rlhf"
local values = require "support.values"

local function counted(...) -- 1, 2, 3, ... in this shape
  local shape = {...}
  return (rlhf.arange(values.count(shape)) + 1):reshape(shape)
end

local function escaped(n) return (("%d"):format(n):gsub("%-", "%%-")) end

describe("a view", function()
  it("takes no memory for its elements", function()
    local x = rlhf.zeros{512, 512}
    local before = rlhf.memory().in_use
    local views = {x:transpose(), x:permute{2, 1}, x:slice{dim = 1, start = 2, step = 3}, x:select(1, 5), x:expand{9, -1, -1},
      x:reshape{-1}, x:transpose():reshape{512, 8, 64}, x:squeeze(), x:unsqueeze(1), x:contiguous(), x:split({500, 12}, 2)}
    assert.equal(12, #views)
    assert.is_true(rlhf.memory().in_use - before < 12 * 1024)
  end)

  it("of any dtype shows the right elements", function()
    local x = rlhf.tensor({{1, 2, 3}, {4, 5, 6}}, {dtype = "i64"})
    assert.same({{1, 4}, {2, 5}, {3, 6}}, x:transpose():totable())
    assert.same({{4, 6}, {1, 3}}, rlhf.stack{x[2], x[1]}:slice{dim = 2, step = 2}:totable())
    local b = rlhf.tensor({{true, false}}, {dtype = "bool"})
    assert.same({{true, true}, {false, false}}, b:expand{2, 2}:transpose():totable())
  end)

  it("gets its gradient back in place, 0 where it did not look", function()
    local x = counted(3, 4):requires_grad()
    x:slice{dim = 2, start = 2, step = 2}:sum():backward()
    x:select(1, -1):sum():backward()
    assert.same({{0, 1, 0, 1}, {0, 1, 0, 1}, {1, 2, 1, 2}}, x:grad():totable())
  end)
end)

describe("slice", function()
  it("counts as string.sub does, whatever start and stop are", function()
    local text, x = "abcde", rlhf.arange(5)
    for start = -7, 7 do
      for stop = -7, 7 do
        local want = {text:sub(start, stop):byte(1, -1)}
        for i, byte in ipairs(want) do want[i] = byte - 97 + 0.0 end
        assert.same(want, x:slice(1, start, stop):totable())
      end
      assert.equal(#text:sub(start), #x:slice(1, start))
    end
    assert.same({0}, x:slice(1, math.mininteger, 1):totable())
    assert.same({}, x:slice(1, math.maxinteger):totable())
  end)

  it("takes each step-th", function()
    local x = rlhf.arange(7)
    assert.same({0, 3, 6}, x:slice{dim = 1, step = 3}:totable())
    assert.same({1, 4}, x:slice{dim = 1, start = 2, stop = -2, step = 3}:totable())
    assert.same({6}, x:slice{dim = 1, start = -1, step = math.maxinteger}:totable())
    assert.error_matches(function() return x:slice{dim = 1, step = 0} end, "step 0: 1 or more wanted")
    assert.error_matches(function() return x:slice() end, "dim wanted")
  end)
end)

describe("reshape", function()
  it("copies where no strides do, and then in row-major order", function()
    local x = counted(2, 3, 4)
    assert.same(values.flat(x:transpose(1, 2)), values.flat(x:transpose(1, 2):reshape{6, 4}))
    assert.same({{1, 13, 5, 17}, {9, 21, 2, 14}}, x:permute{3, 2, 1}:reshape{6, 4}:slice(1, 1, 2):totable())
    assert.same({1, 1, 1, 2, 2, 2}, rlhf.tensor{{1}, {2}}:expand{2, 3}:reshape{-1}:totable())
    assert.same({{1}, {3}}, counted(2, 2):slice{dim = 2, stop = 1}:reshape{2, 1}:totable())
  end)

  it("infers one size", function()
    assert.same({3, 8}, counted(2, 3, 4):reshape{-1, 8}:shape())
    assert.same({}, rlhf.zeros{1}:reshape{}:shape())
    assert.same({0, 5}, rlhf.zeros{5, 0}:reshape{-1, 5}:shape())
  end)

  it("says which shape does not become which", function()
    local x = counted(2, 3)
    for _, shape in ipairs {{4, -1}, {7}, {-1, -1}, {-2, 3}, {1 << 62, 1 << 62}} do
      assert.error_matches(function() return x:reshape(shape) end, "%[2,3%] does not reshape to %[" .. escaped(shape[1]))
    end
    assert.error_matches(function() return rlhf.zeros{0}:reshape{-1, 0} end, "does not reshape")
    assert.error_matches(function() return x:reshape{1, 1, 1, 1, 1, 1, 1, 2, 3} end, "9 dimensions: at most 8")
  end)
end)

describe("expand", function()
  it("repeats sizes of 1 and adds dimensions in front", function()
    assert.same({{1, 1}, {2, 2}}, rlhf.tensor{{1}, {2}}:expand{2, 2}:totable())
    assert.same({2, 3, 4}, rlhf.zeros{3, 1}:expand{2, -1, 4}:shape())
    assert.same({0, 2}, rlhf.zeros{2}:expand{0, 2}:shape())
  end)

  it("refuses the rest, counts too large to exist among it", function()
    local x = rlhf.zeros{2, 1}
    for _, shape in ipairs {{3, 3}, {2}, {-1, 2, 1}, {2, -3}, {1 << 40, 2, 1 << 40}} do
      assert.error_matches(function() return x:expand(shape) end, "%[2,1%] does not expand to %[" .. escaped(shape[1]))
    end
  end)
end)

describe("squeeze and unsqueeze", function()
  it("take away and put in sizes of 1", function()
    local x = rlhf.zeros{1, 3, 1}
    assert.same({3}, x:squeeze():shape())
    assert.same({1, 3}, x:squeeze(-1):shape())
    assert.same({1, 3, 1}, x:squeeze(2):shape())
    assert.same({1, 3, 1, 1}, x:unsqueeze(-1):shape())
    assert.same({1, 1, 3, 1}, x:unsqueeze(1):shape())
    assert.same({1}, rlhf.tensor(2.0):unsqueeze(1):shape())
    assert.error_matches(function() return rlhf.zeros{1, 1, 1, 1, 1, 1, 1, 1}:unsqueeze(1) end, "at most 8 dimensions")
  end)
end)

describe("a dimension or index that is not there", function()
  it("is named as the user counts", function()
    local x = counted(2, 3)
    assert.error_matches(function() return x:transpose(1, 3) end, "#2 to 'transpose' %(dimension 3 of a tensor with 2%)")
    assert.error_matches(function() return rlhf.zeros{3}:transpose() end, "dimension %-2 of a tensor with 1")
    assert.error_matches(function() return x:select(2, 4) end, "#2 to 'select' %(index 4 of 3 at dimension 2%)")
    assert.error_matches(function() return x:select(1, -3) end, "index %-3 of 2 at dimension 1")
    assert.error_matches(function() return x:permute{1, 1} end, "dimension 1 twice")
    assert.error_matches(function() return x:permute{1} end, "1 dimensions given for %[2,3%]")
    assert.error_matches(function() return rlhf.tensor(1.0):select(1, 1) end, "a scalar has no dimension to select from")
  end)
end)

describe("clone", function()
  it("has storage of its own, and carries the gradient", function()
    local x = counted(2, 2):requires_grad()
    local before = rlhf.memory().in_use
    local y = rlhf.zeros{512, 512}:clone()
    assert.is_true(rlhf.memory().in_use - before >= 512 * 512 * 4)
    assert.same({512, 512}, y:shape())
    x:transpose():clone():slice(1, 1, 1):sum():backward()
    assert.same({{1, 0}, {1, 0}}, x:grad():totable())
  end)
end)
