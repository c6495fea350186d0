local core = require "rlhf.core"
local decode, encode = core.json_decode, core.json_encode

-- The value must be refused, with a message that has `part` as it stands.
local function refused(text, part, options)
  local value, message = decode(text, options)
  assert.is_nil(value)
  assert.is_string(message)
  assert(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
end

describe("json_decode", function()
  it("reads every kind of value", function()
    local v = assert(decode '{"a":[1,-2.5,"x",true,false,null],"b":{}}')
    assert.same({1, -2.5, "x", true, false, core.null}, v.a)
    assert.equal("integer", math.type(v.a[1]))
    assert.equal("null", tostring(v.a[6]))
    assert.same({}, v.b)
    assert.equal(7, decode "7")
    assert.equal("s", decode ' "s"\n')
    assert.is_false(decode "false")
    assert.equal(core.null, decode "null")
  end)

  it("keeps 64 bits of integers and makes longer ones floats", function()
    for text, want in pairs {
      ["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger,
      ["9007199254740993"] = 9007199254740993, ["1000000000000000000"] = 10 ^ 18 // 1 | 0,
    } do
      assert.equal(want, decode(text))
      assert.equal("integer", math.type(decode(text)))
    end
    assert.equal(2.0 ^ 63, decode "9223372036854775808")
    assert.equal("float", math.type(decode "-9223372036854775809"))
    assert.equal(1e30, decode '{"model_max_length": 1000000000000000019884624838656}'.model_max_length)
    assert.same({2.0 ^ 64, 1, "18446744073709551616"}, decode '[18446744073709551616,1,"18446744073709551616"]')
    assert.equal("float", math.type(decode "1.0"))
    assert.equal(0.1, decode "0.1")
  end)

  it("reads escapes, NUL and characters of four bytes", function()
    assert.equal("a\0b\u{1F600}é\"\\/\n", decode [["a\u0000b\ud83d\ude00é\"\\\/\n"]])
  end)

  it("refuses what is not JSON, with line and column", function()
    refused('[1,\n 2, x]', "line 2 column 5: ")
    refused('{"é": [1000000000000000019884624838656, x]}', "line 1 column 41: ")
    refused("", "line 1 column 1: ")
    refused("[1] x", "line 1 column 5: ")
    refused("[1]\0", "line 1 column 4: ")
    refused('{"a":1,"a":2}', "duplicate object key")
    refused('{"a":1,"\\u0061":2}', "duplicate object key")
    for _, text in ipairs {"NaN", "-Infinity", "1e999", "01", "+1", ".5", "1.", "0x10", "[1,]", "{1:2}", "'a'",
                           '"\n"', "[", '"', '{"a"', "tru", "\xEF\xBB\xBF[]", "1000000000000000000000000x", "[1 2]"} do
      refused(text, "line ")
    end
  end)

  it("refuses text that is not UTF-8", function()
    for _, bytes in ipairs {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf8\x88\x80\x80\x80"} do
      refused('"' .. bytes .. '"', "line 1 column 1")
    end
    refused('"\\ud800"', "line 1")
    refused('"\\udc00\\ud800"', "line 1")
    refused('{"a\\u0000":1}', "NUL")
  end)

  it("bounds depth and size before parsing", function()
    assert.is_table(decode(("["):rep(64) .. ("]"):rep(64)))
    refused(("["):rep(65) .. ("]"):rep(65), "line 1 column 65: nested more than 64 deep")
    refused(('{"a":'):rep(100000), "nested more than 64 deep")
    assert.is_table(decode('["' .. ("["):rep(100) .. '", "\\"[[[["]'))
    refused("[1,2,3]", "JSON of 7 bytes: the limit is 3", {limit = 3})
    assert.is_table(decode("[1,2,3]", {limit = 7}))
  end)

  it("raises for misuse", function()
    assert.error_matches(function() decode() end, "string expected")
    assert.error_matches(function() decode("1", {lmit = 3}) end, "unknown option 'lmit' %(did you mean 'limit'%?%)")
    assert.error_matches(function() decode("1", {limit = 0}) end, "limit: a positive integer wanted")
  end)

  it("gives its memory back, also after errors", function()
    -- the sanitizer keeps freed blocks, and looks for leaks itself
    if (os.getenv "LD_PRELOAD" or ""):find "san" then return end
    local there = io.open "/proc/self/statm"
    if not there then return pending "no /proc" end
    there:close()
    local text = "[" .. ("123456,"):rep(50000) .. "1]"
    local function rss()
      local f = assert(io.open "/proc/self/statm")
      local pages = select(2, f:read("n", "n"))
      f:close()
      return pages * 4096
    end
    local function round() decode(text); decode(text .. "x"); collectgarbage() end
    for _ = 1, 3 do round() end
    local before = rss()
    for _ = 1, 15 do round() end
    assert(rss() - before < 16e6, "RSS grew by " .. rss() - before)
  end)
end)

describe("order of keys", function()
  it("is kept on request and written again", function()
    local text = '{"z": 1, "a": {"y": [], "b": {}}, "m": null}'
    local v = assert(decode(text, {order = true}))
    assert.same({"z", "a", "m"}, core.json_keys(v))
    assert.equal(text, encode(v))
    v.new, v.z = 2, nil
    assert.same({"a", "m", "new"}, core.json_keys(v))
  end)

  it("is that of bytes otherwise", function()
    assert.same({"B", "a", "ab", "é"}, core.json_keys {ab = 1, a = 2, ["é"] = 3, B = 4})
    assert.equal('{"a": 2, "b": 1}', encode {b = 1, a = 2})
    assert.equal('{"b": 1, "a": 2}', encode(setmetatable({a = 2, b = 1}, {__keys = {"b", "gone"}})))
  end)
end)

describe("json_encode", function()
  it("writes every kind of value", function()
    assert.equal('[1, 1.0, -0.0, 0.1, 1e+100, "x", true, null]', encode {1, 1.0, -0.0, 0.1, 1e100, "x", true, core.null})
    assert.equal([["\"\\\n\t\b\u0001\u0000é/"]], encode "\"\\\n\t\b\1\0é/")
    assert.equal("-9223372036854775808", encode(math.mininteger))
  end)

  it("tells empty arrays from empty objects", function()
    assert.equal("{}", encode {})
    assert.equal("[]", encode(core.array()))
    assert.equal("[]", encode(decode "[]"))
    assert.equal('{"a": [[], {}]}', encode(decode '{"a":[[],{}]}'))
    assert.is_true(core.is_array(decode "[1]"))
    assert.is_false(core.is_array(decode "{}"))
    assert.is_false(core.is_array "x")
  end)

  it("indents", function()
    assert.equal('{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}', encode({a = {1, {}}, b = core.array()}, {indent = 2}))
  end)

  it("writes floats that read back the same", function()
    for i = 1, 2000 do
      local bits = string.pack("<I4I4", i * 2654435761 & 0xffffffff, i * 40503 * 65537 & 0xffffffff)
      local v = string.unpack("<d", bits)
      if v == v and math.abs(v) ~= math.huge then assert.equal(v, decode(encode(v))) end
    end
    for _, v in ipairs {5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1 + 0.2, 1 / 3, 2.0 ^ 53} do
      assert.equal(v, decode(encode(v)))
      assert.equal("float", math.type(decode(encode(v))))
    end
  end)

  it("raises for what has no JSON form", function()
    local cycle = {}
    cycle[1] = {cycle}
    local deep = {}
    for _ = 1, 64 do deep = {deep} end
    for message, value in pairs {
      ["nan is not a JSON number"] = 0 / 0, ["inf is not a JSON number"] = 1 / 0, ["a function has no JSON form"] = print,
      ["not valid UTF%-8 at byte 2"] = "a\xffb", ["element 2 of 3 of an array is nil"] = {1, nil, 3},
      ["the key x beside its 1 elements"] = {1, x = 2}, ["keys must be strings, got 2"] = {[2] = 1},
      ["a table holds itself"] = cycle, ["nested too deeply %(64 levels%)"] = deep,
    } do
      assert.error_matches(function() encode(value) end, message)
    end
    assert.error_matches(function() encode(1, {indent = -1}) end, "indent")
    assert.error_matches(function() encode(1, {indnt = 1}) end, "did you mean 'indent'")
    assert.equal("[[1], [1]]", (function() local t = {1} return encode {t, t} end)())
  end)
end)
