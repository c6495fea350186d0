--- Checks of what a report is given. Each returns nil, or what is wrong in words: the method that was called raises it
-- at its caller's line.
-- @module rlhf.report.check
local scale = require "rlhf.report.scale"

local M = {}

local MOST_BINS = 500

-- Of a kind, or what is wrong.
local function a(kind)
  return function(v)
    if type(v) ~= kind then return ("a %s wanted, got %s"):format(kind, type(v)) end
  end
end

M.string = a "string"
local is_table = a "table"

local function word(v)
  if type(v) ~= "string" and type(v) ~= "number" then return "a string or a number wanted, got " .. type(v) end
end

local function finite(v)
  if not scale.finite(v) then return "a finite number wanted, got " .. (type(v) == "number" and v or type(v)) end
end

--- A list, each entry of which passes a check.
-- @param v
-- @tparam function each
-- @tparam[opt=0] int least entries
-- @treturn ?string what is wrong
function M.list(v, each, least)
  if type(v) ~= "table" then return "a list wanted, got " .. type(v) end
  if #v < (least or 0) then return "an entry wanted, got none" end
  for i = 1, #v do
    local why = each(v[i])
    if why then return ("entry %d: %s"):format(i, why) end
  end
end

-- A field of a table, if it is there.
local function field(o, key, check, ...)
  local why = o[key] ~= nil and check(o[key], ...)
  return why and ("%s: %s"):format(key, why) or nil
end

local function strings(v, least) return M.list(v, M.string, least) end

local function limit(v)
  if type(v) ~= "table" then return "a table {name =, y =} wanted, got " .. type(v) end
  if type(v.name) ~= "string" then return "name: a string wanted, got " .. type(v.name) end
  local why = finite(v.y)
  return why and "y: " .. why
end

local function range(o)
  local why = field(o, "low", finite) or field(o, "high", finite)
  if why then return why end
  if o.low and o.high and o.low >= o.high then
    return ("low: a number below high (%s) wanted, got %s"):format(o.high, o.low)
  end
end

--- Figures: a list of {name, value}.
-- @param v
-- @treturn ?string what is wrong
function M.figures(v)
  return M.list(v, function(f)
    if type(f) ~= "table" then return "a pair {name, value} wanted, got " .. type(f) end
    if type(f[1]) ~= "string" then return "name: a string wanted, got " .. type(f[1]) end
    local why = word(f[2])
    return why and "value: " .. why
  end)
end

--- Options of report:lines.
-- @tparam table o
-- @treturn ?string what is wrong
function M.lines(o)
  local why = field(o, "title", M.string) or field(o, "rows", M.list, is_table) or field(o, "keys", strings, 1) or field(o, "names", strings)
    or field(o, "limits", M.list, limit) or field(o, "note", M.string) or range(o)
  if why then return why end
  if o.names and #o.names ~= #o.keys then return ("names: %d wanted, one for each key, got %d"):format(#o.keys, #o.names) end
end

local function values_of(v)
  return M.list(v, function(x)
    if type(x) ~= "number" then return "a number wanted, got " .. type(x) end
  end)
end

local function distribution(v)
  if type(v) ~= "table" then return "a table {name =, values =} wanted, got " .. type(v) end
  if type(v.name) ~= "string" then return "name: a string wanted, got " .. type(v.name) end
  local why = values_of(v.values)
  return why and "values: " .. why
end

--- Options of report:histogram.
-- @tparam table o
-- @treturn ?string what is wrong
function M.histogram(o)
  if math.type(o.bins) ~= "integer" or o.bins < 1 or o.bins > MOST_BINS then
    return ("bins: a whole number from 1 to %d wanted, got %s"):format(MOST_BINS, o.bins)
  end
  return field(o, "title", M.string) or field(o, "series", M.list, distribution, 1) or field(o, "note", M.string) or range(o)
end

--- Options of report:samples.
-- @tparam table o
-- @treturn ?string what is wrong
function M.samples(o)
  return field(o, "title", M.string) or field(o, "columns", strings, 1) or field(o, "rows", M.list, is_table)
end

--- A path to write to.
-- @param v
-- @treturn ?string what is wrong
function M.path(v)
  if type(v) ~= "string" then return M.string(v) end
  if v == "" or v:find("\0", 1, true) then return "a path is not empty and has no NUL" end
end

--- Arguments of report:options.
-- @param name
-- @param options
-- @treturn ?string what is wrong
function M.options(name, options)
  if type(name) ~= "string" then return "name: " .. M.string(name) end
  return is_table(options)
end

--- Arguments of report:stage: a trainer, its log, options.
-- @param trainer
-- @param log
-- @tparam table o
-- @treturn ?string what is wrong
function M.stage(trainer, log, o)
  if type(trainer) ~= "table" or type(trainer.name) ~= "string" then return "a trainer wanted, got " .. type(trainer) end
  local why = M.list(log, is_table)
  return why and "log: " .. why or field(trainer, "options", is_table) or field(o, "budget", finite)
end

return M
