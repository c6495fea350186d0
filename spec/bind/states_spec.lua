-- Lua states that open and close, several at once, in a forked child; threads that the system refuses.
local child = require "support.child"

local host

local function script(code)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(code)
  f:close()
  return path
end

-- Runs the host program; returns what it printed and its exit code.
local function run(mode, code)
  local path = script(code)
  local output, exit = child.shell(("%s %s %s"):format(host, mode, path), {seconds = 100})
  os.remove(path)
  return output, exit
end

local WORK = [[
  local core = require "rlhf.core"
  local x = core.randn({40, 50}, {seed = 1}):requires_grad()
  local y = (x * 2):exp():sum()
  y:backward()
  local scope = core.scope()
  kept = {x:grad(), y, x:exp(), scope}
  co = coroutine.create(function() local s <close> = core.scope(); coroutine.yield(x * 3) end)
  coroutine.resume(co)
]]

describe("a Lua state", function()
  setup(function() host = child.host "spec/support/host.c" end)
  teardown(function() if host then os.remove(host) end end)

  it("leaves no memory behind, 200 times over", function()
    if not host then return pending "no C compiler or Lua library" end
    local output, exit = run("states 200", WORK)
    assert.equal(0, exit, output)
    assert.is_true(tonumber(output:match "grown (%-?%d+)") <= 256, output)
  end)

  it("works beside others in threads of their own", function()
    if not host then return pending "no C compiler or Lua library" end
    local output, exit = run("threads 4", WORK .. [[
      local a = core.randn({90, 70}, {seed = 2})
      local sum = a:transpose():matmul(a):sum():item()
      assert(math.abs(sum - a:transpose():matmul(a):sum():item()) == 0)
    ]])
    assert.equal(0, exit, output)
  end)

  it("computes the same in a forked child", function()
    if not host then return pending "no C compiler or Lua library" end
    local output, exit = run("fork", [[
      core = require "rlhf.core"
      core.threads(2)
      local a = core.randn({700, 300}, {seed = 1})
      function again() return a:transpose():matmul(a):sum():item() end
      again()
    ]])
    assert.equal(0, exit, output)
    local first, second = output:match "^(%S+)\n(%S+)\n$"
    assert.is_truthy(first, output)
    assert.equal(first, second)
  end)

  it("whose own allocator fails loses no tensor", function()
    if not host then return pending "no C compiler or Lua library" end
    local output, exit = run("starve", [[
      local core = require "rlhf.core"
      local values = {{1, 2, 3}, {4, 5, 6}}
      function work()
        local scope <close> = core.scope()
        local x = core.tensor(values):requires_grad()
        local y = (x * 2 + x[1]):transpose():contiguous()
        y:max(1)
        core.ops.cat({y, y}):sum():backward()
        local t, s = x:grad():totable(), tostring(y) .. y
        core.no_grad(function() x[1] = y:detach():reshape(2, 3)[2] end)
        scope:keep(x)
      end
      local blocks
      function check()
        collectgarbage()
        blocks = blocks or core.debug.blocks()
        assert(blocks == core.debug.blocks(), "blocks were left alive")
      end
      work() check() work() check()
    ]])
    assert.equal(0, exit, output)
    assert.is_true(tonumber(output:match "^(%d+) failed") > 20, output)
  end)

  it("survives finalizers that run after it was closed", function()
    local output, exit = child.run [[
      local core, x
      older = setmetatable({}, {__gc = function()
        print(select(2, pcall(core.zeros, 2)))
        print(tostring(x))
      end})
      core = require "rlhf.core"
      x = core.ones(3)
    ]]
    assert.equal(0, exit, output)
    assert.equal("rlhf is closed: its Lua state is closing\ntensor (closed)\n", output)
  end)
end)

-- In the child: limit(kib) bounds its address space to what it has and a little.
local LIMIT = [[
  local core = require "rlhf.core"
  local function limit(more)
    local status = assert(io.open "/proc/self/status", "no prlimit"):read "a"
    local pid, kib = status:match "\nPid:%s*(%d+)", status:match "VmSize:%s*(%d+)"
    assert(os.execute(("prlimit --pid %s --as=%d"):format(pid, (kib + more) * 1024)), "no prlimit")
  end
]]

describe("#limits: a product without memory for OpenBLAS's buffers", function()
  it("comes out all the same: they were mapped at load", function()
    local output, exit = child.run(LIMIT .. [[
      core.threads(1)
      local a = core.ones(600, 600)
      limit(20000)
      print(a:matmul(a)[1][1]:item())
    ]], {seconds = 20})
    if output:find "no prlimit" then return pending "no prlimit" end
    assert.equal(0, exit, output)
    assert.equal("600.0\n", output)
  end)
end)

describe("#limits: a thread that can't be made", function()
  it("is an error message, and the program goes on", function()
    local output = child.run(LIMIT .. [[
      local function work() return core.ones(100, 100):sum():item() end
      core.threads(1)
      local want = work()
      limit(1500)
      local ok, message = pcall(core.threads, 64)
      print(ok, message)
      print(core.threads(), work() == want)
    ]])
    if output:find "no prlimit" then return pending "no prlimit" end
    local ok, message, after, same = output:match "^(%w+)\t(.-)\n(%d+)\t(%S+)\n$"
    assert.equal("false", ok, output)
    assert.matches("thread", message, 1, true)
    assert.equal("1", after)
    assert.equal("true", same)
  end)
end)
