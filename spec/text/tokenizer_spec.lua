-- rlhf.tokenizer: files in and out, special tokens, ids, messages; and round trips over any text.
local core = require "rlhf.core"
local tokenizer = require "rlhf.tokenizer"
local tokenizers = require "support.tokenizers"

local function join(ids) return table.concat(ids, " ") end

-- Random numbers of our own, so that a failing text can be had again.
local function generator(seed)
  return function(n)
    seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return seed // 65536 % n
  end
end

local function random_text(random)
  local ranges = {{0, 127}, {32, 126}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFD}, {0x10000, 0x10FFFF}, {0xAC00, 0xD7A3}}
  local list = {}
  for i = 1, random(60) do
    local r = ranges[random(#ranges) + 1]
    list[i] = utf8.char(r[1] + random(r[2] - r[1] + 1))
  end
  return table.concat(list)
end

-- May the bytes begin a character, or be one?
local function begins_one(piece)
  local first = piece:byte()
  if first < 0xC2 or first > 0xF4 or #piece > (first < 0xE0 and 2 or first < 0xF0 and 3 or 4) then return first < 0x80 and #piece == 1 end
  local low, high = ({[0xE0] = 0xA0, [0xF0] = 0x90})[first] or 0x80, ({[0xED] = 0x9F, [0xF4] = 0x8F})[first] or 0xBF
  for i = 2, #piece do
    if piece:byte(i) < low or piece:byte(i) > high then return false end
    low, high = 0x80, 0xBF
  end
  return true
end

-- A text with U+FFFD for each maximal piece that is no UTF-8, as Unicode recommends.
local function repaired(bytes)
  local out, i = {}, 1
  while i <= #bytes do
    local n = 1
    while i + n <= #bytes and begins_one(bytes:sub(i, i + n)) do n = n + 1 end
    local piece = bytes:sub(i, i + n - 1)
    out[#out + 1] = utf8.len(piece) and piece or "\u{FFFD}"
    i = i + n
  end
  return table.concat(out)
end

describe("round trips", function()
  it("give back any text", function()
    local tok, random = tokenizers.trained(), generator(1)
    for _ = 1, 1000 do
      local text = random_text(random)
      assert.equal(text, tok:decode(tok:encode(text)))
    end
  end)

  it("give back any bytes with U+FFFD for what is no text", function()
    local tok, random = tokenizers.trained {pattern = "llama3"}, generator(2)
    for _ = 1, 2000 do
      local list = {}
      for i = 1, random(12) do list[i] = string.char(({random(256), 0xE2, 0xF0, 0x9F, 0x80 + random(64), 65})[random(6) + 1]) end
      local bytes = table.concat(list)
      assert.equal(repaired(bytes), tok:decode(tok:encode(bytes)), ("%q"):format(bytes))
    end
  end)
end)

describe("ids", function()
  it("know their tokens and tokens their ids", function()
    local tok = tokenizers.trained()
    for id = 0, #tok - 1 do assert.equal(id, tok:id(tok:token(id))) end
    assert.is_nil(tok:token(#tok))
    assert.is_nil(tok:token(-1))
    assert.is_nil(tok:id "no such token")
    assert.equal("tokenizer: byte-pair encoding, 300 tokens", tostring(tok))
  end)

  it("of special tokens in the text are recognised, and left out of text on request", function()
    local tok = tokenizers.trained()
    local ids = tok:encode "The end.<|endoftext|>The"
    assert.equal(0, ids[#tok:encode "The end." + 1])
    assert.equal("The end.<|endoftext|>The", tok:decode(ids))
    assert.equal("The end.The", tok:decode(ids, {skip_special = true}))
  end)

  it("that are no token's decode to nothing", function()
    local tok = tokenizers.trained()
    local ids = tok:encode "fox"
    table.insert(ids, 2, 1 << 40)
    assert.equal("fox", tok:decode(ids))
    assert.equal("", tok:decode {})
  end)

  it("get the post-processor's tokens unless told otherwise", function()
    local json = tokenizers.json {letters = "ab", tokens = {"<s>", "</s>"}, post_processor = {type = "TemplateProcessing",
      single = {{SpecialToken = {id = "<s>"}}, {Sequence = {id = "A"}}, {SpecialToken = {id = "</s>"}}},
      special_tokens = {["<s>"] = {id = "<s>", ids = {2}}, ["</s>"] = {id = "</s>", ids = {3, 3}}}}}
    tokenizers.with_folder({["tokenizer.json"] = json}, function(folder)
      local tok = assert(tokenizer.load(folder))
      assert.equal("2 0 1 3 3", join(tok:encode "ab"))
      assert.equal("0 1", join(tok:encode("ab", {special = false})))
    end)
  end)
end)

describe("special tokens", function()
  local function load(files, f)
    files["tokenizer.json"] = tokenizers.json {letters = "ab", tokens = {"<s>", "</s>", "<p>"}}
    tokenizers.with_folder(files, function(folder) f(tokenizer.load(folder)) end)
  end

  it("are named by strings or objects in either file, tokenizer_config.json first", function()
    load({["tokenizer_config.json"] = '{"bos_token": null, "eos_token": "</s>", "pad_token": {"content": "<p>"}}',
          ["special_tokens_map.json"] = '{"bos_token": {"content": "<s>"}, "eos_token": "<p>"}'}, function(tok)
      assert.same({2, 3, 4}, {tok:bos(), tok:eos(), tok:pad()})
      assert.is_nil(tok:unk())
    end)
  end)

  it("that are not in the vocabulary are an error with the file's name", function()
    load({["special_tokens_map.json"] = '{"eos_token": "<x>"}'}, function(tok, message)
      assert.is_nil(tok)
      assert.matches("special_tokens_map.json: eos_token '<x>' is not in tokenizer.json", message, 1, true)
    end)
    load({["tokenizer_config.json"] = '{"pad_token": 3}'}, function(_, message)
      assert.matches('tokenizer_config.json: pad_token: a string or an object with "content" wanted', message, 1, true)
    end)
    load({["tokenizer_config.json"] = '[1'}, function(_, message)
      assert.matches("tokenizer_config.json: line 1 column", message, 1, true)
    end)
  end)
end)

describe("files", function()
  it("come back as they were read", function()
    local files = {["tokenizer.json"] = " " .. tokenizers.json {letters = "ab"} .. "\n\n", ["tokenizer_config.json"] = '{ "x":1}',
                   ["chat_template.jinja"] = "{{ messages }}"}
    tokenizers.with_folder(files, function(folder)
      local tok = assert(tokenizer.load(folder))
      assert.is_true(tok:save(folder .. "/deep/er"))
      local names = assert(core.list_folder(folder .. "/deep/er"))
      assert.same({"chat_template.jinja", "tokenizer.json", "tokenizer_config.json"}, names)
      for name, text in pairs(files) do assert.equal(text, core.read_file(folder .. "/deep/er/" .. name)) end
      assert.equal("0 1", join(assert(tokenizer.load(folder .. "/tokenizer.json")):encode "ab"))
    end)
  end)

  it("that are not there, or no files, are errors that name them", function()
    tokenizers.with_folder({["other.json"] = "{}"}, function(folder)
      for path, pattern in pairs {[folder] = "tokenizer.json", [folder .. "/none"] = "none", [folder .. "/other.json"] = "other.json: model"} do
        local tok, message = tokenizer.load(path)
        assert.is_nil(tok)
        assert.matches(pattern, message, 1, true)
      end
      local _, message = tokenizers.trained():save(folder .. "/other.json")
      assert.matches("other.json", message, 1, true)
    end)
  end)
end)

describe("misuse", function()
  local function raises(message, f) assert.has_error(f, message) end

  it("is an error that names the method and what it got", function()
    local tok = tokenizers.trained()
    raises("tokenizer:encode: a string wanted, got nil", function() tok:encode() end)
    raises("tokenizer:encode: a string wanted, got number", function() tok:encode(7) end)
    raises("tokenizer:encode: unknown option 'specials' (did you mean 'special'?)", function() tok:encode("", {specials = true}) end)
    raises("tokenizer:encode: call it with a colon, tok:encode(...)", function() tok.encode "text" end)
    raises("tokenizer:decode: a list of ids wanted, got string", function() tok:decode "text" end)
    raises("tokenizer:token: an integer wanted, got 1.5", function() tok:token(1.5) end)
    raises("tokenizer:id: a string wanted, got number", function() tok:id(1) end)
    raises("tokenizer.load: a path wanted, got nil", function() tokenizer.load() end)
    raises("tokenizer:save: a path wanted, got nil", function() tok:save() end)
    for id, shown in pairs {[-1] = "-1", [1.5] = "1.5", x = "x"} do
      local ok, message = pcall(function() return (tok:decode {0, id}) end)
      assert.is_false(ok)
      assert.matches("tokenizer_spec.lua:%d+: tokenizer:decode: id 2 of the list is " .. shown:gsub("%p", "%%%0")
        .. ", an integer of 0 or more wanted$", message)
    end
  end)
end)
