-- Models in one file, in shards, in folders.
local core = require "rlhf.core"
local safetensors = require "rlhf.safetensors"
local files = require "support.safetensors_file"

local INDEX, A, B = "model.safetensors.index.json", "model-1-of-2.safetensors", "model-2-of-2.safetensors"
local folder
before_each(function() folder = files.folder() end)
after_each(function() files.remove(folder) end)

local function path(name) return folder .. "/" .. name end

-- A file of one-element U8 tensors with these names; the value is the place.
local function shard(name, names)
  local entries, data = {}, {}
  for i, tensor in ipairs(names) do
    entries[i] = ('"%s":%s'):format(tensor, files.entry("U8", {1}, i - 1, i))
    data[i] = string.char(i)
  end
  files.write(path(name), files.file("{" .. table.concat(entries, ",") .. "}", table.concat(data)))
end

local function index(map) files.write(path(INDEX), core.json_encode {metadata = {total_size = 3}, weight_map = map}) end

local function sharded()
  shard(A, {"x", "y"})
  shard(B, {"z"})
  index {x = A, y = A, z = B}
end

local function refused(part)
  local reader, message = safetensors.open(folder)
  assert.is_nil(reader)
  local want = path(INDEX) .. ": " .. part
  assert(message:sub(1, #want) == want, ("got %q, wanted %q"):format(message, want))
end

describe("safetensors.open", function()
  it("reads one file, by its name or its folder's", function()
    shard("model.safetensors", {"b", "a"})
    for _, name in ipairs {path "model.safetensors", folder, folder .. "/"} do
      local reader = assert(safetensors.open(name))
      assert.same({"a", "b"}, reader:names())
      assert.same({dtype = "U8", shape = {1}, bytes = 1}, reader:info "b")
      local t = assert(reader:read "b")
      assert.equal("i64", t:dtype())
      assert.is_true(reader:read_into("a", t))
      assert.is_true(safetensors.save(path "out", {{name = "a", tensor = t}}))
      assert.equal(string.pack("<i8", 2), files.entries(path "out").a.data)
      assert.matches("no tensor 'c'$", select(2, reader:read "c"))
      assert.matches("no tensor 'c'$", select(2, reader:info "c"))
      reader:close()
    end
  end)

  it("puts shards together", function()
    sharded()
    for _, name in ipairs {folder, path(INDEX)} do
      local reader <close> = assert(safetensors.open(name))
      assert.same({"x", "y", "z"}, reader:names())
      for tensor, value in pairs {x = 1, y = 2, z = 1} do
        assert.is_true(safetensors.save(path "out", {{name = tensor, tensor = assert(reader:read(tensor))}}))
        assert.equal(string.pack("<i8", value), files.entries(path "out")[tensor].data)
      end
    end
  end)

  it("prefers the single file, as transformers does", function()
    sharded()
    shard("model.safetensors", {"only"})
    local reader <close> = assert(safetensors.open(folder))
    assert.same({"only"}, reader:names())
  end)

  it("takes plain file names only", function()
    sharded()
    for _, name in ipairs {"/etc/passwd", "../" .. A, "sub/" .. A, "..", ".", "", "a\0b", "c\\d"} do
      index {x = name, y = A, z = B}
      refused(("tensor 'x': a plain file name wanted, got '%s'"):format(name))
    end
    index {x = 1, y = A, z = B}
    refused "tensor 'x': a plain file name wanted, got number"
  end)

  it("finds every tensor in exactly the shard that is listed", function()
    sharded()
    index {x = A, y = A}
    assert.is_nil((safetensors.open(folder)):info "z")
    index {x = A, z = B}
    refused "tensor 'y' of model-1-of-2.safetensors is not listed"
    index {x = A, y = B, z = B}
    refused "tensor 'y' is in model-1-of-2.safetensors, listed in model-2-of-2.safetensors"
    index {w = A, x = A, y = A, z = B}
    refused "tensor 'w' is not in model-1-of-2.safetensors"
    shard(B, {"z", "x"})
    index {x = A, y = A, z = B}
    refused "tensor 'x' is in model-2-of-2.safetensors, listed in model-1-of-2.safetensors"
    index {x = A, y = A, z = "none.safetensors"}
    assert.matches("^cannot open .*/none%.safetensors: No such file", select(2, safetensors.open(folder)))
  end)

  it("refuses an index that is not one", function()
    for text, part in pairs {["{"] = "line 1 column", ["[]"] = "weight_map is not an object", ["7"] = "weight_map is not",
                             ["{}"] = "weight_map is not", ['{"weight_map":[]}'] = "weight_map is not an object",
                             ['{"weight_map":{},"weight_map":{}}'] = "line 1 column", ["false"] = "weight_map is not"} do
      files.write(path(INDEX), text)
      refused(part)
    end
  end)

  it("says what a folder lacks, and never reads pickles", function()
    local _, message = safetensors.open(folder)
    assert.equal(folder .. ": has neither model.safetensors nor " .. INDEX, message)
    files.write(path "pytorch_model.bin", "x")
    _, message = safetensors.open(folder)
    assert.matches("pickled %(pytorch_model%.bin%), .* convert them with transformers", message)
    assert.matches("^cannot find .*: No such file", select(2, safetensors.open(path "none")))
    assert.matches("not a regular file", select(2, safetensors.open "/dev/zero"))
    assert.error_matches(function() safetensors.open() end, "path: string expected, got nil")
  end)

  it("closes all files, whatever happened", function()
    sharded()
    collectgarbage()
    local before = files.open_files()
    for _ = 1, 5 do
      local reader = assert(safetensors.open(folder))
      reader:close()
      reader:close()
      assert.error_matches(function() reader:read "x" end, "closed safetensors reader")
      assert.error_matches(function() reader:names() end, "closed safetensors reader")
    end
    index {x = A, y = A, z = "none"}
    for _ = 1, 5 do assert.is_nil((safetensors.open(folder))) end
    collectgarbage()
    assert.equal(before, files.open_files())
  end)
end)
