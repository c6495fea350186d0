-- c/bind/b_grad.c: requires_grad, grad, backward, no_grad.
local rlhf = require "rlhf"

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (text:gsub("^[^:]+:%d+: ", ""))
end

describe("gradients", function()
  it("arrive and add up", function()
    local x = rlhf.tensor {1, 2}
    assert.equal(x, x:requires_grad())
    assert.is_nil(x:grad());
    (x * 3):sum():backward()
    assert.same({3, 3}, x:grad():totable())
    x:sum():backward()
    assert.same({4, 4}, x:grad():totable())
  end)

  it("begin with one that is given", function()
    local x = rlhf.tensor({1, 2}):requires_grad();
    (x * 2):backward(rlhf.tensor {10, 1})
    assert.same({20, 2}, x:grad():totable())
    assert.equal("bad argument #1 to 'backward' (backward from [2]: one element wanted, or a gradient given)",
      message(x.backward, x * 2))
    assert.equal("bad argument #2 to 'backward' (gradient [3] f32 of a tensor [2]: same shape and f32 wanted)",
      message(x.backward, x * 2, rlhf.ones(3)))
    assert.equal("bad argument #2 to 'backward' (rlhf.tensor expected, got number)", message(x.backward, x * 2, 1))
  end)

  it("go back twice only when told to", function()
    local x = rlhf.tensor({2}):requires_grad()
    local y = x:exp():sum()
    y:backward {retain = true}
    y:backward(nil, {retain = false})
    assert.near(2 * math.exp(2), x:grad():item(), 1e-4)
    assert.matches("backward passed 'sum' before", message(y.backward, y), 1, true)
    assert.equal("bad argument #2 to 'backward' (unknown option 'retian' (did you mean 'retain'?))",
      message(y.backward, y, {retian = true}))
    assert.equal("bad argument #2 to 'backward' (retain: true or false wanted, got number)", message(y.backward, y, {retain = 1}))
  end)

  it("are wanted of f32 leaves alone", function()
    local i = rlhf.ones(2, {dtype = "i64"})
    assert.equal("bad argument #1 to 'requires_grad' (only f32 tensors have gradients, this one is i64)", message(i.requires_grad, i))
    local x = rlhf.ones(2):requires_grad()
    assert.matches("can't stop requiring a gradient", message(x.requires_grad, x * 2, false), 1, true)
    assert.equal("bad argument #2 to 'requires_grad' (boolean expected, got string)", message(x.requires_grad, x, "no"))
    x:requires_grad(false)
    assert.is_false((rlhf.debug.requires_grad(x * 2)))
    assert.matches("backward from a tensor that no leaf", message(x.backward, x:sum()), 1, true)
  end)

  it("outlive their tensor's handle", function()
    local x = rlhf.ones(2):requires_grad()
    local y = (x * 2):sum()
    x:close()
    y:backward()
    assert.error_matches(function() x:grad() end, "attempt to use a closed tensor")
  end)

  it("of a long chain need no stack", function()
    local x = rlhf.ones(1):requires_grad()
    local y = x
    for _ = 1, 100000 do
      local longer = y + 1
      y:close()
      y = longer
    end
    y:close()
    local z = rlhf.ones(1):requires_grad()
    y = z
    for _ = 1, 20000 do y = y + 1 end
    y:backward()
    assert.equal(1, z:grad():item())
  end)
end)

describe("no_grad", function()
  local x = rlhf.ones(2):requires_grad()
  local function records() return (rlhf.debug.requires_grad(x * 2)) end

  it("records nothing, hands results through, ends with the function", function()
    assert.same({false, 1, nil, "a", n = 4}, table.pack(rlhf.no_grad(function(...) return records(), ... end, 1, nil, "a")))
    assert.is_true(records())
    assert.same({n = 0}, table.pack(rlhf.no_grad(function() end)))
  end)

  it("ends with an error too, which passes unchanged", function()
    local mine = {}
    local ok, caught = pcall(rlhf.no_grad, function() error(mine) end)
    assert.is_false(ok)
    assert.equal(mine, caught)
    assert.is_true(records())
    local co = coroutine.create(function() rlhf.no_grad(function() error "dead" end) end)
    coroutine.resume(co)
    assert.is_true(records())
  end)

  it("nests, and can't be left by a yield", function()
    rlhf.no_grad(function()
      rlhf.no_grad(function() assert.is_false(records()) end)
      assert.is_false(records())
    end)
    local co = coroutine.create(function() rlhf.no_grad(coroutine.yield) end)
    local ok, text = coroutine.resume(co)
    assert.is_false(ok)
    assert.matches("attempt to yield across a C-call boundary", text, 1, true)
    assert.is_true(records())
  end)

  it("wants a function", function()
    assert.equal("bad argument #1 to 'no_grad' (function expected, got number)", message(rlhf.no_grad, 1))
    assert.equal("bad argument #1 to 'no_grad' (function expected, got no value)", message(rlhf.no_grad))
    assert.equal(5, rlhf.no_grad(setmetatable({}, {__call = function(_, v) return v end}), 5))
  end)
end)
