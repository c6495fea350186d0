--- Series of a chart: lists `x`, `y` of equal length, where y is false for a value that is no finite number (a gap in
-- the line). Long ones are thinned without losing an extreme, noisy ones get a running mean.
-- @module rlhf.report.series
local scale = require "rlhf.report.scale"

local M = {}

local BUCKETS = 150 -- two points each: finer than a chart's pixels
local LONG = 60 -- values from which a noisy series is smoothed
local NOISY = 4 -- times its range that a series goes up and down in all

local function has_one(row, keys)
  for _, key in ipairs(keys) do
    if row[key] ~= nil then return true end
  end
  return false
end

--- The x of each row: its `step`, where all rows that have one of the keys have one that increases; else its place.
-- @tparam {table,...} rows
-- @tparam {string,...} keys
-- @treturn {number,...}
function M.places(rows, keys)
  local steps, last = {}, -math.huge
  for i, row in ipairs(rows) do
    local step = scale.finite(row.step)
    if has_one(row, keys) then
      if not step or step <= last then
        for k = 1, #rows do steps[k] = k end
        return steps
      end
      last = step
    end
    steps[i] = step or i
  end
  return steps
end

--- The series of a key. A row without the key has no point; one whose value can't be drawn is a gap.
-- @tparam {table,...} rows
-- @tparam {number,...} places x of each row
-- @tparam string key
-- @treturn table `x`, `y`; `low`, `high`, `last` of what can be drawn (nil when nothing can), `count` of it, `gaps`
function M.of(rows, places, key)
  local s = {x = {}, y = {}, count = 0, gaps = 0}
  for i, row in ipairs(rows) do
    local value = row[key]
    if value ~= nil then
      local y = scale.finite(value)
      s.x[#s.x + 1], s.y[#s.y + 1] = places[i], y or false
      if y then
        s.count, s.last = s.count + 1, y
        s.low, s.high = math.min(s.low or y, y), math.max(s.high or y, y)
      else
        s.gaps = s.gaps + 1
      end
    end
  end
  return s
end

-- Places of the smallest and the largest value of a bucket, in order; none when all is gaps.
local function extremes(y, from, to)
  local low, high
  for i = from, to do
    local v = y[i]
    if v then
      if not low or v < y[low] then low = i end
      if not high or v > y[high] then high = i end
    end
  end
  if not low then return nil end
  return math.min(low, high), math.max(low, high)
end

--- A series of a few hundred points at most: the smallest and the largest of each of 150 buckets, and both ends. A
-- bucket without a value is a gap.
-- @tparam table s
-- @treturn table `x`, `y`
function M.thin(s)
  local n = #s.x
  if n <= 2 * BUCKETS then return s end
  local out = {x = {}, y = {}}
  local last
  local function add(i)
    if i ~= last then out.x[#out.x + 1], out.y[#out.y + 1], last = s.x[i], s.y[i], i end
  end
  add(1)
  for b = 0, BUCKETS - 1 do
    local from, to = b * n // BUCKETS + 1, (b + 1) * n // BUCKETS
    local first, second = extremes(s.y, from, to)
    if first then
      add(first)
      add(second)
    else
      add(to)
    end
  end
  add(n)
  return out
end

--- Is it long, and does it go up and down much more than from its beginning to its end?
-- @tparam table s
-- @treturn boolean
function M.noisy(s)
  if s.count < LONG or s.high == s.low then return false end
  local way, before = 0, nil
  for _, y in ipairs(s.y) do
    if y and before then way = way + math.abs(y - before) / (s.high - s.low) end
    before = y or before
  end
  return way > NOISY
end

--- The running mean of a series: of the values around each, fewer at the ends; gaps stay.
-- @tparam table s
-- @treturn table `x`, `y`, `window`: how many values a mean is of
function M.smooth(s)
  local half, n = s.count // 30, #s.y
  local sums, counts = {[0] = 0}, {[0] = 0} -- of shares of the range: sums of values could overflow
  local span = s.high - s.low
  for i, y in ipairs(s.y) do
    sums[i] = sums[i - 1] + (y and (y - s.low) / span or 0)
    counts[i] = counts[i - 1] + (y and 1 or 0)
  end
  local out = {x = s.x, y = {}, window = 2 * half + 1}
  for i, y in ipairs(s.y) do
    local from, to = math.max(1, i - half) - 1, math.min(n, i + half)
    out.y[i] = y and s.low + (sums[to] - sums[from]) / (counts[to] - counts[from]) * span
  end
  return out
end

--- The pieces of a series between its gaps.
-- @tparam table s
-- @treturn {table,...} lists of {x, y}
function M.runs(s)
  local out, run = {}, nil
  for i, y in ipairs(s.y) do
    if not y then
      run = nil
    else
      if not run then
        run = {}
        out[#out + 1] = run
      end
      run[#run + 1] = {s.x[i], y}
    end
  end
  return out
end

return M
