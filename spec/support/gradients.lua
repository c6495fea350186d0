-- The gradient check of rows: backward against finite differences of forward, along seeded directions.
--     D = sum over outputs of g * (f(x + h v) - f(x - h v)) / 2h,   Richardson: (4 D(h/2) - D(h)) / 3
-- in double, against sum of grad * v. Two kinds of directions: random signs, whose D a wrong gradient
-- misses by its own size, and signs of the gradient, where nothing cancels and 1 % too much shows.
local samples = require "support.samples"
local values = require "support.values"

local M = {tolerance = 2e-3}

local STEP = 0x1p-6

-- One list of upstream gradients for each output that has a gradient.
local function upstream_for(row, results, random)
  local seeds = {}
  for k, out in ipairs(results) do
    if out:dtype() == "f32" and (k == 1 or not row.only_first) then
      local data = {}
      for i = 1, values.count(out:shape()) do data[i] = values.f32((random() < 0.5 and -1 or 1) * (0.5 + random())) end
      seeds[k] = data
    end
  end
  return seeds
end

-- The scalar that backward starts from: one output goes back by itself, several by their weighted sum.
local function go_back(results, seeds)
  local only = next(seeds)
  if not only then return end
  if not next(seeds, only) then
    return results[only]:backward(values.tensor(seeds[only], results[only]:shape()))
  end
  local total
  for k, seed in pairs(seeds) do
    local part = (results[k] * values.tensor(seed, results[k]:shape())):sum()
    total = total and total + part or part
  end
  total:backward()
end

local function weighted(results, seeds)
  local total = 0.0
  for k, seed in pairs(seeds) do
    for i, y in ipairs(values.flat(results[k])) do total = total + y * seed[i] end
  end
  return total
end

-- sum of outputs * seeds with input i moved by h * direction
local function moved(row, sample, how, i, direction, h, seeds)
  local data = {}
  for j, x in ipairs(sample.inputs[i].data) do data[j] = values.f32(x + h * direction[j]) end
  local args = samples.tensors(sample, {strided = how.strided, data = {[i] = data}})
  return weighted(samples.call(row, sample, args), seeds)
end

local function slope(row, sample, how, i, direction, seeds)
  local function central(h)
    return (moved(row, sample, how, i, direction, h, seeds) - moved(row, sample, how, i, direction, -h, seeds)) / (2 * h)
  end
  return (4 * central(STEP / 2) - central(STEP)) / 3
end

--- Gradients of a sample's call: a list by input (nil where none arrived), the upstream gradients used.
-- `how`: {strided =, grad = true or set of inputs, twice = call and go back twice}.
function M.backward(row, sample, how, seeds)
  local args, gradient = samples.tensors(sample, {strided = how.strided, grad = how.grad or true})
  for _ = 1, how.twice and 2 or 1 do
    local results = samples.call(row, sample, args)
    seeds = seeds or upstream_for(row, results, samples.generator(sample.text .. " upstream"))
    go_back(results, seeds)
  end
  local grads = {}
  for i, input in ipairs(sample.inputs) do
    if input.graded then grads[i] = gradient(i) end
  end
  return grads, seeds
end

local function directions_for(gradient, n, random)
  local free, aligned = {}, {}
  for j = 1, n do
    local size = 0.5 + 0.5 * random()
    free[j] = random() < 0.5 and -size or size
    aligned[j] = gradient and gradient[j] < 0 and -size or size
  end
  return {free, aligned}
end

local function check_direction(row, sample, how, i, gradient, direction, seeds)
  local got, scale = 0.0, 0.0
  for j, v in ipairs(direction) do
    local part = gradient and gradient[j] * v or 0.0
    got, scale = got + part, scale + part * part
  end
  local want = slope(row, sample, how, i, direction, seeds)
  local limit = M.tolerance * math.max(math.abs(got), math.abs(want), math.sqrt(scale), 1e-2)
  if math.abs(got - want) <= limit then return nil end
  return ("input %d: backward says %.6g along a direction, forward %.6g"):format(i, got, want)
end

local function check_input(row, sample, how, i)
  local grads, seeds = M.backward(row, sample, {strided = how.strided, grad = {[i] = true}})
  local n = #sample.inputs[i].data
  local random = samples.generator(sample.text .. " direction " .. i)
  for _, direction in ipairs(directions_for(grads[i], n, random)) do
    local wrong = check_direction(row, sample, how, i, grads[i], direction, seeds)
    if wrong then return wrong end
  end
end

--- What is wrong with a row's gradient on a sample, each input by itself; nil when nothing is.
function M.check(row, sample, how)
  for i, input in ipairs(sample.inputs) do
    local wrong = input.graded and #input.data > 0 and check_input(row, sample, how or {}, i)
    if wrong then return wrong end
  end
end
return M
