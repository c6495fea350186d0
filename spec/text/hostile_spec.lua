-- Hostile tokenizer files and texts: every wrong value is an error that names its place, nothing takes
-- longer than it should, and when memory fails nothing is lost.
local core = require "rlhf.core"
local tokenizer = require "rlhf.tokenizer"
local tokenizers = require "support.tokenizers"
local json, make = tokenizers.json, tokenizers.make

local function refused(text, message)
  local t, got = core.tokenizer_read(text)
  assert.is_nil(t)
  assert.is_truthy(got:find(message, 1, true), ("%q does not tell %q"):format(got, message))
end

-- Processor time; sanitizers make everything slow.
local slowness = os.getenv "RLHF_SANITIZER" and 30 or 1
local function seconds(f)
  local begin = os.clock()
  f()
  return (os.clock() - begin) / slowness
end

describe("a tokenizer.json", function()
  local function file(model, rest)
    return ('{"model": {"type": "BPE", %s}%s}'):format(model, rest and ", " .. rest or "")
  end
  local ab = '"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": []'

  it("must be JSON of sane depth", function()
    refused("", "line 1 column")
    refused('{"model": {', "line 1 column")
    refused(("["):rep(100000), "nested more than 64 deep")
    refused("[]", "an object wanted, got an array")
    refused("{}", "model: an object wanted, got nothing")
    refused('{"model": 3}', "model: an object wanted, got an integer")
  end)

  it("must hold byte-pair encoding", function()
    for _, type in ipairs {"Unigram", "WordPiece", "WordLevel"} do
      refused(('{"model": {"type": "%s"}}'):format(type), ("model.type '%s' is not supported (BPE is)"):format(type))
    end
    refused(file(ab .. ', "dropout": 0.1'), "model: dropout 0.1 is not supported")
    refused(file(ab .. ', "end_of_word_suffix": "</w>"'), "model: end_of_word_suffix '</w>' is not supported")
    refused(file(ab .. ', "ignore_merges": 1'), "model.ignore_merges: true or false wanted, got an integer")
    refused(file(ab .. ', "unk_token": "<unk>"'), "model: unk_token '<unk>' is not in model.vocab")
  end)

  it("must have a vocabulary of small different ids", function()
    refused(file '"vocab": [["a", 0.5]], "merges": []', "model.vocab: an object wanted, got an array")
    refused(file '"vocab": {"a": -1}, "merges": []', "model.vocab: id -1 of 'a' is outside 0 to 1048575")
    refused(file '"vocab": {"a": 1048576}, "merges": []', "model.vocab: id 1048576 of 'a' is outside")
    refused(file '"vocab": {"a": 9223372036854775807}, "merges": []', "model.vocab: id 9223372036854775807 of 'a' is outside")
    refused(file '"vocab": {"a": 1.5}, "merges": []', "model.vocab: the id of 'a' is not an integer")
    refused(file '"vocab": {"a": 7, "b": 7}, "merges": []', "model.vocab: 'b' has the id 7, which is that of 'a'")
    refused(file '"vocab": {"a": 0, "a": 1}, "merges": []', "duplicate object key")
    refused(file(('"vocab": {"%s": 0}, "merges": []'):format(("x"):rep(65537))), "model.vocab: a token of 65537 bytes: the limit is 65536")
    local long = ("é"):rep(30)
    refused(file(('"vocab": {"%s": -1}, "merges": []'):format(long)), "of '" .. ("é"):rep(20) .. "...'")
  end)

  it("must merge known tokens into known tokens", function()
    local function with(merge) return file('"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b", ' .. merge .. "]") end
    refused(with '"a c"', "model.merges[1]: 'c' is not in model.vocab")
    refused(with '["b", "a"]', "model.merges[1]: 'ba' is not in model.vocab")
    refused(with '["a"]', 'model.merges[1]: "a b" or ["a", "b"] wanted')
    refused(with '["a", 1]', "model.merges[1]: two strings wanted")
    refused(with '"ab"', "model.merges[1]: two tokens with one space between wanted")
    refused(with '"a b c"', "model.merges[1]: two tokens with one space between wanted")
    refused(with "null", "model.merges[1]:")
    refused(file '"vocab": {"a": 0}', "model.merges: an array wanted, got nothing")
  end)

  it("must have sane added tokens", function()
    local function with(list) return file(ab, '"added_tokens": ' .. list) end
    refused(with '{"a": 1}', "added_tokens: an array wanted, got an object")
    refused(with "[1]", "added_tokens[0]: an object wanted")
    refused(with '[{"id": 5}]', "added_tokens[0].content: a string wanted, got nothing")
    refused(with '[{"id": 5, "content": 3}]', "added_tokens[0].content: a string wanted, got an integer")
    refused(with '[{"content": "x"}]', "added_tokens[0].id: an integer wanted, got nothing")
    refused(with '[{"id": 1099511627776, "content": "x"}]', "added_tokens[0].id: 1099511627776 is outside 0 to 1048575")
    refused(with '[{"id": 5, "content": "x"}, {"id": 5, "content": "y"}]', "added_tokens[1]: 'y' has the id 5, which is that of 'x'")
    refused(with '[{"id": 5, "content": "x"}, {"id": 6, "content": "x"}]', "added_tokens[1]: 'x' has the id 6 here and 5 before")
    refused(with '[{"id": 5, "content": "x", "special": "yes"}]', "added_tokens[0].special: true or false wanted, got a string")
    local many = {}
    for i = 1, 129 do many[i] = ('{"id": %d, "content": "%s"}'):format(i + 2, ("x"):rep(65536 - i)) end
    refused(with("[" .. table.concat(many, ",") .. "]"), "added_tokens[128].content: the added tokens are over the limit of 8388608 bytes")
  end)

  it("must name known steps", function()
    local function with(rest) return file(ab, rest) end
    refused(with '"pre_tokenizer": {"type": "BertPreTokenizer"}', "pre_tokenizer.type 'BertPreTokenizer' is not supported (ByteLevel, ")
    refused(with '"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "X"}]}',
      "pre_tokenizer.pretokenizers[1].type 'X' is not supported")
    refused(with '"pre_tokenizer": {"type": "Split", "behavior": "Gone"}', "pre_tokenizer: behavior 'Gone' is not supported")
    refused(with '"pre_tokenizer": {"type": "Split", "behavior": "Removed", "pattern": {"Regex": "(a"}}',
      "pre_tokenizer.pattern.Regex: the regular expression does not compile: missing closing parenthesis")
    refused(with '"pre_tokenizer": {"type": "Split", "behavior": "Removed", "pattern": {"Regex": "[a&&b]"}}',
      "pre_tokenizer.pattern.Regex: && inside [...] is not supported in a regular expression")
    refused(with '"pre_tokenizer": {"type": "Split", "behavior": "Removed", "pattern": "a"}', "pre_tokenizer.pattern: an object wanted")
    refused(with '"pre_tokenizer": {"type": "Metaspace", "replacement": "--"}', "pre_tokenizer: replacement must be one character")
    refused(with '"normalizer": {"type": "Nmt"}', "normalizer.type 'Nmt' is not supported (NFC, ")
    refused(with '"normalizer": {"type": "BertNormalizer"}', "normalizer: BertNormalizer's clean_text is not supported")
    refused(with '"normalizer": [1]', "normalizer: an object wanted, got an array")
    refused(with '"decoder": {"type": "CTC"}', "decoder.type 'CTC' is not supported (ByteLevel, ")
    refused(with '"decoder": {"type": "Strip", "content": " ", "start": -1, "stop": 0}', "decoder.start: -1 is outside 0 to 2147483647")
    local steps = ('{"type": "NFC"},'):rep(64) .. '{"type": "NFC"}'
    refused(with('"normalizer": {"type": "Sequence", "normalizers": [' .. steps .. "]}"), "normalizer.normalizers[64]: more than 64 steps")
    local deep = ('{"type": "Sequence", "normalizers": ['):rep(40) .. ("]}"):rep(40)
    refused(with('"normalizer": ' .. deep), "nested more than 64 deep")
  end)

  it("must put known tokens around a text", function()
    local function with(single, specials)
      return file(ab, ('"post_processor": {"type": "TemplateProcessing", "single": [%s], "special_tokens": {%s}}'):format(single, specials))
    end
    local text, s = '{"Sequence": {"id": "A"}}', '{"SpecialToken": {"id": "s"}}'
    refused(with(s .. "," .. text, ""), "post_processor.single[0]: 's' is not in special_tokens")
    refused(with(s .. "," .. text, '"s": {"ids": [3]}'), "post_processor.single[0]: 's' stands for an id that is no token's")
    refused(with(s .. "," .. text, '"s": {"ids": ["a"]}'), "post_processor.single[0]: 's' stands for an id that is no token's")
    refused(with(text .. "," .. text, ""), "post_processor.single[1]: the text A wanted, once")
    refused(with("", ""), "post_processor: single does not hold the text A")
    refused(file(ab, '"post_processor": {"type": "BertProcessing"}'), "post_processor.type 'BertProcessing' is not supported")
  end)

  it("must not be larger than 64 MiB", function()
    tokenizers.with_folder({}, function(folder)
      local f = assert(io.open(folder .. "/tokenizer.json", "w"))
      f:seek("set", (64 << 20) + 1)
      f:write "x"
      f:close()
      local tok, message = tokenizer.load(folder)
      assert.is_nil(tok)
      assert.matches("tokenizer.json: 67108866 bytes, the limit is 67108864", message, 1, true)
    end)
  end)
end)

