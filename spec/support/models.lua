-- The models of the reference data: which of them are walked, their batches and large tensors. Rests on
-- spec/support/fixtures.lua and rlhf.safetensors.
local fixtures = require "support.fixtures"
local rlhf = require "rlhf"
local safetensors = require "rlhf.safetensors"

local M = {}

--- Architectures of the set that are not walked -> reason.
M.SKIPPED = {
  qwen2 = "architecture of a later issue",
  qwen3 = "architecture of a later issue",
}

--- The entries of index.json that keep(entry): those to walk, those skipped by name.
function M.entries(keep)
  local walked, skipped = {}, {}
  for _, entry in ipairs(fixtures.json "index.json".models) do
    if keep(entry) then table.insert(M.SKIPPED[entry.arch] and skipped or walked, entry) end
  end
  return walked, skipped
end

--- The model of a folder of the set, without its tokenizer.
function M.load(name)
  return assert(rlhf.load(fixtures.folder() .. "/models/" .. name, {tokenizer = false}))
end

--- read(name) -> tensor of a safetensors file of the set, or nil where it has none. Close it by the second.
function M.reader(path)
  local reader = assert(safetensors.open(fixtures.folder() .. "/" .. path))
  local function read(name) return reader:info(name) and assert(reader:read(name)) end
  return read, reader
end

--- Largest |got - want| / max(1, |want|) of two tensors or nested lists of one shape.
function M.difference(got, want)
  if type(got) == "userdata" then got = got:totable() end
  if type(want) == "userdata" then want = want:totable() end
  if type(want) == "number" then
    local d = math.abs(got - want) / math.max(1, math.abs(want))
    return d == d and d or math.huge
  end
  assert(type(got) == "table" and #got == #want, "shapes differ")
  local worst = 0
  for i = 1, #want do worst = math.max(worst, M.difference(got[i], want[i])) end
  return worst
end

--- Raises unless the difference is at most `limit`.
function M.near(got, want, limit, what)
  local d = M.difference(got, want)
  if d > limit then error(("%s: differs by %g, at most %g wanted"):format(what, d, limit), 2) end
end

--- The rows of a padded fixture tensor [B,T,...] without their padding: nested lists.
function M.unpadded(tensor, mask)
  local rows, out = tensor:totable(), {}
  for i, m in ipairs(mask:totable()) do
    out[i] = {}
    for t = 1, #rows[i] do
      if m[t] == 1 then out[i][#out[i] + 1] = rows[i][t] end
    end
  end
  return out
end

--- A list of tensors as nested lists.
function M.values(list)
  local out = {}
  for i, t in ipairs(list) do out[i] = t:totable() end
  return out
end

return M
