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
  return rlhf.memory().blocks
end

local function each_sample(f)
  for _, row in ipairs(core.rows) do
    describe(row.name, function() f(row, runs.samples(row)) end)
  end
end

describe("live blocks", function()
  each_sample(function(row, list)
    it("return to where they were", function()
      for _, sample in ipairs(list) do
        runs.run(row, sample) -- what a row makes once and keeps
        local before = live()
        runs.run(row, sample)
        assert.equal(before, live(), sample.text)
      end
    end)
  end)
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
    assert.equal(before, rlhf.memory().system_calls)
  end)
end)

describe("a failed allocation", function()
  after_each(function() core.debug.fail_alloc(0) end)

  -- Fails the n-th allocation for n = 1, 2, ... until the run has none left to fail.
  local function survives(row, sample, sticky)
    local before = live()
    for n = 1, 1000 do
      core.debug.fail_alloc(n, sticky)
      local ok, message = pcall(runs.run, row, sample)
      core.debug.fail_alloc(0)
      if not ok then assert.matches("not enough memory", message, 1, true) end
      if ok then return assert.equal(before, live(), sample.text) end
    end
    error "never ran to its end"
  end

  each_sample(function(row, list)
    it("is survived", function()
      for _, sample in ipairs(list) do survives(row, sample, true) end
    end)
  end)
end)
