--- Options tables: what is known, what is left out, what is misspelt.
-- @module rlhf.option
local core = require "rlhf.core"

local M = {}

--- Stands in place of a default: the option must be given.
M.required = setmetatable({}, {__name = "required option"})

--- Stands in place of a default: the option may be left out and is then nil.
M.optional = setmetatable({}, {__name = "optional option"})

local function unknown(key, names, name, level)
  if type(key) ~= "string" then
    error(("%s: option names are strings, got %s"):format(name, tostring(key)), level + 1)
  end
  table.sort(names) -- of two equally near names the same one each time
  local nearest = core.nearest(key, names)
  local hint = nearest and (" (did you mean '%s'?)"):format(nearest) or ": there are no options"
  error(("%s: unknown option '%s'%s"):format(name, key, hint), level + 1)
end

local function check_type(key, value, default, name, level)
  local wanted = type(default)
  if (wanted == "number" or wanted == "string") and type(value) ~= wanted then
    error(("%s: %s: %s wanted, got %s"):format(name, key, wanted, type(value)), level + 1)
  end
end

local function default_of(key, default, name, level)
  if default == M.required then
    error(("%s: option '%s' wanted"):format(name, key), level + 1)
  end
  if default ~= M.optional then return default end
end

--- Raises unless every key of a table is among the names.
-- @tparam table options
-- @tparam {string,...} names the known keys
-- @tparam string name whose options they are, for messages
-- @tparam[opt=2] int level as error takes it in the function that calls this one
-- @raise `NAME: unknown option 'x' (did you mean 'y'?)`
function M.check_names(options, names, name, level)
  level = (level or 2) + 1
  if type(options) ~= "table" then
    error(("%s: a table of options wanted, got %s"):format(name, type(options)), level)
  end
  local known = {}
  for _, key in ipairs(names) do known[key] = true end
  for key in pairs(options) do
    if not known[key] then unknown(key, {table.unpack(names)}, name, level) end
  end
end

local function names_of(known)
  local names = {}
  for key in pairs(known) do names[#names + 1] = key end
  return names
end

--- A copy of an options table with the defaults put in.
-- A number or a string as default asks for a value of that type.
-- @tparam ?table options what the user gave; nil counts as nothing
-- @tparam table known default by key, or `option.required`, or `option.optional`
-- @tparam string name whose options they are, for messages
-- @tparam[opt=2] int level as error takes it in the function that calls this one
-- @treturn table every known option's value
-- @raise on an unknown key (naming the nearest), a wrong type, a required one left out
function M.check(options, known, name, level)
  level = (level or 2) + 1
  if options ~= nil then M.check_names(options, names_of(known), name, level) end
  local out = {}
  for key, default in pairs(known) do
    local value = options and options[key]
    if value == nil then
      out[key] = default_of(key, default, name, level)
    else
      check_type(key, value, default, name, level)
      out[key] = value
    end
  end
  return out
end

return M
