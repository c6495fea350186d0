-- Facts about max, min, argmax and argmin (c/ops/extreme.c): ties, nan, long lines, nothing to choose from.
local rlhf = require "rlhf"

local nan = 0 / 0

describe("max", function()
  it("of a tensor shares its gradient evenly among ties", function()
    local x = rlhf.tensor{{3, 1}, {3, 3}}:requires_grad()
    local top = x:max()
    top:backward(rlhf.tensor(6.0))
    assert.equal(3, top:item())
    assert.same({{2, 0}, {2, 2}}, x:grad():totable())
  end)

  it("along a dimension gives value and index of the first of ties, which gets the gradient", function()
    local x = rlhf.tensor{{3, 1}, {3, 2}}:requires_grad()
    local top, at = x:max(1)
    assert.same({3, 2}, top:totable())
    assert.same({0, 1}, at:totable())
    assert.equal("i64", at:dtype())
    top:sum():backward()
    assert.same({{1, 0}, {0, 1}}, x:grad():totable())
    assert.same({2, 1}, (x:max{dim = 2, keepdim = true}):shape())
  end)

  it("finds the first of ties in lines longer than a piece of work", function()
    local x = rlhf.cat{rlhf.zeros{140000}, rlhf.ones{1}, rlhf.zeros{9}, rlhf.ones{50000}}
    assert.equal(140000, x:argmax():item())
    assert.equal(0, x:argmin():item())
    local rows = rlhf.stack{x, -x}
    assert.same({140000, 0}, rows:argmax(2):totable())
    assert.same({0, 140000}, rows:argmin(2):totable())
  end)

  it("takes a nan for the largest and for the smallest, the first of them", function()
    local x = rlhf.tensor{{1, nan, 5, nan}, {4, 3, 2, 1}}
    for _, name in ipairs {"max", "min"} do
      local value, at = x[name](x, 2)
      assert.is_true(value:totable()[1] ~= value:totable()[1])
      assert.equal(1, at:totable()[1])
    end
    local columns, at = x:max(1)
    assert.same({1, 0, 0, 0}, at:totable())
    assert.equal(4, columns[1]:item())
    assert.is_true(columns[2]:item() ~= columns[2]:item())
    assert.is_true(x:max():item() ~= x:max():item())
  end)

  it("finds infinities", function()
    assert.equal(-math.huge, rlhf.tensor{-math.huge, -math.huge}:max():item())
    assert.equal(math.huge, rlhf.tensor{1, math.huge}:max():item())
  end)
end)

describe("argmax", function()
  it("without a dimension counts through the whole tensor", function()
    local x = rlhf.tensor{{1, 2, 9}, {4, 0, 6}}
    assert.equal(2, x:argmax():item())
    assert.equal(4, x:argmin():item())
    assert.same({1, 0, 0}, x:argmax(1):totable())
    assert.same({1, 1}, x:argmax{keepdim = true}:shape())
  end)
end)

describe("the largest of nothing", function()
  it("is an error that gives the shape", function()
    for _, name in ipairs {"max", "min", "argmax", "argmin"} do
      local f = rlhf[name]
      assert.error_matches(function() f(rlhf.zeros{0, 3}) end, "one element at least wanted, got %[0,3%]")
      assert.error_matches(function() f(rlhf.zeros{2, 0}, {dim = 2}) end,
        "one element at least wanted along the dimension, got %[2,0%]")
    end
  end)

  it("is fine where there is nothing to answer", function()
    assert.same({0}, (rlhf.zeros{0, 3}:max(2)):shape())
  end)
end)
