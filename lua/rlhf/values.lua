--- Values of any kind as text that is the same in each run: sorted keys, no addresses. For the options that trainers
-- print and that reports list.
-- @module rlhf.values
local M = {}

local DEEPEST = 4 -- tables in tables

local shown

local function six_digits(v)
  if math.type(v) == "integer" then return tostring(v) end
  return (("%.6g"):format(v):gsub("(%d),(%d)", "%1.%2"):gsub("e([+-])0*(%d)", "e%1%2"):gsub("e%+", "e"):gsub("^%-nan", "nan"))
end

-- List of {name, value}, both texts, with `key`, sorted by name.
local function entries(t, number, depth)
  local list = {}
  for key, value in pairs(t) do
    local name = type(key) == "string" and key or shown(key, number, DEEPEST)
    list[#list + 1] = {name, shown(value, number, depth), key = key}
  end
  table.sort(list, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  return list
end

local function items(t, number, depth)
  local parts, n = {}, #t
  for i = 1, n do parts[i] = shown(t[i], number, depth) end
  for _, entry in ipairs(entries(t, number, depth)) do
    local place = math.tointeger(entry.key)
    if not place or place < 1 or place > n then parts[#parts + 1] = entry[1] .. " = " .. entry[2] end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

-- Objects tell themselves; one that tells its address is named by its kind.
local function object(v)
  local ok, words = pcall(tostring, v)
  return ok and (words:gsub(":? ?0x%x+", "")) or type(v)
end

function shown(v, number, depth)
  if type(v) == "number" then return number(v) end
  if type(v) ~= "table" or getmetatable(v) then return object(v) end
  return depth >= DEEPEST and "{…}" or items(v, number, depth + 1)
end

--- A value as text.
-- @param v
-- @tparam[opt] function number how numbers are told (by default to six digits)
-- @treturn string
function M.shown(v, number) return shown(v, number or six_digits, 0) end

--- The entries of a table, sorted by name.
-- @tparam table t
-- @tparam[opt] function number as for shown
-- @treturn table list of {name, value}, both texts, with `key`
function M.entries(t, number) return entries(t, number or six_digits, 0) end

return M
