-- c/bind/b_scope.c: what a scope releases, when, and what it leaves alone.
local rlhf = require "rlhf"

local blocks = rlhf.debug.blocks
local function live()
  collectgarbage()
  collectgarbage()
  return blocks()
end
local function closed(x) return tostring(x) == "tensor (closed)" end

describe("a scope", function()
  it("releases at its end what was made in it, without the collector", function()
    local x = rlhf.ones(10)
    local before = live()
    collectgarbage "stop"
    local y, z
    do
      local scope <close> = rlhf.scope()
      y = x * 2
      z = y[1]
      local _, most = rlhf.randn(3, 3):max(1)
      assert.is_false(closed(y) or closed(z) or closed(most))
      assert.equal("scope (5 tensors)", tostring(scope))
    end
    collectgarbage "restart"
    assert.equal(before, blocks())
    assert.is_true(closed(y) and closed(z))
    assert.is_false(closed(x))
  end)

  it("releases when an error passes", function()
    local before = live()
    local y
    assert.has_error(function()
      local scope <close> = rlhf.scope()
      y = rlhf.ones(3)
      error "out"
    end)
    assert.is_true(closed(y))
    assert.equal(before, blocks())
  end)

  it("keeps what it is told to", function()
    local function f()
      local scope <close> = rlhf.scope()
      local a, b, c = rlhf.ones(1), rlhf.ones(2), rlhf.ones(3)
      return c, scope:keep(a, b)
    end
    local c, a, b = f()
    assert.is_true(closed(c))
    assert.same({1}, a:totable())
    assert.same({1, 1}, b:totable())
  end)

  it("hands what it keeps to the scope around it", function()
    local a, b
    do
      local outer <close> = rlhf.scope()
      do
        local inner <close> = rlhf.scope()
        a, b = rlhf.ones(1), rlhf.ones(1)
        inner:keep(a)
        outer:keep(b)
      end
      assert.is_false(closed(a) or closed(b))
    end
    assert.is_true(closed(a))
    assert.is_false(closed(b))
  end)

  it("leaves alone what it does not own", function()
    local outside = rlhf.ones(2):requires_grad()
    local gradient
    do
      local scope <close> = rlhf.scope();
      (outside * 3):sum():backward()
      gradient = outside:grad()
      scope:keep(outside)
    end
    assert.is_true(closed(gradient)) -- the handle; the gradient is the leaf's
    assert.same({3, 3}, outside:grad():totable())
  end)

  it("may be closed early and twice, in any order", function()
    local outer = rlhf.scope()
    local a = rlhf.ones(1)
    local inner = rlhf.scope()
    local b = rlhf.ones(1)
    outer:close()
    assert.is_true(closed(a))
    assert.is_false(closed(b))
    local c = rlhf.ones(1)
    inner:keep(c)
    inner:close()
    inner:close()
    assert.is_true(closed(b))
    assert.is_false(closed(c))
    assert.equal("scope (closed)", tostring(inner))
    assert.error_matches(function() inner:keep(c) end, "calling 'keep' on bad self %(attempt to use a closed scope%)")
  end)

  it("is told from other values", function()
    local scope <close> = rlhf.scope()
    assert.error_matches(function() scope.keep(io.stdout) end, "bad argument #1 to 'keep' %(rlhf.scope expected, got FILE%*%)")
    assert.error_matches(function() scope:keep(1) end, "bad argument #1 to 'keep' %(rlhf.tensor expected, got number%)")
  end)
end)

describe("coroutines", function()
  it("keep their scopes apart", function()
    local mine, theirs, later
    local co = coroutine.wrap(function()
      theirs = rlhf.ones(1)
      local scope <close> = rlhf.scope()
      later = rlhf.ones(2)
      coroutine.yield()
      later = later * 2
    end)
    do
      local scope <close> = rlhf.scope()
      co()
      mine = rlhf.ones(3)
    end
    assert.is_true(closed(mine))
    assert.is_false(closed(theirs) or closed(later))
    local after = rlhf.ones(1)
    co()
    assert.is_true(closed(later))
    assert.is_false(closed(after))
  end)

  it("by the hundred find their own", function()
    local list, made = {}, {}
    for i = 1, 200 do
      list[i] = coroutine.wrap(function()
        local scope <close> = rlhf.scope()
        for k = 1, 3 do
          made[i] = rlhf.full({1}, i)
          coroutine.yield(k)
        end
      end)
    end
    for _ = 1, 3 do
      for i = 200, 1, -1 do list[i]() end
    end
    list[7]()
    for i = 1, 200 do assert.equal(i == 7, closed(made[i])) end
    for i = 1, 200 do if i ~= 7 then list[i]() end end
    for i = 1, 200 do assert.is_true(closed(made[i])) end
  end)

  it("that are dropped take their scopes with them", function()
    local before = live()
    for _ = 1, 50 do
      local co = coroutine.create(function()
        local scope <close> = rlhf.scope()
        local x = rlhf.ones(1000)
        coroutine.yield(x)
      end)
      coroutine.resume(co)
    end
    collectgarbage()
    assert.equal(before, live())
    rlhf.ones(1) -- no scope is found at an address used again
    local x = rlhf.ones(1)
    assert.equal(before + 2, live())
    x:close()
  end)

end)

describe("a scope that is dropped", function()
  it("ends, and leaves its tensors to the collector", function()
    local before = live()
    local function f()
      rlhf.scope()
      local x = rlhf.ones(1)
      live()
      local y = rlhf.ones(1)
      assert.is_false(closed(x) or closed(y))
    end
    f()
    assert.equal(before, live())
  end)
end)
