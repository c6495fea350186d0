--- Tensors of a model, whether in one file or in shards.
-- `open` takes a `.safetensors` file, a `model.safetensors.index.json`, or a folder that has either, and
-- answers alike for all three. Headers are read and checked at once, values when they are asked for.
-- Files are untrusted: an index names plain files of its own folder, and it and the shards agree on
-- every tensor. Formats: https://github.com/huggingface/safetensors, and the index of transformers.
-- @module rlhf.safetensors
local core = require "rlhf.core"

local M = {}

local SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
local INDEX_LIMIT = 100000000 -- bytes, as of a header

local Reader = {}
Reader.__index = Reader

-- A name that can only mean a file of the index's own folder.
local function is_plain(file)
  return file ~= "" and file ~= "." and file ~= ".." and not file:find "[/\\\0]"
end

local function exists(path)
  local info = core.file_info(path)
  return info ~= nil and info.type == "file"
end

-- tensor name -> file name, from the index's text.
local function read_weight_map(path)
  local text, message = core.read_file(path, INDEX_LIMIT)
  if not text then return nil, message end
  local index
  index, message = core.json_decode(text, {limit = INDEX_LIMIT})
  if index == nil then return nil, path .. ": " .. message end
  local map = type(index) == "table" and index.weight_map
  if type(map) ~= "table" or core.is_array(map) then return nil, path .. ": weight_map is not an object" end
  for _, name in ipairs(core.json_keys(map)) do
    local file = map[name]
    if type(file) ~= "string" or not is_plain(file) then
      local shown = type(file) == "string" and ("'%s'"):format(file) or type(file)
      return nil, ("%s: tensor '%s': a plain file name wanted, got %s"):format(path, name, shown)
    end
  end
  return map
end

-- Every tensor of the shard is mapped to it.
local function check_listed(path, map, shard, file)
  for _, name in ipairs(shard:names()) do
    if map[name] == nil then return nil, ("%s: tensor '%s' of %s is not listed"):format(path, name, file) end
    if map[name] ~= file then
      return nil, ("%s: tensor '%s' is in %s, listed in %s"):format(path, name, file, map[name])
    end
  end
  return true
end

local function open_shards(self, path, map)
  local folder = path:match "^(.*/)[^/]*$" or ""
  for _, name in ipairs(core.json_keys(map)) do
    local file = map[name]
    local shard = self.shards[file]
    if not shard then
      local message
      shard, message = core.safetensors_open(folder .. file)
      if not shard then return nil, message end
      self.shards[file] = shard
      local ok
      ok, message = check_listed(path, map, shard, file)
      if not ok then return nil, message end
    end
    if not shard:info(name) then
      return nil, ("%s: tensor '%s' is not in %s"):format(path, name, file)
    end
    self.where[name] = shard
  end
  return true
end

local function open_index(path)
  local map, message = read_weight_map(path)
  if not map then return nil, message end
  local self = setmetatable({path = path, shards = {}, where = {}}, Reader)
  local ok
  ok, message = open_shards(self, path, map)
  if ok then return self end
  self:close()
  return nil, message
end

local function open_file(path)
  local shard, message = core.safetensors_open(path)
  if not shard then return nil, message end
  local where = {}
  for _, name in ipairs(shard:names()) do where[name] = shard end
  return setmetatable({path = path, shards = {[path] = shard}, where = where}, Reader)
end

local function open_folder(folder)
  local base = folder:gsub("/*$", "/")
  if exists(base .. SINGLE) then return open_file(base .. SINGLE) end
  if exists(base .. INDEX) then return open_index(base .. INDEX) end
  if exists(base .. "pytorch_model.bin") or exists(base .. "pytorch_model.bin.index.json") then
    return nil, folder .. ": its weights are pickled (pytorch_model.bin), which can run code and is not read; "
      .. "convert them with transformers: from_pretrained(folder).save_pretrained(folder)"
  end
  return nil, ("%s: has neither %s nor %s"):format(folder, SINGLE, INDEX)
end

--- Opens a model's tensors.
-- @tparam string path a `.safetensors` file, an index file (its name ends in `.json`) or a folder
-- @treturn Reader|nil nil when a file cannot be read or breaks its format
-- @treturn ?string the message: file, tensor, what is wrong
function M.open(path)
  if type(path) ~= "string" then error("path: string expected, got " .. type(path), 2) end
  local info, message = core.file_info(path)
  if not info then return nil, message end
  if info.type == "folder" then return open_folder(path) end
  if path:find "%.json$" then return open_index(path) end
  return open_file(path)
end

--- Saves tensors in one file, safely: the old file or the new one stands there, never a part.
-- @tparam string path
-- @tparam {{name=string,tensor=Tensor},...} items f32, i64, bool or bf16; order does not matter
-- @tparam[opt] {[string]=string} metadata `format = "pt"` is added
-- @treturn true|nil
-- @treturn ?string the message
-- @function save
M.save = core.safetensors_save

-- The shard that has the tensor, or nil and a message.
local function find(self, name)
  if not self.where then error("attempt to use a closed safetensors reader", 3) end
  if type(name) ~= "string" then error("name: string expected, got " .. type(name), 3) end
  local shard = self.where[name]
  if shard then return shard end
  return nil, ("%s: no tensor '%s'"):format(self.path, name)
end

--- Names of all tensors, sorted.
-- @treturn {string,...}
function Reader:names()
  if not self.where then error("attempt to use a closed safetensors reader", 2) end
  return core.json_keys(self.where)
end

--- A tensor's type, shape and size in the file.
-- @tparam string name
-- @treturn {dtype=string,shape={int,...},bytes=int}|nil dtype as in the file: `"F32"`, `"BF16"`, ...
-- @treturn ?string the message
function Reader:info(name)
  local shard, message = find(self, name)
  if not shard then return nil, message end
  return shard:info(name)
end

--- Reads a tensor: floats of all kinds as f32, integers as i64, BOOL as bool.
-- @tparam string name
-- @tparam[opt] {check_finite=bool} options `check_finite`: a NaN or infinity is an error
-- @treturn Tensor|nil
-- @treturn ?string the message
function Reader:read(name, options)
  local shard, message = find(self, name)
  if not shard then return nil, message end
  return shard:read(name, options)
end

--- Reads a tensor into a contiguous one of the same shape.
-- @tparam string name
-- @tparam Tensor tensor f32 or bf16 for floats, i64 for integers, bool for BOOL; another type raises
-- @treturn true|nil nil when the shapes differ or the file cannot be read
-- @treturn ?string the message
function Reader:read_into(name, tensor)
  local shard, message = find(self, name)
  if not shard then return nil, message end
  return shard:read_into(name, tensor)
end

--- Closes the files; tensors that were read stay.
function Reader:close()
  for _, shard in pairs(self.shards) do shard:close() end
  self.where = nil
end
Reader.__close = Reader.close

return M
