-- Reference data of PyTorch and its kin: where it is, how to read it, how close is close. The folder is
-- $RLHF_FIXTURES, else ../shared/fixtures from the project's root; without either, specs are pending.
-- Rests on rlhf.core.json_decode and spec/support/values.lua.
local core = require "rlhf.core"
local values = require "support.values"

local M = {}

local function exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

--- The folder, or nil.
function M.folder()
  for _, folder in ipairs {os.getenv "RLHF_FIXTURES" or false, "../shared/fixtures"} do
    if folder and exists(folder .. "/index.json") then return folder end
  end
end

--- The contents of a JSON file; `path` is relative to the folder.
function M.json(path)
  local f = assert(io.open(M.folder() .. "/" .. path, "rb"))
  local text = f:read "a"
  f:close()
  return assert(core.json_decode(text))
end

--- Names of the entries of a folder of the set that match a pattern, sorted.
function M.list(folder, pattern)
  local names = {}
  local pipe = assert(io.popen(("ls '%s/%s'"):format(M.folder(), folder)))
  for name in pipe:lines() do
    if name:find(pattern) then names[#names + 1] = name end
  end
  pipe:close()
  return names
end

--- The rlhf tensor of a fixture's {"dtype", "shape", "data"}; a bare number is a scalar.
function M.tensor(t)
  if type(t) == "number" then return values.tensor({t}, {}, "f32") end
  if t.dtype ~= "bool" then return values.tensor(t.data, t.shape, t.dtype) end
  local data = {}
  for i, v in ipairs(t.data) do data[i] = v == true or v == 1 end
  return values.tensor(data, t.shape, "bool")
end

local function list_of(x)
  if type(x) == "number" then return {x}, {} end
  if type(x) == "userdata" then return values.flat(x), x:shape() end
  if x.data then return x.data, x.shape end
  return x, {#x}
end

local function same_shape(a, b)
  if #a ~= #b then return false end
  for d = 1, #a do
    if a[d] ~= b[d] then return false end
  end
  return true
end

local function differs(got, want, tolerance)
  if type(want) ~= "number" then return got ~= want end
  if got == want then return false end
  if got ~= got or want ~= want then return (got ~= got) ~= (want ~= want) end
  return math.abs(got - want) > tolerance * math.max(1, math.abs(want))
end

--- Raises unless |got - want| <= tolerance * max(1, |want|) everywhere and the shapes are equal.
-- Both may be tensors, fixtures' tensors, lists or numbers.
function M.close(got, want, tolerance, what)
  local g, got_shape = list_of(got)
  local w, want_shape = list_of(want)
  if not same_shape(got_shape, want_shape) then
    error(("%s: shape [%s], [%s] wanted"):format(what, table.concat(got_shape, ","), table.concat(want_shape, ",")), 2)
  end
  for i = 1, #w do
    if differs(g[i], w[i], tolerance) then
      error(("%s: element %d is %s, %s wanted (within %g)"):format(what, i, tostring(g[i]), tostring(w[i]), tolerance), 2)
    end
  end
end

--- What a walker is pending with where there is no set.
M.missing = "no reference data: set RLHF_FIXTURES to its folder"

return M
