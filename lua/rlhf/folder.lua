--- Model folders of Hugging Face: config.json, weights in safetensors, tokenizer files; in and out.
-- @submodule rlhf
local core = require "rlhf.core"
local option = require "rlhf.option"
local models = require "rlhf.model"
local safetensors = require "rlhf.safetensors"

local M = {}

local CONFIG_LIMIT = 1 << 20 -- bytes

local function read_json(path)
  local text, message = core.read_file(path, CONFIG_LIMIT)
  if not text then return nil, message end
  local value
  value, message = core.json_decode(text)
  if type(value) ~= "table" or core.is_array(value) then return nil, path .. ": " .. (message or "an object wanted") end
  return value
end

local function architecture(config)
  local arch = models.architectures[config.model_type or false]
  if arch then return arch end
  local got = config.model_type
  local shown = type(got) == "string" and ("'%s'"):format(got) or type(got)
  return nil, ("model_type: 'gpt2' or 'llama' is supported, got %s"):format(shown)
end

local function is_reward(config)
  local name = type(config.architectures) == "table" and config.architectures[1]
  return type(name) == "string" and name:find "ForSequenceClassification$" ~= nil
end

-- Settings from config.json, or nil and the message.
local function read_settings(path)
  local config, message = read_json(path)
  if not config then return nil, message end
  local arch, settings
  arch, message = architecture(config)
  if not arch then return nil, path .. ": " .. message end
  settings, message = arch.settings(config)
  if not settings then return nil, path .. ": " .. message end
  settings.head = not is_reward(config)
  return settings, arch, config
end

-- A config that asks for more than the files hold is told before anything is allocated.
local function check_size(reader, settings, path)
  local count, message = core.decoder_count(settings)
  if not count then return nil, path .. ": " .. message end
  local stored = 0
  for _, name in ipairs(reader:names()) do
    local n = 1
    for _, size in ipairs(reader:info(name).shape) do n = n * size end
    stored = stored + n
  end
  if stored >= count then return true end
  return nil, ("%s: describes %d parameters, but the weights hold %d numbers"):format(path, count, stored)
end

