-- c/bind/b_memory.c: rlhf.memory, limits, what happens when memory is short, and that Lua's collector is
-- told of tensor bytes.
local child = require "support.child"
local rlhf = require "rlhf"

local MB = 1 << 20

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (text:gsub("^[^:]+:%d+: ", ""))
end

describe("rlhf.memory", function()
  after_each(function()
    rlhf.memory {limit = math.huge}
    rlhf.debug.fail_alloc(0)
  end)

  it("tells what is held", function()
    collectgarbage()
    local before = rlhf.memory()
    local x = rlhf.zeros(1000)
    local after = rlhf.memory()
    assert.is_true(after.in_use - before.in_use >= 4000)
    assert.is_true(after.blocks > before.blocks)
    assert.is_true(after.held >= after.in_use and after.peak >= after.in_use)
    assert.equal(math.huge, after.limit)
    x:close()
    assert.equal(before.in_use, rlhf.memory().in_use)
    assert.equal("integer", math.type(rlhf.trim()))
  end)

  it("keeps to a limit", function()
    collectgarbage()
    local limit = rlhf.memory().in_use + 10 * MB
    assert.equal(limit, rlhf.memory {limit = limit}.limit)
    local text = message(rlhf.zeros, 20 * MB)
    assert.matches("^not enough memory: 80.0 MiB asked", text)
    assert.matches("limit", text)
    assert.same({2, 2}, (rlhf.ones(2) * 2):totable())
  end)

  it("collects and tries once more when memory is short", function()
    collectgarbage()
    rlhf.memory {limit = rlhf.memory().in_use + 14 * MB} -- the last result's register counts as in use
    for _ = 1, 20 do rlhf.zeros(MB) end -- 4 MiB each, all garbage
    local x = rlhf.ones(MB)
    for _ = 1, 20 do
      local _ = x * 2
    end
  end)

  it("checks what it is given", function()
    assert.equal("bad argument #1 to 'memory' (unknown option 'limits' (did you mean 'limit'?))", message(rlhf.memory, {limits = 1}))
    assert.equal("bad argument #1 to 'memory' (limit: bytes wanted (math.huge: none), got -1)", message(rlhf.memory, {limit = -1}))
    assert.equal("bad argument #1 to 'memory' (limit: bytes wanted (math.huge: none), got 'x')", message(rlhf.memory, {limit = "x"}))
    assert.equal("bad argument #1 to 'memory' (limit: bytes wanted (math.huge: none), got nan)",
      message(rlhf.memory, {limit = math.abs(0 / 0)}))
    assert.equal("bad argument #1 to 'memory' (table of options expected, got number)", message(rlhf.memory, 5))
  end)
end)

describe("rlhf.threads", function()
  local before = rlhf.threads()
  after_each(function() rlhf.threads(before) end)

  it("is set and told", function()
    assert.equal(1, rlhf.threads(1))
    assert.equal(2, rlhf.threads(2))
    assert.equal(2, rlhf.info().threads)
  end)

  it("checks what it is given", function()
    for _, wrong in ipairs {0, -1, 65, 1.5, true} do
      assert.equal(("bad argument #1 to 'threads' (threads: an integer from 1 to 64 wanted, got %s)"):format(wrong),
        message(rlhf.threads, wrong))
    end
    assert.equal("bad argument #1 to 'threads' (threads: an integer from 1 to 64 wanted, got '2')", message(rlhf.threads, "2"))
    assert.equal(before, rlhf.threads())
  end)
end)

describe("a failed allocation", function()
  after_each(function() rlhf.debug.fail_alloc(0) end)

  -- Fails the n-th allocation for n = 1, 2, ... until f has none left to fail; sticky ones stay failing.
  local function survives(f)
    f()
    for n = 1, 200 do
      collectgarbage()
      local before = rlhf.debug.blocks()
      rlhf.debug.fail_alloc(n, true)
      local ok, text = pcall(f)
      rlhf.debug.fail_alloc(0)
      collectgarbage()
      assert.equal(before, rlhf.debug.blocks(), "n = " .. n)
      if ok then return end
      assert.matches("not enough memory", text, 1, true)
    end
    error "never ran to its end"
  end

  local cases = {
    makers = function() rlhf.randn(3) rlhf.tensor {{1, 2}} rlhf.arange(3) rlhf.full({2}, 1) end,
    operations = function() local _ = rlhf.ones(2, 3) * 2 + rlhf.ones(3) end,
    results = function() rlhf.randn(3, 3):max(1) end,
    views = function() rlhf.ones(2, rlhf.ones(2, 3)[1][2]:item()):detach() end,
    writing = function()
      local x = rlhf.ones(2, 3)
      x[1] = rlhf.ones(3)
      x:transpose():fill_(2)
      x:copy_(x:transpose():contiguous():reshape(2, 3))
    end,
    backward = function() ((rlhf.ones(3):requires_grad() * 2):exp() + 1):sum():backward() end,
  }
  for name, f in pairs(cases) do
    it("in " .. name .. " leaves nothing behind", function() survives(f) end)
  end

  it("once is made good by a collection", function()
    local x = rlhf.ones(3)
    rlhf.debug.fail_alloc(1)
    assert.same({2, 2, 2}, (x * 2):totable())
    rlhf.debug.fail_alloc(1)
    assert.same({1, 1, 1}, rlhf.ones(3):totable())
  end)
end)

-- What the collector is told, in fresh interpreters: peak of pool bytes in MiB, and whether it stayed.
describe("the collector's pace", function()
  local function peak(code)
    local output, exit = child.run(code .. [[
      print(require "rlhf.core".memory().peak // (1 << 20))
    ]], {seconds = 100})
    assert.equal(0, exit, output)
    return tonumber(output)
  end

  local GARBAGE = [[
    local core = require "rlhf.core"
    for _ = 1, 300 do core.zeros(1 << 20) end -- 4 MiB each
  ]]

  it("keeps garbage within bounds", function()
    assert.is_true(peak(GARBAGE) <= 100)
    assert.is_true(peak("collectgarbage 'incremental'" .. GARBAGE) <= 100)
  end)

  it("keeps garbage within bounds among many Lua objects", function()
    local many = "keep = {} for i = 1, 200000 do keep[i] = {} end"
    assert.is_true(peak(many .. GARBAGE) <= 200)
    assert.is_true(peak("collectgarbage 'incremental'" .. many .. GARBAGE) <= 200)
  end)

  it("leaves a stopped collector alone", function()
    assert.is_true(peak [[
      collectgarbage "stop"
      local core = require "rlhf.core"
      for _ = 1, 100 do core.zeros(1 << 20) end
    ]] >= 400)
  end)

  it("costs little while much is live", function()
    local output = child.run [[
      collectgarbage "incremental" -- lua5.4's own mode is generational: there each payment is cheap
      local core = require "rlhf.core"
      keep = {}
      for i = 1, 200000 do keep[i] = {} end
      local function step()
        local list = {}
        for i = 1, 32 do list[i] = core.zeros(1 << 20) end
        for i = 1, 32 do list[i]:close() end
      end
      for _ = 1, 10 do step() end
      local cycles, watch = 0, nil
      function watch() setmetatable({}, {__gc = function() cycles = cycles + 1 watch() end}) end
      watch()
      for _ = 1, 50 do step() end
      print(cycles)
    ]]
    assert.is_true(tonumber(output) <= 10, output) -- collections in 50 steps that free what they take
  end)
end)
