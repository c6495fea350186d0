-- Between flat Lua lists and tensors, for specs. Rests on rlhf.tensor, rlhf.zeros and :totable() alone.
local rlhf = require "rlhf"

local M = {}

function M.count(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

local function nest(data, shape, depth, at)
  if depth > #shape then return data[at], at + 1 end
  local list = {}
  for i = 1, shape[depth] do list[i], at = nest(data, shape, depth + 1, at) end
  return list, at
end

--- A tensor from a flat row-major list. dtype "f32" (default), "i64" or "bool"; shape {} makes a scalar.
function M.tensor(data, shape, dtype)
  if M.count(shape) == 0 then return rlhf.zeros(shape, {dtype = dtype}) end
  return rlhf.tensor((nest(data, shape, 1, 1)), {dtype = dtype})
end

local function flatten(value, into)
  if type(value) ~= "table" then
    into[#into + 1] = value
  else
    for i = 1, #value do flatten(value[i], into) end
  end
  return into
end

--- A tensor's values as a flat row-major list.
function M.flat(t) return flatten(t:totable(), {}) end

--- The nearest f32 to a number.
function M.f32(x) return (string.unpack("f", string.pack("f", x))) end

return M
