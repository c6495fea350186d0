--- Values of any kind as text that is the same in each run: sorted keys, no addresses.
-- @module rlhf.report.values
local text = require "rlhf.report.text"

local M = {}

local DEEPEST = 4 -- tables in tables

local shown

local function number(v)
  if math.type(v) == "integer" then return tostring(v) end
  return (("%.6g"):format(v):gsub("(%d),(%d)", "%1.%2"):gsub("e([+-])0*(%d)", "e%1%2"):gsub("e%+", "e"):gsub("^%-nan", "nan"))
end

local function items(t, depth)
  local parts, n = {}, #t
  for i = 1, n do parts[i] = shown(t[i], depth) end
  for _, entry in ipairs(M.entries(t, depth)) do
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

function shown(v, depth)
  if type(v) == "number" then return number(v) end
  if type(v) ~= "table" or getmetatable(v) then return object(v) end
  return depth >= DEEPEST and "{…}" or items(v, depth + 1)
end

--- A value as text.
-- @param v
-- @treturn string
function M.shown(v) return shown(v, 0) end

--- The entries of a table, sorted by name.
-- @tparam table t
-- @tparam[opt=0] int depth
-- @treturn table list of {name, value}, both texts, with `key`
function M.entries(t, depth)
  local list = {}
  for key, value in pairs(t) do
    local name = type(key) == "string" and text.utf8(key) or shown(key, DEEPEST)
    list[#list + 1] = {name, shown(value, depth or 0), key = key}
  end
  table.sort(list, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  return list
end

return M
