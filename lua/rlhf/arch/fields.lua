--- Reads the fields of a config.json, each with its type and bounds. The first that is wrong is remembered
-- as `problem`, "FIELD: what was wanted, what it got"; reading goes on, so that a mapping is one table.
-- A null counts as absent. Nothing here allocates by what a field says.
local core = require "rlhf.core"

local M = {}
local Fields = {}
Fields.__index = Fields

--- The largest sizes that the decoder takes (c/nn/config.c), to name the field that asks for more.
M.most = {layers = 1024, dim = 65536, heads = 4096, head_dim = 4096, hidden = 1 << 20, vocab = 1 << 22, context = 1 << 24}

--- @tparam table config a decoded object
function M.of(config) return setmetatable({config = config}, Fields) end

local function shown(value)
  if type(value) == "table" then return "a table" end
  return type(value) == "string" and ("'%s'"):format(value) or tostring(value)
end

--- Remembers a problem, unless there is one already.
function Fields:refuse(name, wanted, value)
  self.problem = self.problem or ("%s: %s, got %s"):format(name, wanted, value == nil and "none" or shown(value))
end

--- A field's value; absent (or null) gives the default.
function Fields:get(name, default)
  local value = self.config[name]
  if value == nil or value == core.null then return default end
  return value
end

--- A whole number from 1 to `most`; without a default the field must be there.
function Fields:whole(name, most, default)
  local value = self:get(name, default)
  if math.type(value) == "integer" and value >= 1 and value <= most then return value end
  self:refuse(name, ("a whole number from 1 to %d wanted"):format(most), value)
  return 1
end

--- A finite number above 0.
function Fields:number(name, default)
  local value = self:get(name, default)
  if type(value) == "number" and value > 0 and value < math.huge then return value + 0.0 end
  self:refuse(name, "a number above 0 wanted", value)
  return 1.0
end

function Fields:boolean(name, default)
  local value = self:get(name, default)
  if type(value) == "boolean" then return value end
  self:refuse(name, "true or false wanted", value)
  return default
end

local function listed(words)
  local names = {}
  for name in pairs(words) do names[#names + 1] = ("'%s'"):format(name) end
  table.sort(names)
  return table.concat(names, " or ")
end

--- What a table of supported words has for the field's word.
function Fields:word(name, default, words)
  local value = self:get(name, default)
  if type(value) == "string" and words[value] then return words[value] end
  self:refuse(name, listed(words) .. " is supported", value)
end

--- A boolean that must have one value: what the other would ask for is not supported.
function Fields:only(name, value)
  local got = self:get(name, value)
  if got ~= value then self:refuse(name, ("only %s is supported"):format(value), got) end
end

--- An object within; absent: an empty one.
function Fields:object(name)
  local value = self:get(name, {})
  if type(value) == "table" then return value end
  self:refuse(name, "an object wanted", value)
  return {}
end

--- Features of one head: the field, else width / heads, which must divide.
function Fields:head_size(name, width, heads, width_name, heads_name)
  if name and self:get(name) ~= nil then return self:whole(name, M.most.head_dim) end
  if width % heads ~= 0 then self:refuse(width_name, ("a multiple of %s %d wanted"):format(heads_name, heads), width) end
  return width // heads
end

return M
