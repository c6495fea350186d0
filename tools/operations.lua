-- The reference page of operations, made from the rows that the library itself is made of.
-- Usage: operations.lua > operations.md
local core = require "rlhf.core"

local TYPES = {f = "f32", c = "f32, without gradient", i = "i64", b = "bool", n = "f32 or i64", a = "any type"}
local OPTIONS = {
  f = "number", i = "integer", b = "boolean", d = "dimension", D = "dimension or list of them", p = "position",
  l = "list of integers",
}

local function inputs_of(row)
  local names, lines = {}, {}
  for name, type, mark in row.inputs:gmatch "(%S+):(%a)([?*]?)" do
    names[#names + 1] = mark == "*" and "{" .. name .. "...}" or mark == "?" and name .. " or nil" or name
    lines[#lines + 1] = ("- `%s`: %s%s"):format(name, TYPES[type],
      mark == "*" and ", a list of one or more" or mark == "?" and ", may be left out" or "")
  end
  return names, lines
end

local function option_line(kind, name, default)
  local what = OPTIONS[kind] or "one of " .. default:gsub("|", ", ")
  local value = kind == "s" and default:match "^[^|]*" or default
  if kind:find "[dDp]" and math.tointeger(value) and tonumber(value) >= 0 then value = value + 1 end -- rows count from 0
  local rest = value == "" and "required" or value == "?" and "may be left out" or "by default " .. value
  return ("- `%s`: %s; %s"):format(name, what, rest)
end

local function options_of(row)
  local lines = {}
  for spec in row.options:gmatch "%S+" do
    local kind, name, default = spec:match "^(%a):([%w_]+)=?(.*)$"
    lines[#lines + 1] = option_line(kind, name, default)
  end
  return lines
end

local function describe(row)
  local names, lines = inputs_of(row)
  local options = options_of(row)
  local call = table.concat(names, ", ") .. (#options > 0 and ", {options}" or "")
  print(("## %s\n\n`rlhf.%s(%s)`\n\n%s%s\n"):format(row.name, row.name, call, row.doc,
    row.differentiable and "" or "\n\nNot differentiable."))
  for _, line in ipairs(lines) do print(line) end
  for _, line in ipairs(options) do print(line) end
  print ""
end

local rows = {}
for i, row in ipairs(core.rows) do rows[i] = row end
table.sort(rows, function(a, b) return a.name < b.name end)

print [[
# Operations

Each is a function of `rlhf` and, but for those that take a list, a method of tensors: `rlhf.exp(x)`, `x:exp()`.
Dimensions and positions count from 1, or from the end when negative; the contents of i64 tensors (ids,
indices) count from 0. Options stand in a last table, or by position in the order given here.
]]
for _, row in ipairs(rows) do describe(row) end
