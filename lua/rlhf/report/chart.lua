--- Line charts: series over steps, each a line with gaps where values aren't finite, a dot at its end, dashed lines for
-- limits, strips that tell values when pointed at. Series come from rlhf.report.series, axes from rlhf.report.frame.
-- @module rlhf.report.chart
local frame = require "rlhf.report.frame"
local scale = require "rlhf.report.scale"
local series = require "rlhf.report.series"
local text = require "rlhf.report.text"

local M = {}

local HINTS = 60 -- strips of a chart
local SPARSE = 30 -- points up to which each has a dot
local ROOM = 0.1 -- of the axis, above the highest limit
local COLOURS = 6 -- of the style sheet; a seventh series has the first's colour, dashed

local at = text.coordinate

--- The class of a series' colour.
-- @tparam int i
-- @treturn string
function M.class(i)
  return ("c%d%s"):format((i - 1) % COLOURS + 1, (i - 1) // COLOURS % 2 == 1 and " dashed" or "")
end

-- ---- what there is ----

local function collect(o)
  local places, list = series.places(o.rows, o.keys), {}
  for i, key in ipairs(o.keys) do
    local s = series.of(o.rows, places, key)
    s.name = o.names and o.names[i] or key
    s.mean = series.noisy(s) and series.smooth(s) or nil
    list[i] = s
  end
  return list, places
end

-- The smallest and the largest of all series, of x and y; nil when there is none.
local function ranges(list)
  local r = {}
  for _, s in ipairs(list) do
    if s.count > 0 then
      r.y_low, r.y_high = math.min(r.y_low or s.low, s.low), math.max(r.y_high or s.high, s.high)
      for i = 1, #s.x do
        r.low, r.high = math.min(r.low or s.x[i], s.x[i]), math.max(r.high or s.x[i], s.x[i])
      end
    end
  end
  return r.low and r
end

local function is_whole(list)
  for _, s in ipairs(list) do
    for _, x in ipairs(s.x) do
      if x ~= math.floor(x) then return false end
    end
  end
  return true
end

-- The domain of y: all values, what the axis is to reach, and limits with room for their names above them.
local function y_domain(o, r)
  local low, high = math.min(r.y_low, o.low or r.y_low), math.max(r.y_high, o.high or r.y_high)
  local top = -math.huge
  for _, limit in ipairs(o.limits or {}) do low, top = math.min(low, limit.y), math.max(top, limit.y) end
  low, high = scale.with_zero(scale.domain(low, math.max(high, top)))
  return low, math.max(high, top + ROOM * (high - low))
end

-- The frame around all series.
local function frame_of(o, list, r)
  local spec = {whole = is_whole(list)}
  local low, high = y_domain(o, r)
  spec.y_low, spec.y_high, spec.y_ticks = scale.rounded(low, high, frame.Y_TICKS)
  spec.low, spec.high = r.low, r.high
  if r.low == r.high then spec.low, spec.high = r.low - 0.5, r.high + 0.5 end
  spec.low, spec.high = scale.domain(spec.low, spec.high)
  return frame.new(spec)
end

-- ---- what is drawn ----

local function dot(x, y, radius) return ('<circle cx="%s" cy="%s" r="%s"/>'):format(at(x), at(y), radius) end

local function polylines(f, s, class)
  local out = {}
  for _, run in ipairs(series.runs(series.thin(s))) do
    local points = {}
    for i, p in ipairs(run) do points[i] = at(f.x(p[1])) .. "," .. at(f.y(p[2])) end
    if #run == 1 then
      out[#out + 1] = dot(f.x(run[1][1]), f.y(run[1][2]), class == "pale" and 1 or 2)
    else
      out[#out + 1] = ('<polyline class="%s" points="%s"/>'):format(class, table.concat(points, " "))
    end
  end
  return table.concat(out)
end

-- A dot at each point of a sparse series, else at the last.
local function dots(f, s)
  local out, shown = {}, s.mean or s
  for i = #s.y, 1, -1 do
    if s.y[i] then
      out[#out + 1] = dot(f.x(s.x[i]), f.y(shown.y[i]), #out == 0 and 3 or 2)
      if s.count > SPARSE then break end
    end
  end
  return table.concat(out)
end

local function draw_series(f, s, i)
  local lines = s.mean and polylines(f, s, "pale") .. polylines(f, s.mean, "line") or polylines(f, s, "line")
  return ('<g class="%s">%s%s</g>'):format(M.class(i), lines, dots(f, s))
end

-- How far from y the nearest series begins, and how far the nearest ends.
local function clearance(list, y)
  local first, last = math.huge, math.huge
  for _, s in ipairs(list) do
    if s.last then
      first, last = math.min(first, math.abs((s.y[1] or y) - y)), math.min(last, math.abs(s.last - y))
    end
  end
  return first, last
end

-- Dashed lines; their names stand above them, at the end that the lines keep away from.
local function draw_limits(f, list, limits)
  local out, before = {}, nil
  for _, limit in ipairs(limits or {}) do
    local y, first, last = f.y(limit.y), clearance(list, limit.y)
    local right = last > first
    if before and math.abs(before.y - y) < 15 then right = not before.right end
    before = {y = y, right = right}
    out[#out + 1] = frame.line(f.left, y, f.right, y, "limit")
    out[#out + 1] = frame.label(right and f.right - 4 or f.left + 4, y - 5, right and "end" or "start",
                                ("%s %s"):format(limit.name, text.number(limit.y)), "limit")
  end
  return table.concat(out)
end

local function told(low, high)
  if low == high then return text.number(low) end
  return ("%s … %s"):format(text.number(low), text.number(high))
end

-- What a strip over rows from..to tells: the rows' x, and each series' values there.
local function hint_words(o, list, from, to)
  local lines = {("%s %s"):format(o.x, told(from, to))}
  for _, s in ipairs(list) do
    local low, high
    while s.x[s.seen] and s.x[s.seen] <= to do
      local y = s.y[s.seen]
      if y then low, high = math.min(low or y, y), math.max(high or y, y) end
      s.seen = s.seen + 1
    end
    if low then lines[#lines + 1] = ("%s %s"):format(s.name, told(low, high)) end
  end
  return #lines > 1 and table.concat(lines, "\n")
end

-- All x at which a series has a point, in order.
local function points_of(o, places)
  local xs = {}
  for i, row in ipairs(o.rows) do
    for _, key in ipairs(o.keys) do
      if row[key] ~= nil then
        xs[#xs + 1] = places[i]
        break
      end
    end
  end
  return xs
end

local function hints(f, o, list, places)
  local xs, out = points_of(o, places), {}
  local strips = math.min(HINTS, #xs)
  for _, s in ipairs(list) do s.seen = 1 end
  for b = 0, strips - 1 do
    local first, last = b * #xs // strips + 1, (b + 1) * #xs // strips
    local from, to = xs[first], xs[last]
    local words = hint_words(o, list, from, to)
    local left = first == 1 and f.left or f.x((xs[first - 1] + from) / 2)
    local right = last == #xs and f.right or f.x((to + xs[last + 1]) / 2)
    if words then out[#out + 1] = frame.hint(f, left, right, words) end
  end
  return table.concat(out)
end

-- ---- what is said ----

-- The last value: a word and the number.
local function last_of(s, words)
  if s.last then return words.last, text.number(s.last) end
  return words.nothing, ""
end

local function about(o, list)
  local parts = {}
  for _, s in ipairs(list) do
    if s.count > 0 then
      parts[#parts + 1] = ("%s: %s, %s %s"):format(s.name, told(s.low, s.high), last_of(s, o.words))
    end
  end
  return ("%s (%s). %s"):format(o.title, o.x, table.concat(parts, "; "))
end

-- Remarks under the chart: its own note, how it was smoothed, what was left out.
local function remarks(o, list)
  local notes, window, gaps = {o.note}, 0, 0
  for _, s in ipairs(list) do
    window, gaps = math.max(window, s.mean and s.mean.window or 0), gaps + s.gaps
  end
  if window > 0 then notes[#notes + 1] = o.words.smoothed:format(window) end
  if gaps > 0 then notes[#notes + 1] = o.words.gaps:format(gaps) end
  return notes
end

--- A line chart.
-- @tparam table o `title`, `x`, `y`, `rows`, `keys`, `names`, `limits`, `low`, `high`, `note` as report:lines takes them,
--   checked; `words`: of rlhf.report.words
-- @treturn table `title`, `unit`, `svg`, `x`, `notes`; `legend`: list of {name, word, last value}; `aside`: the only
--   one of it
function M.lines(o)
  local list, places = collect(o)
  local card = {title = o.title, unit = o.y, x = o.x, legend = {}, notes = remarks(o, list)}
  for i, s in ipairs(list) do card.legend[i] = {s.name, last_of(s, o.words)} end
  if #list == 1 then card.aside, card.legend = card.legend[1], {} end
  local r = ranges(list)
  if not r then
    card.svg = frame.empty(o.words.nothing)
    return card
  end
  local f, drawn = frame_of(o, list, r), {}
  for i, s in ipairs(list) do drawn[i] = draw_series(f, s, i) end
  card.svg = frame.svg(about(o, list), f.axes .. table.concat(drawn) .. draw_limits(f, list, o.limits)
    .. hints(f, o, list, places))
  return card
end

return M
