-- rlhf.tokenizer.train: which merges, in which order, what the files hold, what it refuses.
local core = require "rlhf.core"
local tokenizer = require "rlhf.tokenizer"
local tokenizers = require "support.tokenizers"
local trained = tokenizers.trained

local function merges(tok)
  local list = {}
  for i, pair in ipairs(core.json_decode(tok.files["tokenizer.json"]).model.merges) do list[i] = table.concat(pair, " ") end
  return list
end

describe("training", function()
  it("joins the most frequent pair, of equals the one with the smaller ids", function()
    -- a b 3, b a 1, b c 1; then ab ab 1 and ab c 1: c is an older token than ab
    local tok = assert(tokenizer.train {text = {"abab", "abc"}, vocab_size = 300, min_frequency = 1})
    assert.same({"a b", "ab c", "ab ab"}, merges(tok))
    assert.same({"a b"}, merges(assert(tokenizer.train {text = {"abab", "abc"}, vocab_size = 300, min_frequency = 2})))
    assert.same({"a b"}, merges(assert(tokenizer.train {text = {"abab", "abc"}, vocab_size = 257, min_frequency = 1})))
  end)

  it("counts overlapping pairs and merges them from the left", function()
    assert.same({"a a", "aa aa", "aa a"}, merges(assert(tokenizer.train {text = {"aaaaaaa"}, vocab_size = 259, min_frequency = 1})))
    local tok = assert(tokenizer.train {text = {"aaaaaaa"}, vocab_size = 259, min_frequency = 1})
    assert.equal(2, #tok:encode "aaaaaaa")
  end)

  -- How often each pair stands in the words (lists of tokens), and the greatest of these numbers.
  local function count(words)
    local counts, most = {}, 0
    for _, word in ipairs(words) do
      for i = 1, #word - 1 do
        local pair = word[i] .. " " .. word[i + 1]
        counts[pair] = (counts[pair] or 0) + 1
        most = math.max(most, counts[pair])
      end
    end
    return counts, most
  end

  local function join(words, pair)
    local left, right = pair:match "(.*) (.*)"
    for _, word in ipairs(words) do
      for i = 1, #word do
        if word[i] == left and word[i + 1] == right then word[i] = left .. table.remove(word, i + 1) end
      end
    end
  end

  it("takes the most frequent pair each time, counted anew", function()
    local seed, texts, words = 3, {}, {}
    for k = 1, 40 do
      words[k] = {}
      for i = 1, 30 do
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        words[k][i] = ("abcd"):sub(seed // 65536 % 4 + 1, seed // 65536 % 4 + 1)
      end
      texts[k] = table.concat(words[k])
    end
    local got = merges(assert(tokenizer.train {text = texts, vocab_size = 256 + 60, min_frequency = 1}))
    assert.equal(60, #got)
    for i, pair in ipairs(got) do
      local counts, most = count(words)
      assert.equal(most, counts[pair], ("merge %d: %s"):format(i, pair))
      join(words, pair)
    end
  end)

  it("gives the same for the same texts in whatever order and form", function()
    local stories = tokenizers.stories
    local want = merges(trained())
    assert.same(want, merges(trained {text = {stories[4], stories[2], stories[3], stories[1]}}))
    local i = 0
    assert.same(want, merges(trained {text = function()
      i = i + 1
      return stories[i]
    end}))
  end)

  it("reads files, in blocks that end with lines", function()
    local lines = {}
    for i = 1, 150000 do lines[i] = "line " .. i % 97 end
    local text = table.concat(lines, "\n") .. "\n"
    assert.is_true(#text > 1 << 20)
    tokenizers.with_folder({["a.txt"] = text, ["b.txt"] = "", ["c.txt"] = "the end"}, function(folder)
      local options = {vocab_size = 290}
      options.files = {folder .. "/a.txt", folder .. "/b.txt", folder .. "/c.txt"}
      local tok = assert(tokenizer.train(options))
      assert.same(merges(assert(tokenizer.train {text = {text, "the end"}, vocab_size = 290})), merges(tok))
      options.files = {folder .. "/a.txt", folder}
      assert.same({nil, folder .. ": not a regular file"}, {tokenizer.train(options)})
      options.files = {folder .. "/none"}
      assert.matches("none", select(2, tokenizer.train(options)), 1, true)
    end)
  end)

  it("never joins across the pattern's splits", function()
    for _, pattern in ipairs {"gpt2", "llama3"} do
      local tok = trained {pattern = pattern, vocab_size = 600, min_frequency = 1}
      for id = 0, #tok - 1 do assert.is_nil(tok:token(id):find "[%a]Ġ", tok:token(id)) end
    end
    local text = {"1999 1999 1999"}
    assert.is_number(trained {text = text}:id "Ġ1999")
    assert.is_nil(trained {text = text, pattern = "llama3"}:id "1999")
  end)
end)

describe("the trained tokenizer", function()
  it("has its special tokens first, then the bytes, then merges", function()
    local tok = trained {special = {"<a>", "<b>"}, bos = "<a>", eos = "<end>", pad = "<end>"}
    assert.equal(300, #tok)
    assert.same({0, 2, 2}, {tok:bos(), tok:eos(), tok:pad()})
    assert.equal("!", tok:token(3))
    assert.equal(1, tok:encode "<b>"[1])
    assert.is_nil(trained():bos())
  end)

  it("passes special tokens in the text over", function()
    local text = {("<|endoftext|>ab"):rep(9)}
    assert.same({"a b"}, merges(trained {text = text}))
  end)

  it("comes back from its files with the same ids", function()
    local tok = trained {eos = "<|endoftext|>", pattern = "llama3"}
    tokenizers.with_folder({}, function(folder)
      assert.is_true(tok:save(folder))
      local again = assert(tokenizer.load(folder))
      assert.equal(0, again:eos())
      for _, story in ipairs(tokenizers.stories) do assert.same(tok:encode(story), again:encode(story)) end
    end)
  end)
end)

describe("training refuses", function()
  local function raises(message, options)
    assert.has_error(function() tokenizer.train(options) end, "tokenizer.train: " .. message)
  end

  it("options that make no sense", function()
    raises("option 'vocab_size' wanted", {text = {}})
    raises("either text or files wanted", {vocab_size = 300})
    raises("either text or files wanted", {vocab_size = 300, text = {}, files = {}})
    raises("vocab_size: an integer from 257 (the bytes and the special tokens) to 1048576 wanted, got 256",
      {text = {}, vocab_size = 256, eos = "<e>"})
    raises("vocab_size: an integer from 256 (the bytes and the special tokens) to 1048576 wanted, got 2000000",
      {text = {}, vocab_size = 2000000})
    raises("min_frequency: an integer of 0 or more wanted, got 0.5", {text = {}, vocab_size = 300, min_frequency = 0.5})
    raises('pattern: "gpt2" or "llama3" wanted, got "gpt4"', {text = {}, vocab_size = 300, pattern = "gpt4"})
    raises("unknown option 'vocab' (did you mean 'vocab_size'?)", {text = {}, vocab = 300})
    raises('special[2]: "<a>" stands there twice', {text = {}, vocab_size = 300, special = {"<a>", "<a>"}})
    raises('special[1]: "x" is the token of a byte', {text = {}, vocab_size = 300, special = {"x"}})
    raises('eos: UTF-8 text wanted, got ""', {text = {}, vocab_size = 300, eos = ""})
    raises("text 2: a string wanted, got number", {text = {"a", 1}, vocab_size = 300})
    raises("text: a list of strings or a function wanted, got string", {text = "abc", vocab_size = 300})
  end)
end)
