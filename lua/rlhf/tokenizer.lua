--- Tokenizers: Hugging Face's tokenizer.json with byte-pair encoding, read, trained, written back.
-- Ids count from 0 and are those of the tokenizers library. Texts are UTF-8; bytes that are none count as
-- U+FFFD. Byte-pair encoding: Sennrich et al. 2016; over bytes: Radford et al. 2019.
-- @module rlhf.tokenizer
local core = require "rlhf.core"
local option = require "rlhf.option"
local train = require "rlhf.tokenizer_train"

local M = {}

--- What load and train return.
-- @type tokenizer
local tokenizer = {__name = "rlhf.tokenizer"}
tokenizer.__index = tokenizer

local main = "tokenizer.json"
local others = {"tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}
local roles = {"bos", "eos", "pad", "unk"}

-- ---- making one ----

-- The text of a special token as the files spell it: a string or {content = string}.
local function content_of(value)
  if type(value) == "table" then value = value.content end
  return type(value) == "string" and value or nil
end

-- Which of two files speaks: tokenizer_config.json where it names a token, else special_tokens_map.json.
local function find_role(self, configs, role)
  for _, name in ipairs {"tokenizer_config.json", "special_tokens_map.json"} do
    local value = configs[name] and configs[name][role .. "_token"]
    if value ~= nil and value ~= core.null then
      local text = content_of(value)
      if not text then return nil, ("%s: %s_token: a string or an object with \"content\" wanted"):format(name, role) end
      local id = self.core:id(text)
      if not id then return nil, ("%s: %s_token '%s' is not in %s"):format(name, role, text, main) end
      return id
    end
  end
end

local function read_config(name, text)
  local config, message = core.json_decode(text)
  if config == nil then return nil, name .. ": " .. message end
  if type(config) ~= "table" or core.is_array(config) then return nil, name .. ": an object wanted" end
  return config
end

-- From the files' texts by name to a tokenizer; messages begin with a file's name.
local function make(files)
  local object, message = core.tokenizer_read(files[main])
  if not object then return nil, main .. ": " .. message end
  local self = setmetatable({core = object, files = files, ids = {}}, tokenizer)
  local configs = {}
  for _, name in ipairs {"tokenizer_config.json", "special_tokens_map.json"} do
    if files[name] then
      configs[name], message = read_config(name, files[name])
      if message then return nil, message end
    end
  end
  for _, role in ipairs(roles) do
    self.ids[role], message = find_role(self, configs, role)
    if message then return nil, message end
  end
  return self
end

--- Reads a tokenizer.
-- Beside `tokenizer.json` its folder's `tokenizer_config.json` and `special_tokens_map.json` are read: they
-- name the special tokens.
-- @tparam string path a model folder, or a file in the format of tokenizer.json
-- @treturn[1] tokenizer
-- @treturn[2] nil
-- @treturn[2] string what is wrong, with file and place: `DIR/tokenizer.json: model.type 'Unigram' is not
--   supported (BPE is)`
-- @static
function M.load(path)
  if type(path) ~= "string" then error("tokenizer.load: a path wanted, got " .. type(path), 2) end
  local info, message = core.file_info(path)
  if not info then return nil, message end
  local folder, file = path, path .. "/" .. main
  if info.type ~= "folder" then folder, file = path:match "^(.*)/[^/]*$" or ".", path end
  local files = {}
  files[main], message = core.read_file(file)
  if not files[main] then return nil, message end
  for _, name in ipairs(others) do
    local there = core.file_info(folder .. "/" .. name)
    if there then
      files[name], message = core.read_file(folder .. "/" .. name)
      if not files[name] then return nil, message end
    end
  end
  local self
  self, message = make(files)
  if not self then return nil, message:sub(1, #main) == main and file .. message:sub(#main + 1) or folder .. "/" .. message end
  return self
end

--- Trains byte-level byte-pair encoding.
-- Counts how often pieces of text occur and joins the most frequent pair of neighbours again and again, as
-- the tokenizers library's BpeTrainer does: with the same texts and options it gives the same tokens. Ids:
-- special tokens, then the 256 bytes, then merges. Special tokens in the text are passed over.
-- @tparam table options
--
--   * `text`: a list of strings, or a function that returns the next string and nil at the end
--   * `files`: in place of text, a list of paths
--   * `vocab_size`: how many tokens in all; fewer when no pair is left
--   * `special` = {}: texts of special tokens; `bos`, `eos`, `pad` name one each (and add it)
--   * `pattern` = "gpt2" or "llama3": how text is split before
--   * `min_frequency` = 2: a rarer pair is not joined
-- @treturn[1] tokenizer
-- @treturn[2] nil
-- @treturn[2] string which file can't be read
-- @raise on unknown or impossible options
-- @static
function M.train(options)
  local files, message = train.run(options, 2)
  if not files then return nil, message end
  return assert(make(files))
end

-- ---- using it ----

local encode_known = {special = true}
local decode_known = {skip_special = false}

local function check_self(self, name)
  if getmetatable(self) ~= tokenizer then
    error(("tokenizer:%s: call it with a colon, tok:%s(...)"):format(name, name), 3)
  end
end

--- Ids of a text.
-- @tparam string text
-- @tparam[opt] table options `special` = true: with the tokens that the file's post-processor puts around a
--   text, where it has any (Llama's begin of text). Special tokens that stand in the text are recognised
--   either way.
-- @treturn {int,...}
function tokenizer:encode(text, options)
  check_self(self, "encode")
  if type(text) ~= "string" then error("tokenizer:encode: a string wanted, got " .. type(text), 2) end
  local special = options == nil or option.check(options, encode_known, "tokenizer:encode").special
  return self.core:encode(text, special)
end

--- Text of ids. Bytes that are no UTF-8 become U+FFFD; ids that are no token's become nothing.
-- @tparam {int,...} ids
-- @tparam[opt] table options `skip_special` = false: leave special tokens out
-- @treturn string
function tokenizer:decode(ids, options)
  check_self(self, "decode")
  if type(ids) ~= "table" then error("tokenizer:decode: a list of ids wanted, got " .. type(ids), 2) end
  local skip = options ~= nil and option.check(options, decode_known, "tokenizer:decode").skip_special
  return self.core:decode(ids, skip)
end

--- A stream: text from ids that come one by one, never cut inside a character.
-- `s:feed(id)` returns the text that is complete with it (maybe ""), `s:finish()` the rest. All of it
-- together is what decode gives.
-- @tparam[opt] table options `skip_special` = false
-- @return the stream
function tokenizer:stream(options)
  check_self(self, "stream")
  return self.core:stream(options ~= nil and option.check(options, decode_known, "tokenizer:stream").skip_special)
end

for _, role in ipairs(roles) do
  tokenizer[role] = function(self)
    check_self(self, role)
    return self.ids[role]
  end
end

--- Id of the token that begins a text, or nil. Likewise `tok:eos()`, `tok:pad()`, `tok:unk()`.
-- @function tokenizer:bos
-- @treturn ?int

--- A token's text as the file spells it (in a byte-level vocabulary "Ġ" is a space), or nil.
-- @tparam int id
-- @treturn ?string
function tokenizer:token(id)
  check_self(self, "token")
  if math.type(id) ~= "integer" then error("tokenizer:token: an integer wanted, got " .. tostring(id), 2) end
  return self.core:token(id)
end

--- The id of a token as the file spells it, or nil.
-- @tparam string text
-- @treturn ?int
function tokenizer:id(text)
  check_self(self, "id")
  if type(text) ~= "string" then error("tokenizer:id: a string wanted, got " .. type(text), 2) end
  return self.core:id(text)
end

--- Writes the files that were read, or what training made, byte for byte.
-- @tparam string folder made if it isn't there
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string what went wrong
function tokenizer:save(folder)
  check_self(self, "save")
  if type(folder) ~= "string" then error("tokenizer:save: a path wanted, got " .. type(folder), 2) end
  local ok, message = core.make_folder(folder)
  for _, name in ipairs {main, table.unpack(others)} do
    if ok and self.files[name] then ok, message = core.write_file(folder .. "/" .. name, self.files[name]) end
  end
  return ok, message
end

--- Do two tokenizers come from the same tokenizer.json, so that ids of one mean the same to the other?
-- @tparam tokenizer other
-- @treturn boolean
function tokenizer:same(other)
  return rawequal(self, other) or self.files[main] == other.files[main]
end

--- How many tokens there are, added ones included: `#tok`.
-- @treturn int
function tokenizer:__len() return (self.core:count()) end

function tokenizer:__tostring() return ("tokenizer: byte-pair encoding, %d tokens"):format(#self) end

return M
