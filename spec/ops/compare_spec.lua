-- Comparisons, logic, casts, where and masked_fill.
local rlhf = require "rlhf"

local inf, nan = math.huge, 0 / 0
local function i64(list) return rlhf.tensor(list, {dtype = "i64"}) end
local function bool(list) return rlhf.tensor(list, {dtype = "bool"}) end

describe("comparisons", function()
  it("answer bool tensors", function()
    local a, b = rlhf.tensor {1, 2, 3}, rlhf.tensor {2, 2, 2}
    assert.are.equal("bool", a:eq(b):dtype())
    assert.are.same({false, true, false}, a:eq(b):totable())
    assert.are.same({true, false, true}, a:ne(b):totable())
    assert.are.same({true, false, false}, a:lt(b):totable())
    assert.are.same({true, true, false}, a:le(b):totable())
    assert.are.same({false, false, true}, a:gt(b):totable())
    assert.are.same({false, true, true}, a:ge(b):totable())
  end)

  it("find nan equal to nothing", function()
    local x = rlhf.tensor {nan, 0}
    assert.are.same({false, true}, x:eq(x):totable())
    assert.are.same({true, false}, x:ne(x):totable())
    assert.are.same({false, false}, x:lt(inf):logical_and(x:ge(1)):totable())
    assert.are.same({false, true}, x:le(x):totable())
  end)

  it("are exact for integers beyond 2^53 and broadcast", function()
    local big = 2 ^ 53 // 1 | 0
    assert.are.same({{true, false}, {false, true}}, i64({{big}, {big + 1}}):eq(i64 {big, big + 1}):totable())
    assert.are.same({false, true}, i64({big, big + 1}):gt(big):totable())
    assert.are.same({0, 2}, (rlhf.zeros {0, 1}):lt(rlhf.zeros {2}):shape())
  end)

  it("refuse two dtypes", function()
    local ok, message = pcall(rlhf.eq, rlhf.tensor {1}, i64 {1})
    assert.is_false(ok)
    assert.matches("i64, but the other operand is f32", message, 1, true)
  end)
end)

describe("logic", function()
  it("works on bool tensors", function()
    local a, b = bool {{true}, {false}}, bool {true, false}
    assert.are.same({{true, false}, {false, false}}, a:logical_and(b):totable())
    assert.are.same({{true, true}, {true, false}}, a:logical_or(b):totable())
    assert.are.same({{false}, {true}}, a:logical_not():totable())
  end)

  it("isfinite tells infinities and nan from numbers", function()
    assert.are.same({true, false, false, false, true}, rlhf.tensor({0, inf, -inf, nan, 3e38}):isfinite():totable())
  end)
end)

describe("to", function()
  it("cuts towards zero, holds integers in range, makes nan 0", function()
    local x = rlhf.tensor {-1.9, 1.9, 1e30, -1e30, inf, nan}
    local want = {-1, 1, math.maxinteger, math.mininteger, math.maxinteger, 0}
    assert.are.same(want, x:to("i64"):totable())
  end)

  it("knows true from 0", function()
    assert.are.same({false, true, true}, rlhf.tensor({0, -0.5, nan}):to("bool"):totable())
    assert.are.same({false, true}, i64({0, 7}):to({dtype = "bool"}):totable())
    assert.are.same({1, 0}, bool({true, false}):to("f32"):totable())
    assert.are.same({1, 0}, bool({true, false}):to("i64"):totable())
    assert.are.same({3, -4}, i64({3, -4}):to("f32"):totable())
  end)

  it("keeps the gradient from f32 to f32 only", function()
    local x = rlhf.tensor({1, 2}):requires_grad()
    x:to("f32"):backward(rlhf.tensor {3, 4})
    assert.are.same({3, 4}, x:grad():totable())
    assert.has_error(function() x:to("i64"):backward(rlhf.tensor {1, 1}) end)
  end)
end)

describe("where and masked_fill", function()
  it("choose, broadcast, and send gradients to what was chosen", function()
    local a, b = rlhf.tensor({{1}, {2}}):requires_grad(), rlhf.tensor({5, 6, 7}):requires_grad()
    local out = rlhf.where(bool {true, false, true}, a, b)
    assert.are.same({{1, 6, 1}, {2, 6, 2}}, out:totable())
    out:backward(rlhf.tensor {{1, 2, 3}, {4, 5, 6}})
    assert.are.same({{4}, {10}}, a:grad():totable())
    assert.are.same({0, 7, 0}, b:grad():totable())
  end)

  it("keep an infinite gradient away from what was not chosen", function()
    local x = rlhf.tensor({1, 2}):requires_grad()
    x:masked_fill(bool {true, false}, 0):backward(rlhf.tensor {inf, 1})
    assert.are.same({0, 1}, x:grad():totable())
  end)

  it("work on integers", function()
    local mask = bool {true, false}
    assert.are.same({-100, 2}, i64({1, 2}):masked_fill(mask, -100):totable())
    assert.are.same({1, 9}, rlhf.where(mask, i64 {1, 2}, i64 {9}):totable())
    assert.are.same({1, 0}, rlhf.where(mask, 1, 0):totable())
  end)
end)
