-- Reads the markup of a page as strictly as XML does: M.check(html) raises at what isn't well-formed;
-- M.elements(html, name) lists elements as {attributes, text inside}. Written without the library's code.
local M = {}

local entities = {amp = "&", lt = "<", gt = ">", quot = '"', ["#39"] = "'"}

local function plain(s)
  return (s:gsub("&([^;%s]*);?", function(name) return assert(entities[name], "unknown entity &" .. name) end))
end

local function attributes(tag, s)
  local out = {}
  local rest = s:gsub('%s+([%w-]+)="([^"<]*)"', function(key, value)
    assert(out[key] == nil, "attribute twice: " .. key)
    out[key] = plain(value)
    return ""
  end)
  assert(rest:match "^%s*$", ("in <%s>: %s"):format(tag, rest))
  return out
end

--- Calls open(name, attributes), close(name) and text(s) in order; raises unless every element is closed.
function M.walk(html, open, close, text)
  assert(utf8.len(html), "not UTF-8")
  assert(not html:find "[%z\1-\8\11-\31\127]", "a control character")
  local stack = {}
  html = html:gsub("^<!DOCTYPE html>\n", "")
  local at = 1
  while at <= #html do
    local from, to, slash, name, inside, empty = html:find("<(/?)([%w]+)([^<>]-)(/?)>", at)
    local between = html:sub(at, (from or #html + 1) - 1)
    assert(not between:find "[<>]" or stack[#stack] == "style", "loose < or >: " .. between:sub(1, 80))
    text(stack[#stack] == "style" and between or plain(between))
    if not from then break end
    if slash == "/" then
      assert(table.remove(stack) == name, "</" .. name .. "> closes another")
      close(name)
    else
      open(name, attributes(name, inside))
      if empty == "/" then close(name) else stack[#stack + 1] = name end
    end
    at = to + 1
  end
  assert(#stack == 0, "never closed: " .. table.concat(stack, " "))
end

local function nothing() end

function M.check(html) M.walk(html, nothing, nothing, nothing) end

--- All elements of a name, in order: {attributes..., text = what is inside without tags}.
function M.elements(html, name)
  local out, open = {}, {}
  M.walk(html, function(tag, a)
    local e = {text = "", name = tag, attributes = a}
    open[#open + 1] = e
    if tag == name then out[#out + 1] = e end
  end, function() open[#open] = nil end, function(s)
    for _, e in ipairs(open) do e.text = e.text .. s end
  end)
  return out
end

--- The points of each polyline or polygon: lists of {x, y}.
function M.points(html, name)
  local out = {}
  for i, e in ipairs(M.elements(html, name or "polyline")) do
    out[i] = {class = e.attributes.class}
    for x, y in e.attributes.points:gmatch "(%S+),(%S+)" do out[i][#out[i] + 1] = {tonumber(x), tonumber(y)} end
  end
  return out
end

return M
