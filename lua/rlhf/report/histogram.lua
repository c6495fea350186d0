--- Histograms: bins of equal width, closed at the left, the last one at both ends; several series lie over each other.
-- @module rlhf.report.histogram
local chart = require "rlhf.report.chart"
local frame = require "rlhf.report.frame"
local scale = require "rlhf.report.scale"
local text = require "rlhf.report.text"

local M = {}

local at = text.coordinate

-- The range of all values that can be drawn, where none is given.
local function range_of(o)
  local low, high = o.low, o.high
  if not (low and high) then
    local least, most
    for _, s in ipairs(o.series) do
      for _, v in ipairs(s.values) do
        v = scale.finite(v)
        if v then least, most = math.min(least or v, v), math.max(most or v, v) end
      end
    end
    least, most = least or 0, most or 1
    if least == most then least, most = least - 0.5, most + 0.5 end
    low, high = low or math.min(least, high or least), high or math.max(most, low or most)
  end
  return scale.domain(low, high)
end

local function edge(low, high, bins, i) return low + (high - low) * (i / bins) end

-- The bin of a value within the range; rounding of the division is put right by the edges themselves.
local function bin_of(v, low, high, bins)
  local i = math.min(bins, math.floor((v - low) / (high - low) * bins) + 1)
  if i > 1 and v < edge(low, high, bins, i - 1) then return i - 1 end
  if i < bins and v >= edge(low, high, bins, i) then return i + 1 end
  return i
end

--- How many values each bin has.
-- @tparam {number,...} values
-- @tparam number low
-- @tparam number high
-- @tparam int bins
-- @treturn {int,...} of the bins
-- @treturn int values outside, and those that aren't finite
-- @treturn ?number mean of the finite values, also of those outside; nil when there are none
function M.counts(values, low, high, bins)
  local counts, outside, sum, n = {}, 0, 0, 0
  for i = 1, bins do counts[i] = 0 end
  for _, value in ipairs(values) do
    local v = scale.finite(value)
    if v then
      n = n + 1
      sum = sum + v
    end
    if v and v >= low and v <= high then
      local i = bin_of(v, low, high, bins)
      counts[i] = counts[i] + 1
    else
      outside = outside + 1
    end
  end
  return counts, outside, n > 0 and sum / n or nil
end

local function collect(o, low, high)
  local list = {most = 0, outside = 0}
  for i, s in ipairs(o.series) do
    local counts, outside, mean = M.counts(s.values, low, high, o.bins)
    list[i] = {name = s.name, counts = counts, mean = mean, total = #s.values}
    list.outside = list.outside + outside
    list.most = math.max(list.most, table.unpack(counts))
  end
  return list
end

-- The outline of a series' bars, from the ground up and back to it.
local function outline(f, counts, low, high)
  local points, ground = {at(f.left) .. "," .. at(f.bottom)}, f.bottom
  for i, n in ipairs(counts) do
    local y = at(f.y(n))
    points[#points + 1] = at(f.x(edge(low, high, #counts, i - 1))) .. "," .. y
    points[#points + 1] = at(f.x(edge(low, high, #counts, i))) .. "," .. y
  end
  points[#points + 1] = at(f.right) .. "," .. at(ground)
  return ('<polygon points="%s"/>'):format(table.concat(points, " "))
end

local function hint_words(list, low, high, bins, i)
  local lines = {("%s … %s"):format(text.number(edge(low, high, bins, i - 1)), text.number(edge(low, high, bins, i)))}
  for _, s in ipairs(list) do lines[#lines + 1] = ("%s %s"):format(s.name, text.number(s.counts[i])) end
  return table.concat(lines, "\n")
end

local function draw(f, list, low, high, bins)
  local out = {f.axes}
  for i, s in ipairs(list) do
    out[#out + 1] = ('<g class="bars %s">%s</g>'):format(chart.class(i), outline(f, s.counts, low, high))
  end
  for i = 1, bins do
    out[#out + 1] = frame.hint(f, f.x(edge(low, high, bins, i - 1)), f.x(edge(low, high, bins, i)),
                               hint_words(list, low, high, bins, i))
  end
  return table.concat(out)
end

-- How many values, and their mean: words and the number.
local function told(s, words)
  if not s.mean then return words.nothing, "" end
  return ("n = %s, %s"):format(text.number(s.total), words.mean), text.number(s.mean)
end

--- A histogram.
-- @tparam table o `title`, `x`, `series`, `bins`, `low`, `high`, `note` as report:histogram takes them, checked; `words`
-- @treturn table `title`, `unit`, `svg`, `x`, `notes`; `legend`: list of {name, words, mean}
function M.draw(o)
  local low, high = range_of(o)
  local list = collect(o, low, high)
  local card = {title = o.title, unit = o.words.count, x = o.x, legend = {}, notes = {o.note}}
  local about = {}
  for i, s in ipairs(list) do
    card.legend[i] = {s.name, told(s, o.words)}
    about[i] = ("%s: %s %s"):format(table.unpack(card.legend[i]))
  end
  if list.outside > 0 then card.notes[#card.notes + 1] = o.words.outside:format(list.outside) end
  local spec = {low = low, high = high}
  spec.y_low, spec.y_high, spec.y_ticks = scale.rounded(0, math.max(1, list.most), frame.Y_TICKS, true)
  local f = frame.new(spec)
  card.svg = frame.svg(("%s (%s). %s"):format(o.title, o.x, table.concat(about, "; ")), draw(f, list, low, high, o.bins))
  return card
end

return M
