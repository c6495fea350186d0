-- Everything a row's sample call gives, as flat lists that can be compared: outputs, and gradients where
-- the row has them. Rests on samples.lua and gradients.lua.
local gradients = require "support.gradients"
local samples = require "support.samples"
local values = require "support.values"

local M = {}

--- {name = flat list} of outputs ("out1", ...) and gradients ("grad1", ...). `how`: {strided =}.
function M.run(row, sample, how)
  local lists = {}
  local args = samples.tensors(sample, {strided = how and how.strided})
  for k, out in ipairs(samples.call(row, sample, args)) do lists["out" .. k] = values.flat(out) end
  if row.differentiable then
    local grads = gradients.backward(row, sample, {strided = how and how.strided})
    for i, g in pairs(grads) do lists["grad" .. i] = g end
  end
  return lists
end

local function first_difference(a, b, tolerance)
  if #a ~= #b then return ("%d values against %d"):format(#a, #b) end
  for i, x in ipairs(a) do
    local y = b[i]
    local same = x == y or (x ~= x and y ~= y)
    if not same and type(x) == "number" then
      same = math.abs(x - y) <= tolerance * math.max(1, math.abs(x))
    end
    if not same then return ("element %d: %s against %s"):format(i, tostring(x), tostring(y)) end
  end
end

--- What differs between two runs, nil when nothing does. tolerance 0: the same bits.
function M.difference(a, b, tolerance)
  for name, list in pairs(a) do
    if not b[name] then return name .. " is missing" end
    local wrong = first_difference(list, b[name], tolerance)
    if wrong then return name .. ", " .. wrong end
  end
end

--- A row's samples, parsed.
function M.samples(row)
  local list = {}
  for i, text in ipairs(row.samples) do list[i] = samples.parse(text) end
  return list
end

-- Sizes grow alike, so that those which must agree still do, until some input or result has this many values.
local ENOUGH = 70000 -- several pieces of any row
local function factor_for(row, sample)
  local factor
  local function consider(shape)
    local rank, n = 0, 1
    for _, size in ipairs(shape) do
      if size > 1 then rank, n = rank + 1, n * size end
    end
    if rank > 0 then factor = math.min(factor or math.huge, math.ceil((ENOUGH / n) ^ (1 / rank))) end
  end
  for _, input in ipairs(sample.inputs) do consider(input.shape or {}) end
  for _, out in ipairs(samples.call(row, sample, samples.tensors(sample, {}))) do consider(out:shape()) end
  return factor and factor > 1 and factor or nil
end

--- A sample of the row with sizes worth several threads, nil when none of them can grow (options that
-- name sizes).
function M.large_sample(row)
  for _, text in ipairs(row.samples) do
    local factor = factor_for(row, samples.parse(text))
    if factor and not text:find "[%[,]0[%],]" then
      local sample = samples.parse(text, factor)
      if pcall(M.run, row, sample) then return sample end
    end
  end
end

return M
