-- c/bind/b_index.c: x[i], x[i] = value, copy_, fill_.
local rlhf = require "rlhf"

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (text:gsub("^[^:]+:%d+: ", ""))
end

describe("x[i]", function()
  local x = rlhf.tensor {{1, 2, 3}, {4, 5, 6}}
  local function at(i) return function() return x[i] end end

  it("is a view that counts from 1, or from the end", function()
    assert.same({1, 2, 3}, x[1]:totable())
    assert.same({4, 5, 6}, x[-1]:totable())
    assert.same({1, 2, 3}, x[-2]:totable())
    assert.equal(6, x[2][3]:item())
    assert.same({}, x[2][3]:shape())
    assert.same({4, 5, 6}, x[2.0]:totable())
    local y = rlhf.zeros(2, 2)
    y[1]:fill_(7)
    assert.same({{7, 7}, {0, 0}}, y:totable())
  end)

  it("is nil behind the end, so that ipairs ends", function()
    assert.is_nil(x[3])
    assert.is_nil(x[100])
    local rows = {}
    for i, row in ipairs(x) do rows[i] = row:totable() end
    assert.same(x:totable(), rows)
    assert.is_nil(rlhf.zeros(0, 3)[1])
  end)

  it("raises elsewhere", function()
    assert.equal("index 0: positions count from 1 (or from the end: -1)", message(at(0)))
    assert.equal("index -3 of a tensor with 2", message(at(-3)))
    assert.equal("index 1.5: integer wanted", message(at(1.5)))
    assert.equal("index true: integer wanted", message(at(true)))
    assert.equal("a scalar tensor has no elements to index: use :item()", message(function() return x[1][1][1] end))
  end)

  it("leads gradients back", function()
    local w = rlhf.tensor({{1, 2}, {3, 4}}):requires_grad()
    w[2]:exp():sum():backward()
    local g = w:grad():totable()
    assert.same({0, 0}, g[1])
    assert.near(math.exp(4), g[2][2], 1e-5 * math.exp(4))
  end)
end)

describe("x[i] = value", function()
  it("writes numbers and tensors, broadcast", function()
    local x = rlhf.zeros(2, 3)
    x[1] = 5
    x[2] = rlhf.tensor {1, 2, 3}
    x[-1][2] = 9
    assert.same({{5, 5, 5}, {1, 9, 3}}, x:totable())
    x[1] = rlhf.tensor(4)
    x[2] = rlhf.tensor {{6}}
    assert.same({{4, 4, 4}, {6, 6, 6}}, x:totable())
    local flags = rlhf.zeros({2}, {dtype = "bool"})
    flags[2] = true
    assert.same({false, true}, flags:totable())
  end)

  it("counts the storage's version", function()
    local x = rlhf.zeros(3)
    local before = rlhf.debug.version(x)
    x[1] = 1
    x:fill_(2)
    x:copy_(rlhf.ones(3))
    assert.equal(before + 3, rlhf.debug.version(x[2]))
  end)

  it("that backward had saved is noticed", function()
    local x = rlhf.ones(2):requires_grad()
    local y = x:exp()
    y:detach()[1] = 5
    assert.equal("a value [2] that 'exp' saved for backward was changed in place afterwards",
      message(function() y:sum():backward() end))
  end)

  it("raises where it can't", function()
    local x, w = rlhf.zeros(2, 3), rlhf.ones(3):requires_grad()
    local function set(t, i, v) return function() t[i] = v end end
    assert.equal("index 3 of a tensor with 2", message(set(x, 3, 1)))
    assert.equal("index 0: positions count from 1 (or from the end: -1)", message(set(x, 0, 1)))
    assert.equal("index 'name': integer wanted", message(set(x, "name", 1)))
    assert.equal("bad argument #3 to 'newindex' (number expected, got string)", message(set(x, 1, "1")))
    assert.equal("bad argument #3 to 'newindex' (number expected, got nil)", message(set(x, 1, nil)))
    assert.equal("bad argument #3 to 'newindex' (integer expected, got number)",
      message(set(rlhf.zeros({2}, {dtype = "i64"}), 1, 0.5)))
    assert.equal("bad argument #3 to 'newindex' ([2] does not broadcast to [3])", message(set(x, 1, rlhf.ones(2))))
    assert.equal("bad argument #3 to 'newindex' (f32 wanted, got i64)", message(set(x, 1, rlhf.ones(3, {dtype = "i64"}))))
    assert.equal("bad argument #3 to 'newindex' (its gradient would be lost: use :detach())", message(set(x, 1, w)))
    assert.equal("bad argument #1 to 'newindex' (a tensor that requires a gradient is changed in place only under rlhf.no_grad)",
      message(set(w, 1, 2)))
    rlhf.no_grad(set(w, 1, 2))
    rlhf.no_grad(set(x, 1, w))
    assert.same({2, 1, 1}, w:totable())
    assert.same({2, 1, 1}, x[1]:totable())
  end)
end)

describe("copy_ and fill_", function()
  it("return the tensor and reach through views", function()
    local x = rlhf.zeros(2, 3)
    assert.equal(x, x:fill_(1))
    x:transpose():copy_(rlhf.tensor {{1, 2}, {3, 4}, {5, 6}})
    assert.same({{1, 3, 5}, {2, 4, 6}}, x:totable())
    x:transpose()[2]:fill_(0)
    assert.same({{1, 0, 5}, {2, 0, 6}}, x:totable())
    x:copy_(rlhf.tensor {7, 8, 9})
    assert.same({{7, 8, 9}, {7, 8, 9}}, x:totable())
    assert.same({0}, rlhf.zeros(0):fill_(1):shape())
  end)

  it("copy from themselves as if from a copy", function()
    local x = rlhf.tensor {{1, 2}, {3, 4}}
    x:copy_(x:transpose())
    assert.same({{1, 3}, {2, 4}}, x:totable())
    x:copy_(x[2])
    assert.same({{2, 4}, {2, 4}}, x:totable())
  end)

  it("raise where elements share memory", function()
    local shared = rlhf.zeros(1, 3):expand(2, 3)
    assert.matches("an expanded tensor can't be changed in place", message(rlhf.zeros(1).fill_, shared, 1))
    assert.equal("bad argument #2 to 'copy_' (rlhf.tensor expected, got number)", message(shared.copy_, rlhf.zeros(1), 1))
    assert.equal("bad argument #2 to 'copy_' ([2,3] does not broadcast to [3])",
      message(shared.copy_, rlhf.zeros(3), rlhf.zeros(2, 3)))
  end)
end)
