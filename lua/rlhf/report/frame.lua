--- The frame of a chart: an SVG of 360 x 206 units, thin horizontal lines at round ticks, labels of both axes. What is
-- drawn in it comes as text between; colours and sizes are the style sheet's.
-- @module rlhf.report.frame
local scale = require "rlhf.report.scale"
local text = require "rlhf.report.text"

local M = {}

M.WIDTH, M.HEIGHT = 360, 206
local TOP, RIGHT, BOTTOM = 10, 12, 22 -- margins; the left one depends on the labels
local CHARACTER = 7.4 -- width of a label's character in a wide font
M.Y_TICKS, M.X_TICKS = 6, 5

local at = text.coordinate

local function label_width(label) return utf8.len(label) * CHARACTER end

--- An element of SVG text.
-- @tparam number x
-- @tparam number y
-- @tparam string anchor start, middle or end
-- @tparam string words
-- @tparam[opt] string class
-- @treturn string
function M.label(x, y, anchor, words, class)
  return ('<text x="%s" y="%s" text-anchor="%s"%s>%s</text>'):format(at(x), at(y), anchor,
    class and (' class="%s"'):format(class) or "", text.escape(words))
end

--- A straight line.
-- @treturn string
function M.line(x1, y1, x2, y2, class)
  return ('<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>'):format(at(x1), at(y1), at(x2), at(y2), class)
end

local function left_margin(labels)
  local widest = 0
  for _, label in ipairs(labels) do widest = math.max(widest, label_width(label)) end
  return widest + 10
end

-- Lines and labels of the y axis; the line at 0 is stronger.
local function y_axis(out, f, ticks, labels)
  for i, t in ipairs(ticks) do
    local y = f.y(t)
    out[#out + 1] = M.line(f.left, y, f.right, y, t == 0 and "zero" or "grid")
    out[#out + 1] = M.label(f.left - 6, y + 4, "end", labels[i])
  end
end

-- Labels of the x axis, those at the edges pushed inwards, those without room left out.
local function x_axis(out, f, ticks)
  local taken = -math.huge
  for i, label in ipairs(scale.labels(ticks)) do
    local half = label_width(label) / 2
    local x = math.max(half, math.min(f.x(ticks[i]), M.WIDTH - half))
    if x - half > taken then
      out[#out + 1] = M.line(f.x(ticks[i]), f.bottom, f.x(ticks[i]), f.bottom + 4, "grid")
      out[#out + 1] = M.label(x, f.bottom + 17, "middle", label)
      taken = x + half + CHARACTER
    end
  end
end

--- A frame.
-- @tparam table spec `low`, `high`: domain of x; `whole`: are its ticks whole numbers; `y_low`, `y_high`, `y_ticks`: of y
-- @treturn table `x`, `y`: functions from values to places; `left`, `right`, `top`, `bottom`; `axes`: their markup
function M.new(spec)
  local labels = scale.labels(spec.y_ticks)
  local f = {left = left_margin(labels), right = M.WIDTH - RIGHT, top = TOP, bottom = M.HEIGHT - BOTTOM}
  f.x = scale.map(spec.low, spec.high, f.left, f.right)
  f.y = scale.map(spec.y_low, spec.y_high, f.bottom, f.top)
  local out = {}
  y_axis(out, f, spec.y_ticks, labels)
  x_axis(out, f, scale.ticks(spec.low, spec.high, M.X_TICKS, spec.whole))
  f.axes = table.concat(out)
  return f
end

--- The SVG around a chart's markup.
-- @tparam string about what is shown, for those who can't see it
-- @tparam string inside
-- @treturn string
function M.svg(about, inside)
  return ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>'):format(M.WIDTH, M.HEIGHT, text.escape(about), inside)
end

--- A strip of the chart that tells its values when pointed at.
-- @tparam table f the frame
-- @tparam number from left edge
-- @tparam number to right edge
-- @tparam string words lines of text
-- @treturn string
function M.hint(f, from, to, words)
  return ('<rect class="hint" x="%s" y="%s" width="%s" height="%s"><title>%s</title></rect>'):format(at(from), at(f.top),
    at(math.max(to - from, 1)), at(f.bottom - f.top), text.escape(words))
end

--- The chart that has nothing to show.
-- @tparam string words
-- @treturn string
function M.empty(words)
  return M.svg(words, M.line(12, M.HEIGHT - BOTTOM, M.WIDTH - RIGHT, M.HEIGHT - BOTTOM, "zero")
    .. M.label(M.WIDTH / 2, M.HEIGHT / 2, "middle", words))
end

return M
