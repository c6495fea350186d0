-- Saving: the bytes are taken apart without the library's code; every call of the system may fail.
local core = require "rlhf.core"
local files = require "support.safetensors_file"

local folder
before_each(function() folder = files.folder() end)
after_each(function() core.fail_saves(0); files.remove(folder) end)

local function path(name) return folder .. "/" .. name end

-- A tensor made by way of a file.
local function tensor(dtype, shape, data)
  local reader <close> = assert(core.safetensors_open(files.write(path "made", files.single(dtype, shape, data))))
  local t = assert(reader:read "x")
  os.remove(path "made")
  return t
end

local function f32(...) return string.pack(("<f"):rep(select("#", ...)), ...) end

local function items()
  return {
    {name = "flags", tensor = tensor("BOOL", {3}, "\1\0\1")},
    {name = "b", tensor = tensor("F32", {2, 2}, f32(1, 2, 3, 4))},
    {name = "ids", tensor = tensor("I64", {1}, string.pack("<i8", -7))},
    {name = "a/é\"\n", tensor = tensor("F32", {}, f32(0.5))},
    {name = "none", tensor = tensor("F32", {0, 3}, "")},
  }
end

describe("safetensors_save", function()
  it("writes what was given, the largest type first, then by name", function()
    assert.is_true(core.safetensors_save(path "f", items(), {note = "x"}))
    local got, metadata, header = files.entries(path "f")
    assert.same({format = "pt", note = "x"}, metadata)
    assert.equal(0, header % 8)
    assert.same({"I64", "BOOL", "F32"}, {got.ids.dtype, got.flags.dtype, got.b.dtype})
    assert.same({{1}, {3}, {2, 2}, {0, 3}, {}}, {got.ids.shape, got.flags.shape, got.b.shape, got.none.shape, got["a/é\"\n"].shape})
    assert.same({string.pack("<i8", -7), "\1\0\1", f32(1, 2, 3, 4), f32(0.5)}, {got.ids.data, got.flags.data, got.b.data, got["a/é\"\n"].data})
    assert.same({0, 8, 12, 28, 28}, {got.ids.first, got["a/é\"\n"].first, got.b.first, got.none.first, got.flags.first})
  end)

  it("gives the same bytes for the same tensors in any order", function()
    local list = items()
    assert.is_true(core.safetensors_save(path "f", list, {b = "1", a = "2", c = "3"}))
    table.sort(list, function(x, y) return x.name < y.name end)
    assert.is_true(core.safetensors_save(path "g", list, {c = "3", a = "2", b = "1"}))
    assert.equal(files.slurp(path "f"), files.slurp(path "g"))
  end)

  it("is read back, metadata too", function()
    assert.is_true(core.safetensors_save(path "f", items(), {format = "np", ["é"] = ""}))
    local reader <close> = assert(core.safetensors_open(path "f"))
    assert.same({"a/é\"\n", "b", "flags", "ids", "none"}, reader:names())
    assert.same({format = "np", ["é"] = ""}, reader:metadata())
    assert.same({dtype = "F32", shape = {0, 3}, bytes = 0}, reader:info "none")
    assert.is_true(core.safetensors_save(path "g", {{name = "b", tensor = assert(reader:read "b")}}))
    assert.equal(f32(1, 2, 3, 4), files.entries(path "g").b.data)
    assert.is_true(core.safetensors_save(path "empty", {}))
    assert.same({}, assert(core.safetensors_open(path "empty")):names())
  end)

  it("writes views as they look", function()
    local t = tensor("F32", {2, 3}, f32(1, 2, 3, 4, 5, 6))
    if not t.transpose then return pending "transpose is not there" end
    assert.is_true(core.safetensors_save(path "f", {{name = "x", tensor = t:transpose(1, 2)}}))
    local x = files.entries(path "f").x
    assert.same({3, 2}, x.shape)
    assert.equal(f32(1, 4, 2, 5, 3, 6), x.data)
  end)

  it("keeps the old file whichever call fails, once or for good", function()
    local list = items()
    local function save() return core.safetensors_save(path "f", list) end
    files.write(path "f", "old")
    -- header, four tensors with data, fsync, rename, fsync of the folder
    local calls = 8
    for _, sticky in ipairs {false, true} do
      for n = 1, calls do
        files.write(path "f", "old")
        core.fail_saves(n, sticky)
        local ok, message = save()
        core.fail_saves(0)
        assert.is_nil(ok)
        assert.matches("No space left on device", message)
        if n < calls then assert.equal("old", files.slurp(path "f")) end
        assert.same({"f"}, core.list_folder(folder))
      end
      core.fail_saves(calls + 1, sticky)
      assert.is_true(save())
      assert.equal(1, core.fail_saves(0))
    end
    assert(core.safetensors_open(path "f")):close()
  end)

  it("says how much a full disk lacks", function()
    local t = tensor("F32", {250000}, ("\0"):rep(1000000))
    core.fail_saves(2)
    local ok, message = core.safetensors_save(path "f", {{name = "x", tensor = t}})
    assert.is_nil(ok)
    assert.matches("^cannot write .*/f: No space left on device %(needs 1%.0 MB, %d+%.%d MB free%)$", message)
  end)

  it("leaves a whole file when it is killed", function()
    local code = ([[local core = require "rlhf.core"
      local r = assert(core.safetensors_open("%s"))
      local list = {}
      for i = 1, 40 do list[i] = {name = "t" .. i, tensor = assert(r:read("x"))} end
      while true do assert(core.safetensors_save("%s", list)) end]]):format(path "seed", path "f")
    files.write(path "seed", files.single("F32", {25000}, f32(1.5):rep(25000)))
    files.write(path "f", files.single("F32", {1}, f32(1)))
    local whole = 0
    -- later and later, until some children have come as far as a save
    for i = 1, 40 do
      if whole == 4 then break end
      os.execute(("timeout --foreground -s KILL %.3f env LUA_PATH='%s' LUA_CPATH='%s' lua5.4 -e '%s' 2>/dev/null"):format(
        0.04 + 0.03 * i, package.path, package.cpath, code))
      local reader <close> = assert(core.safetensors_open(path "f"))
      whole = whole + (#reader:names() == 40 and 1 or 0)
    end
    assert.equal(4, whole)
  end)

  it("raises for misuse, at the argument", function()
    local t = tensor("F32", {1}, f32(1))
    local function raises(message, list, metadata)
      assert.error_matches(function() core.safetensors_save(path "f", list, metadata) end, message)
    end
    raises("#2 .*two tensors are named 'x'", {{name = "x", tensor = t}, {name = "x", tensor = t}})
    raises("#2 .*a tensor's name is empty", {{name = "", tensor = t}})
    raises("#2 .*cannot be named __metadata__", {{name = "__metadata__", tensor = t}})
    raises("#2 .*is not UTF%-8 at byte 2", {{name = "x\xff", tensor = t}})
    raises("#2 .*a tensor's name: a string without NUL wanted, got one with", {{name = "x\0", tensor = t}})
    raises("#2 .*a tensor's name: a string without NUL wanted, got nil", {{tensor = t}})
    raises("#2 .*'x': tensor wanted, got number", {{name = "x", tensor = 1}})
    raises("#2 .*item 2: {name =, tensor =} wanted, got boolean", {{name = "x", tensor = t}, true})
    raises("#3 .*metadata: a string without NUL wanted, got number", {}, {a = 1})
    raises("#3 .*metadata's key: a string without NUL wanted, got number", {}, {"a"})
    raises("metadata 'a' is not UTF%-8", {}, {a = "\xff"})
    raises("#3 .*table expected", {}, "x")
    assert.same({}, core.list_folder(folder))
    t:close()
    raises("#2 .*closed tensor", {{name = "x", tensor = t}})
  end)

  it("leaves no memory in use, no file open", function()
    local list = items()
    collectgarbage()
    local open, in_use = files.open_files(), core.memory and core.memory().in_use
    for n = 0, 9 do
      core.fail_saves(n)
      core.safetensors_save(path "f", list)
      core.fail_saves(0)
      core.safetensors_save(path "no/f", list)
    end
    assert.equal(open, files.open_files())
    assert.equal(in_use, core.memory and core.memory().in_use)
  end)
end)
