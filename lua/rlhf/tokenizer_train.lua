--- What rlhf.tokenizer.train is made of: options, the alphabet, and the files of a trained tokenizer.
-- @module rlhf.tokenizer_train
local core = require "rlhf.core"
local option = require "rlhf.option"

local M = {}

local known = {text = option.optional, files = option.optional, vocab_size = option.required, special = option.optional,
               bos = option.optional, eos = option.optional, pad = option.optional, pattern = "gpt2", min_frequency = 2}
local most = 1 << 20 -- tokens, as in c/text/vocab.h
local block = 1 << 20 -- bytes of a file that are read at once, and on to the end of the line

-- ---- JSON with its keys in order ----

-- {{key, value}, ...} -> a table that core.json_encode writes in this order
local function object(members)
  local out, keys = {}, {}
  for i, member in ipairs(members) do
    keys[i] = member[1]
    out[member[1]] = member[2]
  end
  return setmetatable(out, {__keys = keys})
end

local function byte_level(split)
  return object {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", split}}
end

local llama3 = [[(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+]]

local patterns = {
  gpt2 = function() return byte_level(true) end,
  llama3 = function()
    local split = object {{"type", "Split"}, {"pattern", {Regex = llama3}}, {"behavior", "Isolated"}, {"invert", false}}
    return object {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}}
  end,
}

-- GPT-2's characters for the 256 bytes, in the order of their code points.
local function alphabet()
  local list = {}
  for c = 33, 255 do
    if c <= 126 or (c >= 161 and c ~= 173) then list[#list + 1] = utf8.char(c) end
  end
  for c = 256, 256 + 67 do list[#list + 1] = utf8.char(c) end
  return list
end

local function added_tokens(special)
  local list = core.array {}
  for i, text in ipairs(special) do
    list[i] = object {{"id", i - 1}, {"content", text}, {"single_word", false}, {"lstrip", false}, {"rstrip", false},
                      {"normalized", false}, {"special", true}}
  end
  return list
end

-- tokens: texts from id 0 on; merges: pairs of texts
local function tokenizer_json(special, pattern, tokens, merges)
  local vocab = {}
  for i, text in ipairs(tokens) do vocab[i] = {text, i - 1} end
  local null = core.null
  local model = object {{"type", "BPE"}, {"dropout", null}, {"unk_token", null}, {"continuing_subword_prefix", null},
                        {"end_of_word_suffix", null}, {"fuse_unk", false}, {"byte_fallback", false},
                        {"ignore_merges", false}, {"vocab", object(vocab)}, {"merges", core.array(merges)}}
  local whole = object {{"version", "1.0"}, {"truncation", null}, {"padding", null},
                        {"added_tokens", added_tokens(special)}, {"normalizer", null},
                        {"pre_tokenizer", patterns[pattern]()}, {"post_processor", byte_level(true)},
                        {"decoder", byte_level(true)}, {"model", model}}
  return core.json_encode(whole, {indent = 2}) .. "\n"
end

local function config_files(options, files)
  local map = {}
  for _, role in ipairs {"bos", "eos", "pad"} do
    if options[role] then map[#map + 1] = {role .. "_token", options[role]} end
  end
  local config = {table.unpack(map)}
  config[#config + 1] = {"clean_up_tokenization_spaces", false}
  config[#config + 1] = {"tokenizer_class", "PreTrainedTokenizerFast"}
  files["special_tokens_map.json"] = core.json_encode(object(map), {indent = 2}) .. "\n"
  files["tokenizer_config.json"] = core.json_encode(object(config), {indent = 2}) .. "\n"
end

-- ---- options ----

local function wrong(level, ...) error("tokenizer.train: " .. string.format(...), level + 1) end

-- The list `special` with bos, eos and pad, each text once.
local function check_special(options, letters, level)
  local list, seen = {}, {}
  if options.special ~= nil and type(options.special) ~= "table" then
    wrong(level + 1, "special: a list of strings wanted, got %s", type(options.special))
  end
  local function add(what, text, again)
    if type(text) ~= "string" or text == "" or not utf8.len(text) then
      wrong(level + 2, "%s: UTF-8 text wanted, got %s", what, type(text) == "string" and ("%q"):format(text) or type(text))
    end
    for _, letter in ipairs(letters) do
      if text == letter then wrong(level + 2, "%s: %q is the token of a byte", what, text) end
    end
    if seen[text] and not again then wrong(level + 2, "%s: %q stands there twice", what, text) end
    if not seen[text] then list[#list + 1] = text end
    seen[text] = true
  end
  for i, text in ipairs(options.special or {}) do add(("special[%d]"):format(i), text) end
  for _, role in ipairs {"bos", "eos", "pad"} do
    if options[role] ~= nil then add(role, options[role], true) end
  end
  return list
end

local function check_numbers(options, least, level)
  local size, frequency = options.vocab_size, options.min_frequency
  if math.type(size) ~= "integer" or size < least or size > most then
    wrong(level + 1, "vocab_size: an integer from %d (the bytes and the special tokens) to %d wanted, got %s",
      least, most, tostring(size))
  end
  if math.type(frequency) ~= "integer" or frequency < 0 then
    wrong(level + 1, "min_frequency: an integer of 0 or more wanted, got %s", tostring(frequency))
  end
  if not patterns[options.pattern] then
    wrong(level + 1, "pattern: \"gpt2\" or \"llama3\" wanted, got %q", options.pattern)
  end
end

-- ---- the texts ----

local function text_iterator(text, level)
  if type(text) == "function" then return text end
  if type(text) ~= "table" then
    wrong(level + 1, "text: a list of strings or a function wanted, got %s", type(text))
  end
  local i = 0
  return function()
    i = i + 1
    return text[i]
  end
end

local function feed_texts(trainer, text, level)
  local n = 0
  for piece in text_iterator(text, level + 1) do
    n = n + 1
    if type(piece) ~= "string" then wrong(level + 1, "text %d: a string wanted, got %s", n, type(piece)) end
    trainer:feed(piece)
  end
end

-- Blocks end where lines do, so that no word is cut.
local function feed_file(trainer, path)
  local info, message = core.file_info(path)
  if not info then return nil, message end
  if info.type ~= "file" then return nil, path .. ": not a regular file" end
  local file
  file, message = io.open(path, "rb")
  if not file then return nil, message end
  for text, rest in function() return file:read(block, "L") end do trainer:feed(text .. (rest or "")) end
  file:close()
  return true
end

local function feed_files(trainer, files, level)
  if type(files) ~= "table" then wrong(level + 1, "files: a list of paths wanted, got %s", type(files)) end
  for i, path in ipairs(files) do
    if type(path) ~= "string" then wrong(level + 1, "files[%d]: a path wanted, got %s", i, type(path)) end
    local ok, message = feed_file(trainer, path)
    if not ok then return nil, message end
  end
  return true
end

--- Trains: the texts of the three files by name, or nil and a message.
-- @tparam table options those of rlhf.tokenizer.train
-- @tparam int level as error takes it in the function that calls this one
function M.run(options, level)
  options = option.check(options, known, "tokenizer.train", level + 1)
  if (options.text == nil) == (options.files == nil) then wrong(level + 1, "either text or files wanted") end
  local letters = alphabet()
  local special = check_special(options, letters, level + 1)
  check_numbers(options, #special + #letters, level + 1)
  local tokens = table.move(letters, 1, #letters, #special + 1, {table.unpack(special)})
  local trainer = assert(core.tokenizer_read(tokenizer_json(special, options.pattern, tokens, {}))):trainer()
  if options.files then
    local ok, message = feed_files(trainer, options.files, level + 1)
    if not ok then return nil, message end
  else
    feed_texts(trainer, options.text, level + 1)
  end
  local merges
  tokens, merges = trainer:run(options.vocab_size, options.min_frequency)
  local files = {["tokenizer.json"] = tokenizer_json(special, options.pattern, tokens, merges)}
  config_files(options, files)
  return files
end

return M