-- The stored name of a parameter: as the architecture has it, or without its prefix.
local function stored_name(stored, arch, name)
  if stored[name] then return name end
  local bare = name:sub(1, #arch.prefix) == arch.prefix and name:sub(#arch.prefix + 1)
  return bare and stored[bare] and bare or nil
end

local function is_ignored(arch, name)
  for _, pattern in ipairs(arch.ignored) do
    if name:find(pattern) then return true end
  end
  -- a tied head that is stored all the same, and a reward model's head, which rlhf.reward_model reads
  return name == "lm_head.weight" or name:find "^score%." ~= nil
end

local function read_weights(model, reader, path)
  local stored = {}
  for _, name in ipairs(reader:names()) do stored[name] = true end
  for _, p in ipairs(model.list) do
    local name = stored_name(stored, model.arch, p:name())
    if not name then return nil, ("%s: tensor '%s' is missing"):format(path, p:name()) end
    local dtype = reader:info(name).dtype
    if not dtype:find "^B?F%d" then
      return nil, ("%s: tensor '%s': floats wanted, got %s"):format(path, name, dtype)
    end
    local ok, message = reader:read_into(name, p)
    if not ok then return nil, message end
    stored[name] = nil
  end
  for _, name in ipairs(reader:names()) do
    if stored[name] and not is_ignored(model.arch, name) then
      return nil, ("%s: tensor '%s' is no parameter of a %s model"):format(path, name, model.arch.model_type)
    end
  end
  return true
end

local function load_model(base)
  local settings, arch, config = read_settings(base .. "config.json")
  if not settings then return nil, arch end
  local reader, message = safetensors.open(base)
  if not reader then return nil, message end
  local scope <close> = reader -- closed on every way out
  local ok
  ok, message = check_size(reader, settings, base .. "config.json")
  if not ok then return nil, message end
  local model
  model, message = models.new(arch, settings, config)
  if not model then return nil, base .. "config.json: " .. message end
  ok, message = read_weights(model, reader, base)
  if not ok then return nil, message end
  if core.file_info(base .. "generation_config.json") then
    model.generation, message = read_json(base .. "generation_config.json")
    if not model.generation then return nil, message end
  end
  return model
end

--- Loads a model folder, and its tokenizer where it has one (then model.tokenizer, too).
-- @tparam string path
-- @tparam[opt] table options `dtype` = "f32", the only one; `tokenizer` = true: false leaves it alone
-- @treturn model|nil nil when a file is missing, breaks its format or asks for what is not supported
-- @treturn tokenizer|string|nil the tokenizer, or the message: file, field, what is wrong
-- @raise on a path that is no string, on unknown options
function M.load(path, options)
  if type(path) ~= "string" then error("rlhf.load: path: string wanted, got " .. type(path), 2) end
  options = option.check(options, {dtype = "f32", tokenizer = true}, "rlhf.load", 2)
  if options.dtype ~= "f32" then error(("rlhf.load: dtype: 'f32' wanted, got '%s'"):format(options.dtype), 2) end
  local base = path:gsub("/*$", "/")
  local model, message = load_model(base)
  if not model then return nil, message end
  if not options.tokenizer or not core.file_info(base .. "tokenizer.json") then return model end
  local tokenizer
  tokenizer, message = require "rlhf.tokenizer".load(path)
  if not tokenizer then return nil, message end
  model.tokenizer = tokenizer
  return model, tokenizer
end

-- What transformers needs to know in config.json, beside what the model was loaded or made with.
local function config_text(model, reward)
  local config = {}
  for key, value in pairs(model.config) do config[key] = value end
  config.torch_dtype = nil
  config.dtype = "float32"
  config.architectures = {reward and model.arch.reward or model.arch.causal}
  if reward then config.num_labels = 1 end
  return core.json_encode(config, {indent = 2}) .. "\n"
end

--- Saves tensors, a model's config and a tokenizer as a folder: what rlhf.save and reward models share.
-- @local
-- @tparam string path made if it is not there
-- @tparam model model whose config it is
-- @tparam table items list of `{name =, tensor =}`
-- @tparam[opt] tokenizer tokenizer
-- @tparam[opt] table options `reward` = true for a sequence classifier's config
-- @treturn true|nil
-- @treturn ?string the message
function M.save_parts(path, model, items, tokenizer, options)
  local base = path:gsub("/*$", "/")
  local ok, message = core.make_folder(path)
  if not ok then return nil, message end
  ok, message = safetensors.save(base .. "model.safetensors", items)
  if not ok then return nil, message end
  ok, message = core.write_file(base .. "config.json", config_text(model, options and options.reward))
  if ok and model.generation then
    ok, message = core.write_file(base .. "generation_config.json", core.json_encode(model.generation, {indent = 2}) .. "\n")
  end
  if not ok or not tokenizer then return ok, message end
  return tokenizer:save(path)
end

--- Saves a model or a reward model, and its tokenizer where given, as a folder that transformers loads.
-- Each file is written beside its name, synced and renamed: never a part of one.
-- @tparam string path made if it is not there
-- @tparam model|reward_model model
-- @tparam[opt] tokenizer tokenizer
-- @treturn true|nil
-- @treturn ?string the message
-- @raise on what is no model
function M.save(path, model, tokenizer)
  if type(path) ~= "string" then error("rlhf.save: path: string wanted, got " .. type(path), 2) end
  if type(model) == "table" and type(model.save) == "function" then return model:save(path, tokenizer) end
  if not models.is(model) then error("rlhf.save: model: a model wanted, got " .. type(model), 2) end
  local items = {}
  for i, p in ipairs(model.list) do items[i] = {name = p:name(), tensor = p} end
  return M.save_parts(path, model, items, tokenizer)
end

return M
