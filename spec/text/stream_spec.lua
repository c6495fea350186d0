-- Streams: what is fed comes out as soon as it is complete, never cut inside a character, and all of it
-- together is what decode gives.
local tokenizers = require "support.tokenizers"

local function feed_all(stream, ids)
  local parts = {}
  for i, id in ipairs(ids) do parts[i] = stream:feed(id) end
  parts[#parts + 1] = stream:finish()
  return parts
end

describe("a stream", function()
  it("holds bytes back until they are a character", function()
    local tok = tokenizers.trained()
    local ids = tok:encode "a한é"
    assert.equal(6, #ids)
    assert.same({"a", "", "", "한", "", "é", ""}, feed_all(tok:stream(), ids))
  end)

  it("gives U+FFFD for what can't become one, and at the end", function()
    local tok = tokenizers.trained()
    local function byte(letter) return tok:id(letter) end
    local ids = {byte "â", byte "A", byte "ÿ", byte "ð", byte "Ł"} -- E2 41 FF F0 9F
    assert.same({"", "\u{FFFD}A", "\u{FFFD}", "", "", "\u{FFFD}"}, feed_all(tok:stream(), ids))
  end)

  it("begins anew after finish", function()
    local tok = tokenizers.trained()
    local stream = tok:stream()
    assert.equal("", stream:feed(tok:id "â"))
    assert.equal("\u{FFFD}", stream:finish())
    assert.equal("", stream:finish())
    assert.equal("a", stream:feed(tok:id "a"))
  end)

  it("leaves special tokens out on request", function()
    local tok = tokenizers.trained()
    assert.same({"", "a", ""}, feed_all(tok:stream {skip_special = true}, {0, tok:id "a"}))
    assert.same({"<|endoftext|>", "a", ""}, feed_all(tok:stream(), {0, tok:id "a"}))
  end)

  it("keeps the tokenizer alive, and refuses what is no id", function()
    local stream = tokenizers.trained():stream()
    collectgarbage()
    collectgarbage()
    assert.equal("<|endoftext|>", stream:feed(0))
    assert.error_matches(function() stream:feed(-1) end, "an id of 0 or more wanted")
    assert.error_matches(function() stream:feed "x" end, "number expected, got string")
  end)

  it("gives what decode gives, whatever the chain of decoders", function()
    local bytes = {}
    for b = 0, 255 do bytes[#bytes + 1] = ("<0x%02X>"):format(b) end
    local tokens = {"▁a", "▁", "b_", "__", "_", table.unpack(bytes)}
    local replace = {type = "Replace", pattern = {String = "▁"}, content = " "}
    local strip = {type = "Strip", content = "_", start = 1, stop = 2}
    local blanks = {type = "Strip", content = " ", start = 1, stop = 0}
    local fallback, fuse = {type = "ByteFallback"}, {type = "Fuse"}
    local metaspace = {type = "Metaspace", replacement = "▁", prepend_scheme = "always"}
    local chains = {{replace, fallback, fuse, blanks}, {fallback, fuse, strip}, {strip, fuse}, {fuse, replace, strip, fallback},
                    {metaspace, fallback}, {fuse, metaspace}, {fallback, {type = "ByteLevel"}}, {{type = "ByteLevel"}, strip, replace}, {}}
    local seed = 11
    local function random(n)
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      return seed // 65536 % n
    end
    for _, chain in ipairs(chains) do
      local t = tokenizers.make {letters = "ab", tokens = tokens, decoder = {type = "Sequence", decoders = require "rlhf.core".array(chain)}}
      for _ = 1, 200 do
        local ids = {}
        for i = 1, random(12) do ids[i] = random(3) > 0 and random(7) or ({202, 176, 233, 138, 7 + 128 + 65})[random(5) + 1] end
        local parts = feed_all(t:stream(false), ids)
        for _, part in ipairs(parts) do assert(utf8.len(part), "a cut character") end
        assert.equal(t:decode(ids, false), table.concat(parts))
      end
    end
  end)
end)
