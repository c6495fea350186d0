-- busted's helper, loaded before every spec file: after each test it collects and fails the test that left
-- tensors alive which were not there before it. A spec that keeps tensors in upvalues on purpose clears
-- them in after_each. Rests on rlhf.memory(); specs that never load the library are left alone.
local busted = require "busted"

local before

local function live_blocks()
  local core = package.loaded["rlhf.core"]
  if not core or not core.memory then return nil end
  collectgarbage()
  collectgarbage()
  return core.memory().blocks
end

busted.subscribe({"test", "start"}, function()
  before = live_blocks()
  return nil, true
end)

busted.subscribe({"test", "end"}, function(element, parent, status)
  local after = status == "success" and before and live_blocks()
  if after and after > before then
    local message = ("left %d blocks of memory alive"):format(after - before)
    busted.publish({"error", "leak"}, {descriptor = "leak", name = element.name, trace = element.trace}, parent, message)
  end
  return nil, true
end)
