-- The steps of tokenizer.json one by one: normalizers, pre-tokenizers, added tokens, decoders. What each
-- must give was taken from Hugging Face's tokenizers 0.23.3.
local tokenizers = require "support.tokenizers"
local make, pieces = tokenizers.make, tokenizers.pieces

-- Pieces that no merge joins show where text was split only through merges: "ab" stands where it was not.
local function split_by(pre, text)
  return pieces(make {letters = "ab1 ,▁Ġ", merges = {"a b", "1 1", ", ,", ", ab", "ab ,", "ab 1", "1 ab"},
    pre_tokenizer = pre}, text)
end

local function normalized(normalizer, text)
  return (pieces(make {letters = "bytes", normalizer = normalizer, decoder = {type = "ByteLevel"},
                       pre_tokenizer = {type = "ByteLevel", add_prefix_space = false, use_regex = false}}, text))
end

local function text_of(normalizer, text)
  local t = make {letters = "bytes", normalizer = normalizer, decoder = {type = "ByteLevel"},
                  pre_tokenizer = {type = "ByteLevel", add_prefix_space = false, use_regex = false}}
  return t:decode(t:encode(text, false), false)
end

describe("byte-pair encoding", function()
  it("merges the first pair of the list, the leftmost of equals", function()
    assert.equal("aa|a", pieces(make {merges = {"a a"}}, "aaa"))
    assert.equal("a|bc", pieces(make {letters = "abc", merges = {"b c", "a b"}}, "abc"))
    assert.equal("abc", pieces(make {letters = "abc", merges = {"b c", "a bc", "a b"}}, "abc"))
  end)

  it("gives the same with a scan and with a heap", function()
    local t = make {letters = "abc", merges = {"a b", "ab c", "c c", "b a", "abc abc", "cc a", "ba ab"}}
    local seed = 7
    for length = 1, 200 do
      local letters = {}
      for i = 1, length do
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        letters[i] = ("abc"):sub(seed // 65536 % 3 + 1, seed // 65536 % 3 + 1)
      end
      local text = table.concat(letters)
      -- a naive reference: the list of merges, applied one rank after the other
      local parts = {}
      for i = 1, length do parts[i] = letters[i] end
      local merges = {{"a", "b"}, {"ab", "c"}, {"c", "c"}, {"b", "a"}, {"abc", "abc"}, {"cc", "a"}, {"ba", "ab"}}
      while true do
        local best, at
        for i = 1, #parts - 1 do
          for rank, m in ipairs(merges) do
            if parts[i] == m[1] and parts[i + 1] == m[2] and (not best or rank < best) then best, at = rank, i end
          end
        end
        if not best then break end
        parts[at] = parts[at] .. table.remove(parts, at + 1)
      end
      assert.equal(table.concat(parts, "|"), pieces(t, text), text)
    end
  end)

  it("treats unknown characters as the model says", function()
    assert.equal("a|b", pieces(make {}, "a?b"))
    assert.equal("a|<unk>|<unk>|b", pieces(make {tokens = {"<unk>"}, model = {unk_token = "<unk>"}}, "a??b"))
    assert.equal("a|<unk>|b", pieces(make {tokens = {"<unk>"}, model = {unk_token = "<unk>", fuse_unk = true}}, "a??b"))
    local bytes = make {tokens = {"<0xC3>", "<0xA9>", "<unk>"}, model = {unk_token = "<unk>", byte_fallback = true}}
    assert.equal("a|<0xC3>|<0xA9>|<unk>", pieces(bytes, "aéè"))
  end)

  it("leaves whole tokens whole with ignore_merges", function()
    assert.equal("abab", pieces(make {tokens = {"abab"}, merges = {"a b"}, model = {ignore_merges = true}}, "abab"))
    assert.equal("ab|ab", pieces(make {tokens = {"abab"}, merges = {"a b"}}, "abab"))
  end)
end)

describe("pre-tokenizer", function()
  it("Split treats its matches in each of the five ways", function()
    local function by(behavior, invert)
      return split_by({type = "Split", pattern = {String = ","}, behavior = behavior, invert = invert or false}, "ab,,ab,")
    end
    assert.equal("ab|,|,|ab|,", by "Isolated")
    assert.equal("ab|ab", by "Removed")
    assert.equal(",|,|,", by("Removed", true))
    assert.equal("ab|,,|ab|,", by "Contiguous")
    assert.equal("ab,|,|ab,", by "MergedWithPrevious")
    assert.equal("ab|,|,ab|,", by "MergedWithNext")
  end)

  it("Split reads Oniguruma's escapes", function()
    local function removed(regex, text)
      local t = make {letters = "bytes", pre_tokenizer = {type = "Sequence", pretokenizers = {
        {type = "Split", pattern = {Regex = regex}, behavior = "Removed", invert = false},
        {type = "ByteLevel", add_prefix_space = false, use_regex = false}}}, decoder = {type = "ByteLevel"}}
      return t:decode(t:encode(text, false), false)
    end
    assert.equal("ab\u{180E}c", removed([[\s]], "a\u{A0}b\u{180E} c\u{3000}"))
    assert.equal("-", removed([[\w]], "e\u{301}-½_"))
    assert.equal("½ ", removed([=[[\w]]=], "a½ b"))
    assert.equal("g z", removed([[\h]], "0fgF z"))
    assert.equal("b\nd", removed("^.", "ab\ncd"))
    assert.equal("-", removed([[\w]], "\u{24B6}-\u{1F149}\u{2160}"))
    local white = {0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000} -- Unicode's White_Space
    for c = 0x9, 0xD do white[#white + 1] = c end
    for c = 0x2000, 0x200A do white[#white + 1] = c end
    local is, rest = {}, {}
    for _, c in ipairs(white) do is[c] = true end
    for c = 1, 0x3100 do rest[#rest + 1] = not is[c] and utf8.char(c) or nil end
    local all, others = utf8.char(table.unpack(white)), table.concat(rest)
    assert.equal(others, removed([[\s]], others .. all))
    assert.equal(all, removed([[\S]], all .. others))
    assert.equal(others .. "\n", removed([=[[^\S\n]]=], others .. all))
  end)

  it("Digits splits one by one or in runs", function()
    assert.equal("ab|1|1|ab", split_by({type = "Digits", individual_digits = true}, "ab11ab"))
    assert.equal("ab|11|ab", split_by({type = "Digits", individual_digits = false}, "ab11ab"))
  end)

  it("Metaspace marks spaces, and the beginning as the scheme says", function()
    local function by(scheme, split, text)
      return split_by({type = "Metaspace", replacement = "▁", prepend_scheme = scheme, split = split}, text)
    end
    assert.equal("▁|ab|▁|▁|ab", by("always", true, "ab  ab"))
    assert.equal("ab|▁|ab", by("never", true, "ab ab"))
    assert.equal("▁|ab", by("first", true, " ab"))
    local t = make {letters = "ab▁", pre_tokenizer = {type = "Metaspace", replacement = "▁", prepend_scheme = "first"},
                    added_tokens = {{id = 9, content = "<x>", special = true}}}
    assert.equal("▁|a|<x>|b", pieces(t, "a<x>b"))
  end)

  it("ByteLevel adds a space before text that has none", function()
    local t = make {letters = "bytes", pre_tokenizer = {type = "ByteLevel", add_prefix_space = true},
                    added_tokens = {{id = 300, content = "<x>", special = true}}}
    assert.equal("Ġ|a|<x>|Ġ|b|<x>|Ġ|a", pieces(t, "a<x> b<x>a"))
    assert.equal("Ġ|Ã|©|Ċ", pieces(t, "é\n"))
  end)
end)

describe("normalizer", function()
  it("knows Unicode's four forms", function()
    local text = "e\u{301}\u{323} ﬁ 한 Å ½"
    assert.equal("\u{1EB9}\u{301} ﬁ 한 Å ½", text_of({type = "NFC"}, text))
    assert.equal("e\u{323}\u{301} ﬁ \u{1112}\u{1161}\u{11AB} A\u{30A} ½", text_of({type = "NFD"}, text))
    assert.equal("\u{1EB9}\u{301} fi 한 Å 1⁄2", text_of({type = "NFKC"}, text))
    assert.equal("e\u{323}\u{301} fi \u{1112}\u{1161}\u{11AB} A\u{30A} 1⁄2", text_of({type = "NFKD"}, text))
  end)

  it("prepends, replaces, lowers, one after the other", function()
    assert.equal("", normalized({type = "Prepend", prepend = "_"}, ""))
    assert.equal("_|a", normalized({type = "Prepend", prepend = "_"}, "a"))
    assert.equal("a|-|b", normalized({type = "Replace", pattern = {Regex = " +"}, content = "-"}, "a   b"))
    assert.equal("ab+ab", text_of({type = "Replace", pattern = {String = "."}, content = "+"}, "ab.ab"))
    assert.equal("i\u{307}ßaé", text_of({type = "Lowercase"}, "İẞAÉ"))
    assert.equal("_a_b", text_of({type = "Sequence", normalizers = {
      {type = "Prepend", prepend = " "}, {type = "Replace", pattern = {String = " "}, content = "_"}}}, "a b"))
  end)
end)

describe("added tokens", function()
  local function with(list, text, more)
    local of = {letters = "abcx <>", added_tokens = {}}
    for i, token in ipairs(list) do
      if type(token) == "string" then token = {content = token} end
      token.id = 99 + i
      token.special = true
      of.added_tokens[i] = token
    end
    for key, value in pairs(more or {}) do of[key] = value end
    return pieces(make(of), text)
  end

  it("are found leftmost first, of those the longest", function()
    assert.equal("abc|a", with({"ab", "abc", "bca"}, "abca"))
    assert.equal("<a>|b|<a>", with({"<a>"}, "<a>b<a>"))
    assert.equal("a|bcb|c", with({"bcb", "cbc"}, "abcbc"))
  end)

  it("take blanks and stand alone where they say so", function()
    assert.equal("a|<x>|b", with({{content = "<x>", lstrip = true, rstrip = true}}, "a  <x>\u{3000} b"))
    assert.equal("a| |<x>| |b", with({"<x>"}, "a <x> b"))
    assert.equal("x|a|b| |ab", with({{content = "ab", single_word = true}}, "xab ab"))
  end)

  it("are looked for in normalized text unless they say otherwise", function()
    local lower = {normalizer = {type = "Lowercase"}}
    assert.equal("ab|c|ab", with({{content = "AB", normalized = true}}, "aBCab", lower))
    assert.equal("a|b|AB", with({{content = "AB", normalized = false}}, "aBAB", lower))
  end)
end)

describe("decoder", function()
  local function decoded(decoder, tokens, letters)
    local t = make {letters = letters or "ab", tokens = tokens, decoder = decoder}
    local ids = {}
    for i, text in ipairs(tokens) do ids[i] = t:id(text) end
    return t:decode(ids, false)
  end

  it("joins tokens by spaces when there is none", function()
    assert.equal("a b a", decoded(nil, {"a", "b", "a"}))
  end)

  it("makes one U+FFFD of each invalid piece of a byte-level text", function()
    local t = make {letters = "bytes", decoder = {type = "ByteLevel"}}
    local ids = {}
    for i, letter in ipairs {"â", "Ĥ", "A", "Ĥ", "ÿ"} do ids[i] = t:id(letter) end -- E2 82 41 82 FF
    assert.equal("\u{FFFD}A\u{FFFD}\u{FFFD}", t:decode(ids, false))
  end)

  it("makes one U+FFFD of each byte of a broken run of byte tokens", function()
    local chain = {type = "Sequence", decoders = {{type = "ByteFallback"}, {type = "Fuse"}}}
    assert.equal("é", decoded(chain, {"<0xC3>", "<0xA9>"}))
    assert.equal("\u{FFFD}\u{FFFD}\u{FFFD}a", decoded(chain, {"<0xC3>", "<0xA9>", "<0xC3>", "a"}))
    assert.equal("<0x-1><0xG0>", decoded(chain, {"<0x-1>", "<0xG0>"}))
  end)

  it("strips tokens, or the one that they were fused to", function()
    local strip = {type = "Strip", content = "_", start = 1, stop = 1}
    assert.equal("a_b", decoded({type = "Sequence", decoders = {{type = "Fuse"}, strip}}, {"_a", "_b_"}))
    assert.equal("ab", decoded(strip, {"_a", "_b_"}))
    assert.equal("_a", decoded({type = "Sequence", decoders = {{type = "Fuse"}, strip}}, {"__", "a_"}))
  end)

  it("drops Metaspace's mark at the beginning alone", function()
    assert.equal("a b", decoded({type = "Metaspace", replacement = "▁", prepend_scheme = "always"}, {"▁a", "▁b"}))
    assert.equal(" a b", decoded({type = "Metaspace", replacement = "▁", prepend_scheme = "never"}, {"▁a", "▁b"}))
  end)
end)
