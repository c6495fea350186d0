--- Checkpoints of a run: a folder with one manifest and the file of tensors that it names. The manifest is
-- written last and renamed into place, and each save has a file of tensors of its own, so that a run which
-- is killed at any time leaves the old checkpoint or the new one, never a mix.
-- @module rlhf.checkpoint
local core = require "rlhf.core"
local safetensors = require "rlhf.safetensors"

local M = {}

local MANIFEST, VERSION = "manifest.json", 1

local function is_tensor(v) return type(v) == "userdata" and v ~= core.null end

local MARK = "$tensor" -- {[MARK] = name} stands in the manifest where a tensor was

-- A copy of plain values in which a mark stands for each tensor; the tensors go to `items`.
local function without_tensors(value, name, items)
  if is_tensor(value) then
    items[#items + 1] = {name = name, tensor = value}
    return {[MARK] = name}
  end
  if type(value) ~= "table" then return value end
  local out = core.is_array(value) and core.array {} or {}
  for key, v in pairs(value) do out[key] = without_tensors(v, name .. "." .. tostring(key), items) end
  return out
end

local function with_tensors(value, reader)
  if type(value) ~= "table" then return value end
  if value[MARK] then return assert(reader:read(value[MARK])) end
  local out = {}
  for key, v in pairs(value) do out[key] = with_tensors(v, reader) end
  return out
end

-- Files of tensors that the manifest doesn't name, and parts of saves that were interrupted.
local function remove_stale(folder, current)
  for _, name in ipairs(core.list_folder(folder) or {}) do
    local ours = name:find "^step%-%d+%.safetensors" or name:find "^manifest%.json."
    if ours and name ~= current then os.remove(folder .. "/" .. name) end
  end
end

--- Saves tables of plain values and tensors.
-- @tparam string folder made if it isn't there
-- @tparam int step names the file of tensors
-- @tparam table state plain values (finite numbers, strings, booleans, rlhf.null), lists, tables with string keys,
--   tensors
-- @treturn true|nil
-- @treturn ?string the message
function M.save(folder, step, state)
  local ok, message = core.make_folder(folder)
  if not ok then return nil, message end
  local items = {}
  local plain = without_tensors(state, "state", items)
  local file = ("step-%d.safetensors"):format(step)
  ok, message = safetensors.save(folder .. "/" .. file, items)
  if not ok then return nil, message end
  local size = assert(core.file_info(folder .. "/" .. file)).size
  local manifest = {version = VERSION, step = step, file = file, size = size, state = plain}
  ok, message = core.write_file(folder .. "/" .. MANIFEST, core.json_encode(manifest, {indent = 2}) .. "\n")
  if not ok then return nil, message end
  remove_stale(folder, file)
  return true
end

local function check_manifest(manifest, path)
  if type(manifest) ~= "table" or math.type(manifest.version) ~= "integer" or type(manifest.file) ~= "string"
      or manifest.file:find "[/\0]" or type(manifest.state) ~= "table" then
    return nil, path .. ": no manifest of a checkpoint"
  end
  if manifest.version ~= VERSION then
    return nil, ("%s: version %d, this library reads %d"):format(path, manifest.version, VERSION)
  end
  return true
end

--- Is there a complete checkpoint in the folder?
function M.exists(folder) return core.file_info(folder .. "/" .. MANIFEST) ~= nil end

--- Reads what save wrote.
-- @tparam string folder
-- @treturn table|nil the state, its tensors new ones
-- @treturn ?string the message
function M.load(folder)
  local path = folder .. "/" .. MANIFEST
  local text, message = core.read_file(path)
  if not text then return nil, message end
  local manifest, ok, reader
  manifest, message = core.json_decode(text)
  if manifest == nil then return nil, path .. ": " .. message end
  ok, message = check_manifest(manifest, path)
  if not ok then return nil, message end
  local file = folder .. "/" .. manifest.file
  local info = core.file_info(file)
  if not info or info.size ~= manifest.size then
    return nil, ("%s: incomplete checkpoint: %d bytes wanted, there are %s"):format(file, manifest.size,
      info and info.size or "none")
  end
  reader, message = safetensors.open(file)
  if not reader then return nil, message end
  local scope <close> = reader
  local good, state = pcall(with_tensors, manifest.state, reader)
  if not good then return nil, path .. ": " .. tostring(state) end
  return state
end

return M
