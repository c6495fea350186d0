--- Scales of charts: from values to places, with round ticks. A domain is two finite numbers, the first below the
-- second and never so near it that ticks would fall together: whatever the values are, a scale divides by no zero.
-- @module rlhf.report.scale
local text = require "rlhf.report.text"

local M = {}

local HUGE, TINY = 1e300, 1e-300 -- beyond it a difference of two values may overflow; below it ticks would vanish
local NARROWEST = 1e-6 -- of the largest value: the narrowest domain, for a label can't have all digits

--- A value that can be drawn: finite numbers; those beyond 1e300 count as infinite, those below 1e-300 as 0.
-- @param v
-- @treturn ?number a float (differences of integers wrap around), nil when it can't be drawn
function M.finite(v)
  if type(v) ~= "number" or v ~= v or v > HUGE or v < -HUGE then return nil end
  return (v < TINY and v > -TINY) and 0.0 or v + 0.0
end

--- A domain that holds both values.
-- @tparam number low
-- @tparam number high not below it
-- @treturn number
-- @treturn number
function M.domain(low, high)
  low, high = low + 0.0, high + 0.0
  local largest = math.max(math.abs(low), math.abs(high))
  if high - low > largest * NARROWEST then return low, high end
  if largest == 0 then return 0.0, 1.0 end
  if high - low > 0 then return low - largest * NARROWEST, high + largest * NARROWEST end
  return math.min(0, 2 * low), math.max(0, 2 * high) -- one value alone stands in the middle, over 0
end

-- The least of 1, 2, 5 times a power of ten that isn't below x, and that power.
local function round_step(x)
  local power = math.floor(math.log(x, 10))
  for p = power - 1, power + 1 do -- the logarithm may be off by rounding
    for _, m in ipairs {1, 2, 5} do
      local step = tonumber(("%de%d"):format(m, p))
      if step >= x * (1 - 1e-9) then return step, p end
    end
  end
  return tonumber(("1e%d"):format(power + 2)), power + 2
end

local function step_of(low, high, count, whole)
  local step, power = round_step((high - low) / count)
  if whole and step < 1 then return 1, 0 end
  return step, power
end

local function ticks_of(low, high, step, power)
  local out = {power = power}
  for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do out[#out + 1] = i * step end
  return out
end

--- Round ticks within a domain.
-- @tparam number low
-- @tparam number high
-- @tparam int count how many steps there may be
-- @tparam[opt=false] boolean whole only whole numbers
-- @treturn table list of ticks with `power` (of ten, of their distance)
function M.ticks(low, high, count, whole) return ticks_of(low, high, step_of(low, high, count, whole)) end

--- A domain widened to the ticks around it.
-- @tparam number low
-- @tparam number high
-- @tparam int count how many steps there may be before it is widened
-- @tparam[opt=false] boolean whole
-- @treturn number
-- @treturn number
-- @treturn table the ticks
function M.rounded(low, high, count, whole)
  local step, power = step_of(low, high, count, whole)
  low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
  return low, high, ticks_of(low, high, step, power)
end

--- A domain that begins at 0 where the values come near it.
-- @tparam number low
-- @tparam number high
-- @treturn number
-- @treturn number
function M.with_zero(low, high)
  if low > 0 and low < 0.35 * high then low = 0 end
  if high < 0 and high > 0.35 * low then high = 0 end
  return low, high
end

local suffixes = {[3] = "k", [6] = "M", [9] = "G", [12] = "T"}

--- Labels of ticks, all with as many decimals as the step has: 0.25, 20k, 5e-5.
-- @tparam table ticks of scale.ticks
-- @treturn {string,...}
function M.labels(ticks)
  local largest = 0
  for _, t in ipairs(ticks) do largest = math.max(largest, math.abs(t)) end
  local power, suffix = 0, ""
  if largest > 0 then
    local e = math.floor(math.log(largest, 10) + 1e-9)
    if e >= 15 or e < -3 then
      power, suffix = e, "e" .. e
    elseif e >= 4 then
      power = e // 3 * 3
      suffix = suffixes[power]
    end
  end
  local unit, decimals = tonumber("1e" .. power), math.max(0, power - ticks.power)
  local out = {}
  for i, t in ipairs(ticks) do out[i] = text.tick(t, unit, decimals, suffix) end
  return out
end

--- A function from values to places.
-- @tparam number low
-- @tparam number high
-- @tparam number from place of low
-- @tparam number to place of high
-- @treturn function
function M.map(low, high, from, to)
  return function(v) return from + (v - low) / (high - low) * (to - from) end
end

return M