describe("a megabyte", function()
  local size = 1000000

  it("of one letter, of blanks, of marks takes less than a second", function()
    local byte_level = {type = "ByteLevel", add_prefix_space = false}
    local merges, token = {}, "a"
    for i = 1, 12 do
      merges[i] = token .. " " .. token
      token = token .. token
    end
    for _, pre in ipairs {false, byte_level, {type = "Digits", individual_digits = true},
                          {type = "Metaspace", replacement = "▁", prepend_scheme = "always"}} do
      local t = make {letters = "bytes", merges = merges, pre_tokenizer = pre or nil, normalizer = {type = "NFC"}}
      for _, letter in ipairs {"a", " ", "1", "\n", "\u{301}", "\u{301}\u{323}", "a "} do
        local text = letter:rep(size // #letter)
        assert.is_true(seconds(function() t:encode(text, false) end) < 1, letter)
      end
      if pre == byte_level then assert.equal(size // 4096 + 2, #t:encode(("a"):rep(size), false)) end -- 4096 * 244 + 512 + 64
    end
  end)

  it("is not searched 100,000 times for 100,000 added tokens", function()
    local of = {letters = "a<>|0123456789 ", added_tokens = {}}
    for i = 1, 100000 do of.added_tokens[i] = {id = 100 + i, content = ("<|%d|>"):format(i), special = true} end
    local t
    assert.is_true(seconds(function() t = make(of) end) < 3)
    assert.same({100 + 77777, 0, 101}, t:encode("<|77777|>a<|1|>", false))
    local text = ("<|99999|><|100001|>a<|5"):rep(size // 23)
    assert.is_true(seconds(function() t:encode(text, false) end) < 1)
  end)

  it("is not searched again from every place for tokens with a long common beginning", function()
    local of = {letters = "ab", added_tokens = {{id = 10, content = "aa"}}}
    for i = 1, 60 do of.added_tokens[i + 1] = {id = 10 + i, content = ("a"):rep(65000 + i) .. "b"} end
    local t = make(of)
    local text, n = ("a"):rep(size), nil
    assert.is_true(seconds(function() n = #t:encode(text, false) end) < 1)
    assert.equal(size // 2, n)
  end)

  it("makes a regular expression without end give up", function()
    for _, regex in ipairs {"(?:a?){20}a{20}|a", "(a+)+$", "(?:a|aa)+b", "(a*)*b|c", "a*a*a*a*[bc]", "(?=a*b)|a*[bc]", "(?:(?R)|a)*?b"} do
      local t = make {letters = "a", pre_tokenizer = {type = "Split", pattern = {Regex = regex}, behavior = "Isolated", invert = false}}
      for _, n in ipairs {30, size} do
        local text, ok, message = ("a"):rep(n), nil, nil
        local took = seconds(function() ok, message = pcall(t.encode, t, text, false) end)
        assert.is_true(took < 2, ("%s over %d letters took %.1f s"):format(regex, n, took))
        if not ok then assert.matches("a regular expression of the tokenizer gave up at byte %d+ of a text", message) end
      end
    end
  end)
end)

describe("failing memory", function()
  after_each(function() core.debug.fail_alloc(0) end)

  -- Fails the n-th allocation for n = 1, 2, ... until the run has none left to fail.
  local function survives(f)
    collectgarbage()
    collectgarbage()
    local before = core.debug.blocks()
    for n = 1, 3000 do
      core.debug.fail_alloc(n)
      local ok, message = pcall(f)
      local left = core.debug.fail_alloc()
      core.debug.fail_alloc(0)
      collectgarbage()
      collectgarbage()
      assert.equal(before, core.debug.blocks(), "after " .. n)
      if left > 0 then return assert.is_true(ok, message) end
      if not ok then assert.matches("not enough memory", message) end
    end
    error "too many allocations"
  end

  local whole = json {letters = "bytes", tokens = {"<s>"}, merges = {"a b", "ab ab"},
    model = {unk_token = "<s>", byte_fallback = true},
    added_tokens = {{id = 256, content = "<s>", special = true}, {id = 400, content = "Xy", normalized = true}},
    normalizer = {type = "Sequence", normalizers = {{type = "NFC"}, {type = "Lowercase"}, {type = "Prepend", prepend = " "},
      {type = "Replace", pattern = {Regex = " +"}, content = " "}}},
    pre_tokenizer = {type = "Sequence", pretokenizers = {{type = "Digits", individual_digits = true},
      {type = "Metaspace", replacement = "▁", prepend_scheme = "first"}, {type = "ByteLevel", add_prefix_space = true}}},
    decoder = {type = "Sequence", decoders = {{type = "ByteLevel"}, {type = "Strip", content = " ", start = 1, stop = 0}}},
    post_processor = {type = "TemplateProcessing", single = {{SpecialToken = {id = "s"}}, {Sequence = {id = "A"}}},
      special_tokens = {s = {id = "s", ids = {256}}}}}

  it("leaves nothing behind in loading, encoding, decoding", function()
    survives(function()
      local t = assert(core.tokenizer_read(whole))
      local ids = t:encode("ababab 12 e\u{301}<s>\xFFxy" .. ("ab"):rep(100), true)
      assert(#t:decode(ids, false) > 10)
      local stream = t:stream(true)
      for _, id in ipairs(ids) do stream:feed(id) end
      stream:finish()
    end)
  end)

  it("leaves nothing behind in training", function()
    survives(function() tokenizers.trained {vocab_size = 270} end)
  end)
end)
