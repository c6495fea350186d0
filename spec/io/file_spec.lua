local core = require "rlhf.core"
local files = require "support.safetensors_file"

local folder
local function path(name) return folder .. "/" .. name end
local function content(name) return files.slurp(path(name)) end

-- Runs `lua5.4 -e code` with this process's module paths behind a shell prefix; the command's success.
local function child(prefix, code)
  local command = ("%s env LUA_PATH='%s' LUA_CPATH='%s' lua5.4 -e '%s' 2>/dev/null"):format(prefix, package.path, package.cpath, code)
  return os.execute(command)
end

before_each(function() folder = files.folder() end)
after_each(function() core.fail_saves(0); files.remove(folder) end)

describe("write_file", function()
  it("writes, replaces and leaves nothing else behind", function()
    assert.is_true(core.write_file(path "a", "one\0two"))
    assert.equal("one\0two", content "a")
    assert.is_true(core.write_file(path "a", ""))
    assert.equal("", content "a")
    assert.same({"a"}, core.list_folder(folder))
  end)

  it("keeps the old file whichever call fails, once or for good", function()
    for _, sticky in ipairs {false, true} do
      -- write, fsync, rename, fsync of the folder: only the last fails with the new file in place
      for n = 1, 4 do
        assert.is_true(core.write_file(path "a", "old"))
        core.fail_saves(n, sticky)
        local ok, message = core.write_file(path "a", "new text")
        core.fail_saves(0)
        assert.is_nil(ok)
        assert.matches("^cannot %a+ .*: No space left on device", message)
        assert.equal(n < 4 and "old" or "new text", content "a")
        assert.same({"a"}, core.list_folder(folder))
      end
      core.fail_saves(5, sticky)
      assert.is_true(core.write_file(path "a", "newest"))
      assert.equal(1, core.fail_saves(0))
    end
  end)

  it("says how much a full disk lacks", function()
    core.fail_saves(1)
    local _, message = core.write_file(path "a", ("x"):rep(2000000))
    assert.matches("^cannot write .*/a: No space left on device %(needs 2%.0 MB, %d+%.%d MB free%)$", message)
    assert.same({}, core.list_folder(folder))
  end)

  it("survives a real limit in the middle of a write", function()
    assert.is_true(core.write_file(path "a", "old"))
    local code = ([[local core = require "rlhf.core"
      local ok, message = core.write_file("%s", ("x"):rep(300000))
      os.exit(not ok and message:find "File too large" and 0 or 1)]]):format(path "a")
    assert.is_true(child("trap '' XFSZ; ulimit -f 100;", code))
    assert.equal("old", content "a")
    assert.same({"a"}, core.list_folder(folder))
  end)

  it("leaves the old file or the new one when it is killed, and recovers after", function()
    local size = 3000000
    local code = ([[local core = require "rlhf.core"
      for i = 0, 9999 do assert(core.write_file("%s", string.char(65 + i %% 26):rep(%d))) end]]):format(path "a", size)
    assert.is_true(core.write_file(path "a", ("A"):rep(size)))
    for i = 1, 8 do
      child(("timeout --foreground -s KILL %.3f"):format(0.04 + 0.013 * i), code)
      local text = content "a"
      assert.equal(size, #text)
      assert.equal(text, text:sub(1, 1):rep(size))
    end
    assert.is_true(core.write_file(path "a", "after"))
    assert.equal("after", content "a")
    assert.same({"a"}, core.list_folder(folder))
  end)

  it("overwrites a stale temporary file, but not one that another process writes", function()
    files.write(path "a.tmp", ("stale"):rep(100))
    local other = assert(io.popen(("flock '%s' sh -c 'cat > %s'"):format(path "a.tmp", path "ready"), "w"))
    repeat until core.file_info(path "ready")
    local ok, message = core.write_file(path "a", "new")
    assert.is_nil(ok)
    assert.matches("^cannot write .*/a: another save of it is going on %(.*/a%.tmp%)$", message)
    other:close()
    assert.is_true(core.write_file(path "a", "new"))
    assert.equal("new", content "a")
    assert.same({"a", "ready"}, core.list_folder(folder))
  end)

  it("follows no link at the temporary's name", function()
    files.write(path "victim", "precious")
    assert(os.execute(("ln -s victim '%s'"):format(path "a.tmp")))
    assert.is_nil(core.write_file(path "a", "new"))
    assert.equal("precious", content "victim")
  end)

  it("keeps the permissions of the file it replaces", function()
    files.write(path "a", "old")
    assert(os.execute(("chmod 600 '%s'"):format(path "a")))
    assert.is_true(core.write_file(path "a", "new"))
    local pipe = assert(io.popen(("stat -c %%a '%s'"):format(path "a")))
    assert.equal("600", pipe:read "l")
    pipe:close()
  end)

  it("refuses what is not a file", function()
    local ok, message = core.write_file("/dev/full", "x")
    assert.is_nil(ok)
    assert.equal("/dev/full: not a regular file (a device)", message)
    ok, message = core.write_file(folder, "x")
    assert.is_nil(ok)
    assert.matches("not a regular file %(a folder%)", message)
    ok, message = core.write_file(path "no/a", "x")
    assert.is_nil(ok)
    assert.matches("^cannot write .*/no/a: No such file or directory$", message)
    assert.error_matches(function() core.write_file("a\0b", "x") end, "has no NUL")
    assert.error_matches(function() core.write_file("", "x") end, "not empty")
  end)
end)

describe("read_file", function()
  it("reads regular files up to a limit", function()
    files.write(path "a", "x\0y")
    assert.equal("x\0y", core.read_file(path "a"))
    assert.equal("x\0y", core.read_file(path "a", 3))
    local text, message = core.read_file(path "a", 2)
    assert.is_nil(text)
    assert.matches("/a: 3 bytes, the limit is 2$", message)
  end)

  it("refuses folders, devices and FIFOs without waiting", function()
    assert(os.execute(("mkfifo '%s'"):format(path "pipe")))
    for name, kind in pairs {[path "pipe"] = "a FIFO", [folder] = "a folder", ["/dev/zero"] = "a device"} do
      local text, message = core.read_file(name)
      assert.is_nil(text)
      assert.equal(name .. ": not a regular file (" .. kind .. ")", message)
    end
    assert.equal("cannot open " .. path "none" .. ": No such file or directory", select(2, core.read_file(path "none")))
  end)

  it("leaves no file open", function()
    files.write(path "a", "text")
    local before = files.open_files()
    for _ = 1, 5 do
      core.read_file(path "a")
      core.read_file(path "a", 1)
      core.read_file(folder)
      core.write_file(path "b", "x")
      core.fail_saves(2)
      core.write_file(path "b", "x")
      core.list_folder(folder)
    end
    assert.equal(before, files.open_files())
  end)
end)

describe("folders", function()
  it("are made with those above them", function()
    assert.is_true(core.make_folder(path "x/y//z/"))
    assert.is_true(core.make_folder(path "x/y/z"))
    assert.same({type = "folder"}, {type = core.file_info(path "x/y/z").type})
    files.write(path "f", "")
    local ok, message = core.make_folder(path "f/g")
    assert.is_nil(ok)
    assert.matches("^cannot make the folder .*/f: File exists$", message)
  end)

  it("are listed sorted; files have a type and size", function()
    for _, name in ipairs {"b", "a", ".h", "c"} do files.write(path(name), "123") end
    assert.same({".h", "a", "b", "c"}, core.list_folder(folder))
    assert.same({type = "file", size = 3}, core.file_info(path "a"))
    assert.equal("other", core.file_info("/dev/null").type)
    assert.matches("^cannot find .*: No such file or directory$", select(2, core.file_info(path "none")))
    assert.matches("^cannot list ", select(2, core.list_folder(path "none")))
  end)
end)
