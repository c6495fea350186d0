-- Fails the n-th allocation of every row's sample calls, n = 1, 2, ... until none is left to fail, and
-- prints "ROW<tab>what went wrong" (nothing: all went well). Runs by itself for spec/memory_spec.lua:
-- each failure makes the binding collect, which in busted's large heap would take ten times as long.
local core = require "rlhf.core"
local runs = require "support.runs"

local function live()
  collectgarbage()
  collectgarbage()
  return core.debug.blocks()
end

-- Returns what is wrong, or nothing.
local function fail_each(row, sample, sticky)
  for n = 1, 2000 do
    core.debug.fail_alloc(n, sticky)
    local ok, message = pcall(runs.run, row, sample)
    local fired = core.debug.fail_alloc() == 0
    core.debug.fail_alloc(0)
    if not ok and not tostring(message):find("not enough memory", 1, true) then return tostring(message) end
    if not fired then return end
  end
  return "never ran to its end"
end

local function check(row)
  for _, sample in ipairs(runs.samples(row)) do
    runs.run(row, sample) -- what a row makes once and keeps
    local before = live()
    for _, sticky in ipairs {false, true} do
      local wrong = fail_each(row, sample, sticky)
      if wrong then return sample.text .. ": " .. wrong end
      local left = live() - before
      if left ~= 0 then return ("%s: %d blocks left alive"):format(sample.text, left) end
    end
  end
  return ""
end

io.stdout:setvbuf "line"
for _, row in ipairs(core.rows) do print(row.name .. "\t" .. check(row)) end
