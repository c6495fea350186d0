-- Memory over all rows: nothing stays behind, nothing is asked of the system twice, and when an
-- allocation fails the call raises, leaves nothing, and the program goes on. Rests on core.debug's
-- fault injection and rlhf.memory().
local core = require "rlhf.core"
local rlhf = require "rlhf"
local runs = require "support.runs"

local function collect()
  collectgarbage()
  collectgarbage()
end

local function live()
  collect()
  return core.debug.blocks()
end

describe("live blocks", function()
  for _, row in ipairs(core.rows) do
    it("return to where they were after " .. row.name, function()
      local list = runs.samples(row)
      local function pass()
        for _, sample in ipairs(list) do runs.run(row, sample) end
      end
      pass() -- what a row makes once and keeps
      local before = live()
      pass()
      assert.equal(before, live())
    end)
  end
end)

describe("the system", function()
  it("is asked for nothing more once the largest batch has been seen", function()
    local function pass()
      for _, row in ipairs(core.rows) do
        for _, sample in ipairs(runs.samples(row)) do runs.run(row, sample) end
      end
      collect()
    end
    pass()
    local before = rlhf.memory().system_calls
    for _ = 1, 3 do pass() end
    if os.getenv "RLHF_SANITIZER" then return end -- every block comes from the system there
    assert.equal(before, rlhf.memory().system_calls)
  end)
end)

describe("a failed allocation", function()
  local pipe = assert(io.popen((os.getenv "LUA" or "lua5.4") .. " spec/support/failing_child.lua 2>&1"))
  local wrong, last = {}, nil
  for line in pipe:lines() do
    local name, what = line:match "^([%w_]+)\t(.*)$"
    if name then wrong[name] = what end
    last = line
  end
  pipe:close()

  for _, row in ipairs(core.rows) do
    it("is survived by " .. row.name, function()
      assert.equal("", wrong[row.name] or "the process ended: " .. tostring(last))
    end)
  end
end)
