-- lua/rlhf/gradcheck.lua: right gradients pass, wrong ones are named.
local core = require "rlhf.core"
local gradcheck = require "rlhf.gradcheck"

describe("gradcheck", function()
  after_each(function() core.debug.scale_gradient(nil) end)

  local function inputs() return {core.randn({3, 4}, {seed = 1}), core.randn({4}, {seed = 2})} end
  local function f(x, y) return (x * y):exp():sum(2), x:softmax() end

  it("passes what is right", function()
    assert.is_true(gradcheck(f, inputs()))
    assert.is_true(gradcheck(f, inputs(), {seed = 7}))
    assert.is_true(gradcheck(function(x) return x:exp() end, {core.full({}, 0.5)}))
    assert.is_true(gradcheck(function(x) return x:exp() end, {core.zeros(0, 3)}))
  end)

  it("notices 1 % too much, names the input and both numbers", function()
    core.debug.scale_gradient("exp", 1.01)
    local ok, message = gradcheck(f, inputs())
    assert.is_nil(ok)
    local got, want = message:match "^input 1: backward gives (%S+) along a direction, differences of forward (%S+)$"
    assert.near(1.01, got / want, 0.005)
    core.debug.scale_gradient("exp", 0.99)
    assert.is_nil(gradcheck(function(_, y) return y:exp() end, inputs()))
  end)

  it("notices a gradient that goes missing", function()
    local ok, message = gradcheck(function(x, y) return x:exp() * y:detach() end, inputs())
    assert.is_nil(ok)
    assert.matches("^input 2: backward gives 0 along", message)
  end)

  it("takes integers along and leaves the inputs as they were", function()
    local ids = core.tensor({1, 0, 2}, {dtype = "i64"})
    local x = core.randn({3, 4}, {seed = 1}):requires_grad()
    local before = x:totable()
    assert.is_true(gradcheck(function(a) return a:exp(), ids end, {x, ids}))
    assert.same(before, x:totable())
    assert.is_nil(x:grad())
  end)

  it("raises on misuse", function()
    assert.error_matches(function() gradcheck(function() return 1 end, inputs()) end, "f returned number as result 1")
    assert.error_matches(function() gradcheck(f, inputs(), {tol = 1}) end, "unknown option 'tol' %(did you mean 'tolerance'%?%)")
    assert.error_matches(function() gradcheck(f) end, "a list of inputs wanted, got nil")
  end)
end)
