--- Text of a report: what goes into markup. Anything may come in (a model's half characters, markup, control
-- characters); what goes out is valid UTF-8 that means nothing to a browser but itself.
-- @module rlhf.report.text
local M = {}

local REPLACEMENT = utf8.char(0xFFFD)
local MINUS = utf8.char(0x2212)
local CUT = utf8.char(0x2026)

-- What may follow a lead byte: how many bytes at most, and the range of the first of them.
local function sequence(lead)
  if lead >= 0xC2 and lead <= 0xDF then return 1, 0x80, 0xBF end
  if lead >= 0xE0 and lead <= 0xEF then
    return 2, lead == 0xE0 and 0xA0 or 0x80, lead == 0xED and 0x9F or 0xBF
  end
  if lead >= 0xF0 and lead <= 0xF4 then
    return 3, lead == 0xF0 and 0x90 or 0x80, lead == 0xF4 and 0x8F or 0xBF
  end
  return 0, 0, 0
end

-- The place behind a broken character: its lead and those bytes that could have been its next ones.
local function behind(s, at)
  local most, low, high = sequence(s:byte(at))
  local i = at + 1
  while most > 0 do
    local b = s:byte(i)
    if not b or b < low or b > high then break end
    i, most, low, high = i + 1, most - 1, 0x80, 0xBF
  end
  return i
end

--- Valid UTF-8: each broken character becomes one U+FFFD, as decoders of browsers and of Python have it.
-- @tparam string s
-- @treturn string
function M.utf8(s)
  local out, i = {}, 1
  while true do
    local ok, bad = utf8.len(s, i)
    if ok then break end
    out[#out + 1] = s:sub(i, bad - 1)
    out[#out + 1] = REPLACEMENT
    i = behind(s, bad)
  end
  out[#out + 1] = s:sub(i)
  return table.concat(out)
end

-- Control characters as their pictures (U+2400 on); newline and tab stay.
local function picture(c)
  local b = c:byte()
  return utf8.char(b == 0x7F and 0x2421 or 0x2400 + b)
end

--- Text that can be shown: valid UTF-8, line ends as "\n", control characters as pictures.
-- @tparam string s
-- @treturn string
function M.clean(s)
  s = M.utf8(s):gsub("\r\n", "\n"):gsub("[%z\1-\8\11-\31\127]", picture)
  s = s:gsub("\xC2[\x80-\x9F]", REPLACEMENT) -- the second block of control characters has no pictures
  return (s:gsub("\xEF\xBF[\xBE\xBF]", REPLACEMENT))
end

local entities = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;"}

--- Text for an element or a quoted attribute.
-- @tparam string|number s
-- @treturn string
function M.escape(s)
  if type(s) == "number" then s = M.number(s) end
  return (M.clean(s):gsub("[&<>\"']", entities))
end

--- The first characters of a text, with a sign and the number of those left out.
-- @tparam string s valid UTF-8
-- @tparam int most characters
-- @treturn string
function M.cut(s, most)
  local place = utf8.offset(s, most + 1)
  if not place or place > #s then return s end
  return ("%s%s (+%d)"):format(s:sub(1, place - 1), CUT, utf8.len(s, place))
end

--- A number with so many decimals, whatever the locale.
-- @tparam number v
-- @tparam int decimals
-- @treturn string
function M.fixed(v, decimals)
  local s = ("%." .. decimals .. "f"):format(v):gsub(",", ".")
  return (s:gsub("^%-(0%.?0*)$", "%1"))
end

--- A coordinate: one decimal, none where it is 0.
-- @tparam number v
-- @treturn string
function M.coordinate(v) return (M.fixed(v, 1):gsub("%.0$", "")) end

--- A value as it is told: whole numbers with commas, others to four digits.
-- @tparam number v
-- @treturn string
function M.number(v)
  if v ~= v or v == math.huge or v == -math.huge then return (tostring(v):gsub("^%-nan", "nan")) end
  if math.type(v) == "integer" or v == math.floor(v) and math.abs(v) < 1e15 then
    local s = ("%d"):format(v)
    repeat
      local n
      s, n = s:gsub("^(%-?%d+)(%d%d%d)", "%1,%2")
    until n == 0
    return (s:gsub("^%-", MINUS))
  end
  local s = ("%.4g"):format(v):gsub("(%d),(%d)", "%1.%2"):gsub("e([+-])0*", "e%1"):gsub("e%+", "e")
  return (s:gsub("^%-", MINUS))
end

--- A tick's label: `v` in units of `unit`, with so many decimals and a suffix.
-- @tparam number v
-- @tparam number unit
-- @tparam int decimals
-- @tparam string suffix
-- @treturn string
function M.tick(v, unit, decimals, suffix)
  if v == 0 then return "0" end
  return (M.fixed(v / unit, decimals):gsub("^%-", MINUS)) .. suffix
end

return M
