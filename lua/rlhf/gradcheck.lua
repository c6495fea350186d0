--- Checks backward against differences of forward.
-- For each f32 input the derivative along one direction v, a generic one with the signs of the gradient, so
-- that nothing cancels and one per cent too much shows:
--     D(h) = sum of w * (f(x + h v) - f(x - h v)) / 2h,   (4 D(h/2) - D(h)) / 3   against   sum of grad * v
-- w are fixed weights of the outputs; both sums are in double.
-- @module rlhf.gradcheck
local core = require "rlhf.core"
local option = require "rlhf.option"

-- Steps, in units of the input's size. The second is for inputs with a corner inside the first.
local STEPS = {0x1p-7, 0x1p-10}

local function flatten(values, out)
  if type(values) ~= "table" then
    out[#out + 1] = values
  else
    for _, v in ipairs(values) do flatten(v, out) end
  end
  return out
end

local function flat(t) return flatten(t:totable(), {}) end

-- Writes a list of numbers into a tensor of any shape.
local function set(t, list)
  core.no_grad(function()
    local position = 0
    local function level(part, rank)
      if rank == 0 then
        position = position + 1
        part:fill_(list[position])
      else
        for i = 1, #part do level(part[i], rank - 1) end
      end
    end
    level(t, #t:shape())
  end)
end

local function leaf(t)
  if t:dtype() ~= "f32" then return t end
  return core.zeros(t:shape()):copy_(t:detach()):requires_grad()
end

-- Calls f; returns its f32 results, raising at gradcheck's caller where there are none.
local function results_of(f, inputs)
  local results = table.pack(f(table.unpack(inputs, 1, inputs.n)))
  local floats = {}
  for i = 1, results.n do
    local y = results[i]
    if type(y) ~= "userdata" then
      error(("gradcheck: f returned %s as result %d, tensor wanted"):format(type(y), i), 3)
    end
    if y:dtype() == "f32" then floats[#floats + 1] = y end
  end
  if #floats == 0 then error("gradcheck: f returned no f32 tensor", 3) end
  return floats
end

-- Weights of size 0.5 to 1.5 and either sign, like each result.
local function weights_for(results, seed)
  local weights = {}
  for k, y in ipairs(results) do
    local size = core.rand(y:shape(), {seed = seed, stream = 2 * k})
    local side = core.rand(y:shape(), {seed = seed, stream = 2 * k + 1})
    local w, s, signs = core.zeros(y:shape()), flat(size), flat(side)
    for i = 1, #s do s[i] = (0.5 + s[i]) * (signs[i] < 0.5 and -1 or 1) end
    set(w, s)
    weights[k] = w
  end
  return weights
end

local function weighted(results, weights)
  local total = 0.0
  for k, y in ipairs(results) do
    local w = flat(weights[k])
    for i, v in ipairs(flat(y)) do total = total + v * w[i] end
  end
  return total
end

-- The gradient's sign times 0.5 to 1.5; where the gradient is 0, either sign.
local function direction(gradient, size, seed, index)
  local n = #gradient
  local random = flat(core.rand({2, n}, {seed = seed, stream = 1000003 + index}))
  local v = {}
  for i = 1, n do
    local negative = gradient[i] < 0 or gradient[i] == 0 and random[n + i] < 0.5
    v[i] = (negative and -1 or 1) * (0.5 + random[i]) * size
  end
  return v
end

-- Root mean square, 0.1 at least: how far a step may reach.
local function size_of(list)
  local sum = 0.0
  for _, x in ipairs(list) do sum = sum + x * x end
  return math.max(0.1, math.sqrt(sum / #list))
end

local function slope(value_at, h)
  local function central(step) return (value_at(step) - value_at(-step)) / (2 * step) end
  return (4 * central(h / 2) - central(h)) / 3
end

-- nil, or what is wrong with the gradient of input i.
local function check_input(f, inputs, i, weights, options)
  local x = inputs[i]
  local at, gradient = flat(x), x:grad() and flat(x:grad()) or {}
  for j = 1, #at do gradient[j] = gradient[j] or 0.0 end
  local v = direction(gradient, size_of(at), options.seed, i)
  local got, want = 0.0, nil
  for j = 1, #at do got = got + gradient[j] * v[j] end
  local function value_at(h)
    local moved = {}
    for j = 1, #at do moved[j] = at[j] + h * v[j] end
    set(x, moved)
    return weighted(core.no_grad(results_of, f, inputs), weights)
  end
  for _, h in ipairs(STEPS) do
    want = slope(value_at, h)
    if math.abs(got - want) <= options.tolerance * math.max(math.abs(got), math.abs(want), 1e-4) then
      want = nil
      break
    end
  end
  set(x, at)
  return want and ("input %d: backward gives %.6g along a direction, differences of forward %.6g"):format(i, got, want)
end

--- Does backward give what forward's differences give?
-- @function gradcheck
-- @tparam function f takes the inputs, returns one or more tensors; the f32 ones are checked
-- @tparam {tensor,...} inputs those of f32 are checked, one by one; they are copied, never changed
-- @tparam[opt] table options `seed` = 1 of directions and weights, `tolerance` = 2e-3 (relative)
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string the input and both numbers
-- @raise when f returns no f32 tensor
return function(f, inputs, options)
  options = option.check(options, {seed = 1, tolerance = 2e-3}, "gradcheck", 2)
  if type(inputs) ~= "table" then error("gradcheck: a list of inputs wanted, got " .. type(inputs), 2) end
  local leaves = {n = #inputs}
  for i = 1, leaves.n do leaves[i] = leaf(inputs[i]) end
  local results = results_of(f, leaves)
  local weights = weights_for(results, options.seed)
  for k, y in ipairs(results) do y:backward(weights[k], {retain = k < #results}) end
  for i = 1, leaves.n do
    local x = leaves[i]
    local wrong = x:dtype() == "f32" and x:numel() > 0 and check_input(f, leaves, i, weights, options)
    if wrong then return nil, wrong end
  end
  return true
end
