-- Every rule about a file's header, one made file for each. The reader of values is in
-- safetensors_read_spec.lua, saving in safetensors_save_spec.lua.
local core = require "rlhf.core"
local files = require "support.safetensors_file"

local folder
setup(function() folder = files.folder() end)
teardown(function() files.remove(folder) end)

local function path() return folder .. "/f.safetensors" end
local function open(bytes) return core.safetensors_open(files.write(path(), bytes)) end

local function accepts(bytes)
  local reader <close> = assert(open(bytes))
  return reader:names(), reader
end

-- The message must begin with the path and go on with `part`, as it stands.
local function rejects(bytes, part)
  local reader, message = open(bytes)
  assert.is_nil(reader)
  local want = path() .. ": " .. part
  assert(message:sub(1, #want) == want, ("got %q, wanted %q"):format(message, want))
end

-- A file with these entries and n bytes of data.
local function with(entries, n) return files.file("{" .. entries .. "}", ("\1"):rep(n)) end
local entry = files.entry
local function x(dtype, shape, n) return '"x":' .. entry(dtype, shape, 0, n) end

describe("length of file and header", function()
  it("below 8 bytes, zero, past the file, past the limit", function()
    rejects("", "0 bytes are too few for a safetensors file")
    rejects("1234567", "7 bytes are too few")
    rejects(string.pack("<I8", 0), "the header has length 0")
    rejects(string.pack("<I8", 3) .. "{}", "a header of 3 bytes in a file of 10")
    rejects(string.pack("<I8", 100000001), "a header of 100000001 bytes: the limit is 100000000")
    rejects(string.pack("<I8", -1), "a header of 18446744073709551615 bytes: the limit")
  end)

  it("takes blanks before and after, nothing else", function()
    assert.same({}, accepts(files.file " \t\n\r{}  \n"))
    rejects(files.file "\0{}", "header: line 1 column 1")
    rejects(files.file "{}\0", "header: line 1 column 3")
    rejects(files.file "\xEF\xBB\xBF{}", "header: line 1")
    rejects(files.file "{}x", "header: line 1 column 3")
    rejects(files.file "   ", "header: line 1")
  end)
end)

describe("the header as JSON", function()
  it("is an object of valid UTF-8, not deep", function()
    rejects(files.file "[]", "the header is not a JSON object")
    rejects(files.file "7", "the header is not a JSON object")
    rejects(files.file '{"\xff":1}', "header: line 1")
    rejects(files.file '{"\\ud800":1}', "header: line 1")
    rejects(files.file('{"a":' .. ("["):rep(127) .. ("]"):rep(127) .. "}"), "header: line 1 column 21: nested more than 16 deep")
    rejects(files.file '{"x":NaN}', "header: line 1")
    rejects(files.file(("[1,"):rep(3) .. ("1,"):rep(2000000)), "header: JSON of 2000006 values: the limit is 524288")
    rejects(files.file('{"x":[' .. ("{},"):rep(200000) .. "1]}"), "header: JSON of 1800010 values: the limit is 524288")
  end)

  it("has no key twice", function()
    rejects(with('"x":' .. entry("U8", {4}, 0, 4) .. ',"x":' .. entry("U8", {4}, 0, 4), 4), "header: line 1 column 56: duplicate")
    rejects(with('"x":' .. entry("U8", {4}, 0, 4) .. ',"x":' .. entry("U8", {4}, 4, 8), 8), "header: line 1 column 56: duplicate")
    rejects(with('"x":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}', 4), "header: line 1 column 26: duplicate")
    rejects(files.file '{"__metadata__":{},"__metadata__":{}}', "header: line 1 column 33: duplicate")
  end)

  it("may have fields that we do not know", function()
    assert.same({"x"}, accepts(with('"x":{"dtype":"U8","more":[{}],"shape":[4],"data_offsets":[0,4]}', 4)))
  end)

  it("has strings as metadata, or null", function()
    local _, reader = accepts(files.file '{"__metadata__":null}')
    reader:close()
    reader = assert(open(files.file '{"__metadata__":{"format":"pt","é":"a\\u0000b"}}'))
    assert.same({format = "pt", ["é"] = "a\0b"}, reader:metadata())
    reader:close()
    rejects(files.file '{"__metadata__":{"a":1}}', "__metadata__: the value of 'a' is not a string")
    rejects(files.file '{"__metadata__":{"a":null}}', "__metadata__: the value of 'a' is not a string")
    rejects(files.file '{"__metadata__":[]}', "__metadata__ is not an object")
  end)
end)

describe("names", function()
  it("are not empty and have no NUL, and mean nothing", function()
    rejects(with('"":' .. entry("U8", {1}, 0, 1), 1), "a tensor has an empty name")
    rejects(with('"a\\u0000":' .. entry("U8", {1}, 0, 1), 1), "header: line 1")
    assert.same({"../../etc/passwd", "é"}, accepts(with('"é":' .. entry("U8", {1}, 1, 2) .. ',"../../etc/passwd":' .. entry("U8", {1}, 0, 1), 2)))
  end)
end)

describe("an entry", function()
  local function rejects_entry(text, part) rejects(with('"x":' .. text, 4), "tensor 'x': " .. part) end

  it("is an object with dtype, shape and data_offsets", function()
    rejects_entry("4", "its entry is not an object")
    rejects_entry("{}", "no dtype")
    rejects_entry('{"dtype":4}', "no dtype")
    rejects_entry('{"dtype":"U8"}', "no shape")
    rejects_entry('{"dtype":"U8","shape":4}', "no shape")
    rejects_entry('{"dtype":"U8","shape":[4]}', "data_offsets is not a list of two integers")
  end)

  it("has a dtype that we read, in capitals", function()
    for dtype, size in pairs {F32 = 4, F16 = 2, BF16 = 2, F64 = 8, I64 = 8, I32 = 4, U8 = 1, BOOL = 1} do
      local reader = assert(open(with(x(dtype, {3}, 3 * size), 3 * size)))
      assert.same({dtype = dtype, shape = {3}, bytes = 3 * size}, reader:info "x")
      reader:close()
    end
    for _, dtype in ipairs {"f32", "F4", "F8_E4M3", "I8", "U64", "C64", "", "F32 "} do
      rejects_entry(entry(dtype, {1}, 0, 4), "dtype " .. dtype .. " not supported (F32, F16, BF16, F64, I64, I32, U8, BOOL are)")
    end
  end)

  it("has a shape of at most 8 sizes of at most 48 bits", function()
    rejects_entry(entry("U8", {-1}, 0, 4), "size 1 of its shape is not an integer from 0")
    rejects_entry(entry("U8", {4, "1.0"}, 0, 4), "size 2 of its shape is not an integer from 0")
    rejects_entry(entry("U8", {'"4"'}, 0, 4), "size 1 of its shape is not an integer from 0")
    rejects_entry(entry("U8", {"18446744073709551616"}, 0, 4), "size 1 of its shape is not an integer from 0")
    rejects_entry(entry("U8", {0, "9223372036854775808"}, 0, 4), "size 2 of its shape is not an integer from 0")
    rejects_entry(entry("U8", {0, 1 << 62}, 0, 0), "size 2 of its shape is 4611686018427387904, over the limit 2^48")
    rejects_entry(entry("U8", {4, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 4), "9 dimensions: at most 8")
    rejects(with('"x":{"dtype":"U8","shape":[' .. ("1,"):rep(99999) .. '1],"data_offsets":[0,4]}', 4), "tensor 'x': 100000 dimensions")
    assert.same({"x"}, accepts(with(x("U8", {4, 1, 1, 1, 1, 1, 1, 1}, 4), 4)))
  end)

  it("has a size that does not wrap", function()
    rejects_entry(entry("U8", {1 << 32, 1 << 32}, 0, 0), "its shape is too large")
    rejects_entry(entry("F64", {1 << 30, 1 << 30}, 0, 0), "its shape is too large")
    rejects_entry(entry("U8", {0, 1 << 40, 1 << 40}, 0, 0), "its shape is too large")
  end)

  it("has a range inside the file, of the size of its shape", function()
    rejects_entry(entry("U8", {4}, 4, 0), "data_offsets [4,0] are no range")
    rejects_entry(entry("U8", {4}, -4, 0), "data_offsets [-4,0] are no range")
    rejects_entry(entry("U8", {5}, 0, 5), "bytes [0,5) end after the file's 4 bytes of data")
    rejects_entry('{"dtype":"U8","shape":[4],"data_offsets":[0,4.0]}', "data_offsets is not a list of two integers")
    rejects_entry('{"dtype":"U8","shape":[4],"data_offsets":[0,4,8]}', "data_offsets is not a list of two integers")
    rejects_entry('{"dtype":"U8","shape":[4],"data_offsets":{}}', "data_offsets is not a list of two integers")
    rejects_entry(entry("U8", {3}, 0, 4), "bytes [0,4), but its shape of U8 takes 3")
    rejects_entry(entry("F32", {2}, 0, 4), "bytes [0,4), but its shape of F32 takes 8")
    rejects_entry(entry("F32", {0}, 0, 4), "bytes [0,4), but its shape of F32 takes 0")
  end)
end)

describe("the data", function()
  local function two(a, b, n) return with('"a":' .. a .. ',"b":' .. b, n) end

  it("is tiled by the tensors", function()
    rejects(two(entry("U8", {4}, 0, 4), entry("U8", {4}, 0, 4), 4), "tensor 'b': bytes [0,4) overlap 'a' [0,4)")
    rejects(two(entry("U8", {4}, 0, 4), entry("U8", {4}, 2, 6), 6), "tensor 'b': bytes [2,6) overlap 'a' [0,4)")
    rejects(two(entry("U8", {4}, 1, 5), entry("U8", {4}, 5, 9), 9), "tensor 'a': bytes [1,5) leave a hole from 0 on")
    rejects(two(entry("U8", {4}, 0, 4), entry("U8", {4}, 5, 9), 9), "tensor 'b': bytes [5,9) leave a hole from 4 on")
    rejects(two(entry("U8", {4}, 0, 4), entry("U8", {4}, 4, 8), 9), "the tensors end at byte 8 of 9 bytes of data")
    rejects(two(entry("U8", {4}, 0, 4), entry("U8", {4}, 4, 8), 7), "tensor 'b': bytes [4,8) end after the file's 7 bytes of data")
    rejects(files.file("{}", "x"), "the tensors end at byte 0 of 1 bytes of data")
  end)

  it("may be unaligned, in any order, and shared by empty tensors", function()
    assert.same({"a", "b"}, accepts(two(entry("F32", {1}, 1, 5), entry("U8", {1}, 0, 1), 5)))
    assert.same({"a", "b"}, accepts(two(entry("F32", {0, 3}, 0, 0), entry("U8", {1}, 0, 1), 1)))
    assert.same({"a", "b"}, accepts(two(entry("F32", {0}, 0, 0), entry("F32", {2, 0}, 0, 0), 0)))
    assert.same({}, accepts(files.file "{}"))
  end)
end)

describe("opening", function()
  it("takes regular files only", function()
    for name, part in pairs {["/dev/zero"] = "not a regular file (a device)", [folder] = "not a regular file (a folder)"} do
      assert.equal(name .. ": " .. part, select(2, core.safetensors_open(name)))
    end
    assert.matches("^cannot open .*: No such file or directory$", select(2, core.safetensors_open(folder .. "/none")))
    assert.error_matches(function() core.safetensors_open() end, "string expected")
    assert.error_matches(function() core.safetensors_open "a\0b" end, "has no NUL")
  end)

  it("leaves no file open and no memory in use", function()
    local good, bad = with(x("U8", {4}, 4), 4), with(x("U8", {4}, 4), 5)
    collectgarbage()
    local before = files.open_files()
    local in_use = core.memory and core.memory().in_use
    for _ = 1, 10 do
      assert(open(good)):close()
      assert.is_nil((open(bad)))
      open(good)
    end
    collectgarbage()
    assert.equal(before, files.open_files())
    assert.equal(in_use, core.memory and core.memory().in_use)
  end)

  it("survives every byte changed and every length", function()
    local good = files.file('{"x":' .. entry("F16", {2, 3}, 0, 12) .. ',"__metadata__":{"a":"b"}}', ("ab"):rep(6))
    for i = 1, #good do
      for _, byte in ipairs {0, 0x22, 0x2D, 0x39, 0x5B, 0x7D, 0xFF} do
        local reader, message = open(good:sub(1, i - 1) .. string.char(byte) .. good:sub(i + 1))
        if reader then for _, name in ipairs(reader:names()) do assert(reader:read(name)) end reader:close()
        else assert.equal(path(), message:sub(1, #path())) end
      end
      if i < #good then assert.is_nil((open(good:sub(1, i)))) end
    end
  end)

  it("ends with close", function()
    local reader = assert(open(with(x("U8", {4}, 4), 4)))
    reader:close()
    reader:close()
    for _, method in ipairs {"names", "info", "metadata", "read", "read_into"} do
      assert.error_matches(function() reader[method](reader, "x") end, "closed safetensors file")
    end
  end)
end)
