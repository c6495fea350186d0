-- A case of ops/*.json as a call of the row of its name. torch counts dimensions from 0 and slices as
-- [start, stop); here both count from 1 and a slice's stop is included. Where torch and a row say the
-- same thing in other words, ADAPT has a line.
local fixtures = require "support.fixtures"
local core = require "rlhf.core"
local rlhf = require "rlhf"

local M = {}

local rows = {}
for _, row in ipairs(core.rows) do rows[row.name] = row end

local function input_names(row)
  local names = {}
  for name in row.inputs:gmatch "(%S+):" do names[#names + 1] = name end
  return names
end

local function option_types(row)
  local types = {}
  for kind, name in row.options:gmatch "(%a):([%w_]+)" do types[name] = kind end
  return types
end

local function counted_from_1(v)
  if type(v) == "table" then
    local out = {}
    for i, d in ipairs(v) do out[i] = counted_from_1(d) end
    return out
  end
  return v >= 0 and v + 1 or v
end

-- attrs -> options of the row, converted by the option's type
local function options_of(row, attrs)
  local types, options = option_types(row), {}
  for name, v in pairs(attrs) do
    if v ~= core.null then
      assert(types[name], ("row %s has no option %s"):format(row.name, name))
      options[name] = types[name]:find "[dDp]" and counted_from_1(v) or v
    end
  end
  return options
end

-- Where torch and a row say the same thing in other words: f(case, inputs) -> results.
local ADAPT = {}

function ADAPT.gelu(case, x)
  return x.x:gelu{approximate = case.name:find "tanh" and "tanh" or "none"}
end

function ADAPT.linear(case, x)
  return rlhf.linear(x.x, x.weight, x.bias, {layout = case.name:find "conv1d" and "in_out" or "out_in"})
end

function ADAPT.matmul(case, x)
  if case.name ~= "matmul/transposed" then return x.a:matmul(x.b) end
  return x.a:transpose(-1, -2):matmul(x.b:transpose(-1, -2))
end

function ADAPT.pow(case, x) return x.x ^ case.attrs.exponent end

function ADAPT.slice(case, x)
  local a = case.attrs
  return x.x:slice{dim = a.dim + 1, start = a.start + 1, stop = a.stop, step = a.step} -- stop is included
end

function ADAPT.reshape(case, x)
  local t = case.attrs.transposed
  return x.x:transpose(t[1] + 1, t[2] + 1):reshape(case.attrs.shape)
end

function ADAPT.kl_div(_, x) return rlhf.kl_div(x.logp, x.logq) end -- its attrs are a note

-- Compositions, as a user writes them.
function ADAPT.reused_twice(_, x) return x.x * x.x:sum{dim = -1, keepdim = true} + x.x:exp() * x.x end

function ADAPT.two_layers(_, x)
  return (x.x:layer_norm():matmul(x.w1) + x.b1):tanh():softmax():matmul(x.w2)
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

local function in_order(leaves)
  local list = {}
  for i, name in ipairs(sorted_keys(leaves)) do list[i] = leaves[name] end
  return list
end

--- Calls the case. Returns the results and the inputs by name, floats as leaves.
function M.call(case)
  local leaves = {}
  for name, t in pairs(case.inputs) do
    leaves[name] = fixtures.tensor(t)
    if case.grads and case.grads[name] then leaves[name]:requires_grad() end
  end
  if ADAPT[case.op] then return {ADAPT[case.op](case, leaves)}, leaves end
  local row = assert(rows[case.op], "no row named " .. case.op)
  local args, n = {}, 0
  if row.inputs:find "%*" then args[1], n = in_order(leaves), 1
  else for i, name in ipairs(input_names(row)) do args[i], n = leaves[name], i end end
  args[n + 1] = options_of(row, case.attrs)
  return {core.ops[case.op](table.unpack(args, 1, n + 1))}, leaves
end

--- Which result a case's output is.
function M.result_index(_, name)
  if name == "out" then return 1 end
  if name == "indices" then return 2 end
  return tonumber(name:match "^out(%d+)$") + 1
end

--- backward from sum(upstream * output)
function M.go_back(case, results)
  local total
  for name, g in pairs(case.upstream) do
    local part = results[M.result_index(case, name)] * fixtures.tensor(g)
    if #part:shape() > 0 then part = part:sum() end
    total = total and total + part or part
  end
  total:backward()
end

return M
