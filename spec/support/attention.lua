-- Attention written down plainly, in double: a loop over what each token sees. For specs. Rests on
-- support.values.
local values = require "support.values"

local M = {}

--- The tokens that each token sees, oldest first: its ancestors' segments whole, its own up to itself.
-- @tparam {{number,number,number},...} segments {begin, length, parent or -1}, counted from 0
-- @tparam[opt] number window how many of them, itself included
-- @treturn {{number,...},...} by token, counted from 0
function M.seen(segments, window)
  local seen = {}
  local function add(list, segment, count)
    if segment[3] >= 0 then add(list, segments[segment[3] + 1], math.huge) end
    for i = 0, math.min(count, segment[2]) - 1 do list[#list + 1] = segment[1] + i end
  end
  for _, segment in ipairs(segments) do
    for i = 1, segment[2] do
      local list = {}
      add(list, segment, i)
      seen[segment[1] + i - 1] = table.move(list, math.max(1, #list - (window or math.huge) + 1), #list, 1, {})
    end
  end
  return seen
end

local function dot(a, at, b, bt, n)
  local sum = 0.0
  for d = 1, n do sum = sum + a[at + d] * b[bt + d] end
  return sum
end

local function axpy(w, a, at, b, bt, n)
  for d = 1, n do b[bt + d] = b[bt + d] + w * a[at + d] end
end

local function zeros(n)
  local list = {}
  for i = 1, n do list[i] = 0.0 end
  return list
end

-- weights p, and tanh where there is a softcap
local function weights(c, row, g, keys)
  local p, h, max, sum = {}, {}, -math.huge, 0.0
  for j, key in ipairs(keys) do
    local s = c.scale * dot(c.q, row, c.k, (key * c.G + g) * c.D, c.D)
    if c.softcap then
      local e = math.exp(2 * s / c.softcap)
      h[j] = (e - 1) / (e + 1)
      s = c.softcap * h[j]
    end
    p[j], max = s, math.max(max, s)
  end
  for j = 1, #p do p[j] = math.exp(p[j] - max) sum = sum + p[j] end
  for j = 1, #p do p[j] = p[j] / sum end
  return p, h
end

local function one(c, r, i, head, keys)
  local row, g = (i * c.H + head) * c.D, head // (c.H // c.G)
  local p, h = weights(c, row, g, keys)
  for j, key in ipairs(keys) do axpy(p[j], c.v, (key * c.G + g) * c.D, r.out, row, c.D) end
  local delta = dot(c.dout, row, r.out, row, c.D)
  for j, key in ipairs(keys) do
    local at = (key * c.G + g) * c.D
    local ds = p[j] * (dot(c.dout, row, c.v, at, c.D) - delta) * (1 - (h[j] or 0) ^ 2) * c.scale
    axpy(p[j], c.dout, row, r.dv, at, c.D)
    axpy(ds, c.q, row, r.dk, at, c.D)
    axpy(ds, c.k, at, r.dq, row, c.D)
  end
end

--- What attention and its backward should give.
-- @tparam table x q [N,H,D], k and v [N,G,D], dout [N,H,D]: tensors
-- @tparam {{number,...},...} seen see M.seen
-- @tparam table options scale, softcap
-- @treturn table out, dq, dk, dv: flat lists
function M.reference(x, seen, options)
  local N, H, D = table.unpack(x.q:shape())
  local G = x.k:shape()[2]
  local c = {H = H, G = G, D = D, scale = options.scale or D ^ -0.5, softcap = options.softcap}
  for name, t in pairs(x) do c[name] = values.flat(t) end
  local r = {out = zeros(N * H * D), dq = zeros(N * H * D), dk = zeros(N * G * D), dv = zeros(N * G * D)}
  for i = 0, N - 1 do
    for head = 0, H - 1 do one(c, r, i, head, seen[i]) end
  end
  return r
end

return M
