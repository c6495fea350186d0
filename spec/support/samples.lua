-- The little language in which rows give sample calls (c/ops/row.h): parsed here, filled with seeded
-- values, made into tensors. "f[2,3] f[3]; {eps = 1e-3}".
local values = require "support.values"
local core = require "rlhf.core"
local rlhf = require "rlhf"

local M = {}

-- Seeded numbers of our own: the same on every machine and whatever busted does to math.random.
local function generator(text)
  local state = 0x9E3779B97F4A7C15
  for i = 1, #text do state = (state ~ text:byte(i)) * 0x100000001B3 end
  return function() -- splitmix64, as a float in [0, 1)
    state = state + 0x9E3779B97F4A7C15
    local z = state
    z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ~ (z >> 27)) * 0x94D049BB133111EB
    z = z ~ (z >> 31)
    return (z >> 11) * 0x1p-53
  end
end
M.generator = generator

local function normal(random)
  local x = math.sqrt(-2 * math.log(1 - random())) * math.cos(2 * math.pi * random())
  return x + (x < 0 and -0.05 or 0.05) -- kinks at 0 stay outside of finite differences
end

local function shuffled(random, n)
  local list = {}
  for i = 1, n do list[i] = i end
  for i = n, 2, -1 do
    local j = 1 + math.floor(random() * i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

local fill = {}
function fill.f(n, random)
  local data = {}
  for i = 1, n do data[i] = values.f32(normal(random)) end
  return data
end
fill["f+"] = function(n, random)
  local data = {}
  for i = 1, n do data[i] = values.f32(0.5 + 1.5 * random()) end
  return data
end
fill["f="] = function(n, random)
  local data = shuffled(random, n)
  for i = 1, n do data[i] = values.f32(0.06 * (data[i] - n / 2) + 0.01) end
  return data
end
function fill.i(n, random, below)
  local data = {}
  for i = 1, n do data[i] = math.floor(random() * below) end
  return data
end
function fill.b(n, random)
  local data = {}
  for i = 1, n do data[i] = random() < 0.5 end
  return data
end

local dtypes = {f = "f32", c = "f32", i = "i64", b = "bool"}

local function read_input(text)
  if text == "-" then return {left_out = true} end
  local kind, below, sizes = text:match "^(%a[+=]?)<?(%d*)%[(.-)%]$"
  local letter = kind and kind:sub(1, 1)
  assert(dtypes[letter], "cannot read sample input " .. text)
  local shape = {}
  for size in sizes:gmatch "%d+" do shape[#shape + 1] = math.tointeger(size) end
  return {fill = fill[kind:gsub("^c", "f")], dtype = dtypes[letter], graded = letter == "f", shape = shape, below = tonumber(below)}
end

--- One sample: {text=, inputs = list of {dtype=, shape=, data=, graded = can it have a gradient?, left_out=}, list = is it one list?, options=}.
-- `factor` multiplies every size above 1 (for calls that are worth several threads).
function M.parse(text, factor)
  local calls, options = text:match "^(.-)%s*;%s*(.*)$"
  calls = calls or text
  local inside = calls:match "^%s*%((.*)%)%s*$"
  local sample = {text = text, inputs = {}, list = inside ~= nil}
  sample.options = options and assert(load("return " .. options, text, "t", {}))()
  local random = generator(text)
  for word in (inside or calls):gmatch "%S+" do
    local input = read_input(word)
    if not input.left_out then
      for d, size in ipairs(input.shape) do input.shape[d] = size > 1 and size * (factor or 1) or size end
      input.data = input.fill(values.count(input.shape), random, input.below)
    end
    sample.inputs[#sample.inputs + 1] = input
  end
  return sample
end

local function reversed_flat(data, shape) -- the data of the transposed tensor
  local rank, out = #shape, {}
  local strides, stride = {}, 1
  for d = rank, 1, -1 do strides[d], stride = stride, stride * shape[d] end
  local function walk(d, at)
    if d == 0 then out[#out + 1] = data[at] return end
    for i = 0, shape[d] - 1 do walk(d - 1, at + i * strides[d]) end
  end
  walk(rank, 1)
  return out
end

local function reversed(list)
  local out = {}
  for i = #list, 1, -1 do out[#out + 1] = list[i] end
  return out
end

local function doubled(data)
  local out = {}
  for i, v in ipairs(data) do out[2 * i - 1], out[2 * i] = v, v end
  return out
end

-- A tensor of these values whose elements do not lie side by side is a view of a leaf: of the whole
-- transposed, or for one dimension of every second element. Scalars are as they are.
local function strided_leaf(input, data)
  local shape = input.shape
  if #shape == 0 then return values.tensor(data, shape, input.dtype) end
  if #shape == 1 then return values.tensor(doubled(data), {2 * shape[1]}, input.dtype) end
  return values.tensor(reversed_flat(data, shape), reversed(shape), input.dtype)
end

local function strided_view(leaf, rank)
  if rank == 0 then return leaf end
  if rank == 1 then return rlhf.slice(leaf, {dim = 1, start = 1, step = 2}) end
  local dims = {}
  for d = 1, rank do dims[d] = rank + 1 - d end
  return rlhf.permute(leaf, {dims = dims})
end

-- A leaf's gradient in the order of the input's values.
local function gradient_of(input, leaf, is_strided)
  local g = leaf:grad()
  if not g then return nil end
  local flat = values.flat(g)
  if not is_strided or #input.shape == 0 then return flat end
  if #input.shape > 1 then return reversed_flat(flat, reversed(input.shape)) end
  local out = {}
  for i = 1, input.shape[1] do out[i] = flat[2 * i - 1] end
  return out
end

--- Tensors for a sample's inputs. `how`: {strided = true, grad = true or set of indices,
-- data = {[i] = other values of input i}}. Returns a list with n, and gradient(i) -> flat list or nil.
function M.tensors(sample, how)
  local args, leaves = {n = #sample.inputs}, {}
  for i, input in ipairs(sample.inputs) do
    if not input.left_out then
      local data = how.data and how.data[i] or input.data
      local leaf = how.strided and strided_leaf(input, data) or values.tensor(data, input.shape, input.dtype)
      local wanted = input.graded and (how.grad == true or type(how.grad) == "table" and how.grad[i])
      if wanted then leaf:requires_grad() end
      args[i] = how.strided and strided_view(leaf, #input.shape) or leaf
      leaves[i] = leaf
    end
  end
  return args, function(i) return gradient_of(sample.inputs[i], leaves[i], how.strided) end
end

--- Calls a row. Returns the list of its results.
function M.call(row, sample, args)
  local f = core.ops[row.name]
  if sample.list then return {f({table.unpack(args, 1, args.n)}, sample.options)} end
  if sample.options == nil then return {f(table.unpack(args, 1, args.n))} end
  args[args.n + 1] = sample.options
  local results = {f(table.unpack(args, 1, args.n + 1))}
  args[args.n + 1] = nil
  return results
end

return M
