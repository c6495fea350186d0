-- Lines of JSON: each kind of bad line by file and number, what is passed over, memory.
local d = require "rlhf.data"
local support = require "support.data"

local function outcome(text)
  local result
  support.with_file(text, function(path)
    local ok, value = pcall(support.rows, d.jsonl(path))
    result = ok and value or value:gsub("^" .. path:gsub("%p", "%%%0"), "FILE")
  end)
  return result
end

describe("data.jsonl", function()
  it("reads lines with BOM, CRLF, blank lines and no last line feed", function()
    assert.same({{a = 1}, {a = 2}, {a = 3}}, outcome '\xEF\xBB\xBF{"a":1}\r\n\n  \r\n{"a":2}\n{"a":3}')
    assert.same({}, outcome "")
    assert.same({}, outcome "\n\n")
  end)

  it("stays at its end when it is asked again", function()
    support.with_file('{"a": 1}\n', function(path)
      local rows = d.jsonl(path)(1)
      assert.equal(1, rows().a)
      assert.is_nil(rows())
      assert.is_nil(rows())
      local encoded = d.map(d.jsonl(path), function() return {ids = {1, 2}, labels = {1, 2}} end)
      local batches = d.batches(encoded, {tokens = 8})(1)
      assert.equal(1, #batches())
      assert.is_nil(batches())
      assert.is_nil(batches())
    end)
  end)

  it("reads lines that cross the chunks", function()
    local long = ("x"):rep(200000)
    local rows = outcome(('{"a":"%s"}\n{"a":"y"}\n'):format(long))
    assert.equal(long, rows[1].a)
    assert.equal("y", rows[2].a)
  end)

  it("names file and line of what is wrong", function()
    assert.matches("^FILE:2: column %d+: ", outcome '{"a":1}\n{"a":\n')
    assert.matches("^FILE:1: .*0xff", outcome '{"a":"\xff"}')
    assert.equal("FILE:1: line has a NUL byte", outcome '{"a":"\0"}')
    assert.equal("FILE:3: an object wanted, got array", outcome '{"a":1}\n\n[1]')
    assert.equal("FILE:1: an object wanted, got null", outcome "null")
    assert.equal("FILE:1: an object wanted, got number", outcome "3")
    assert.matches("^FILE:1: .*NaN", outcome '{"a":NaN}')
    assert.matches("^FILE:1: .*duplicate", outcome '{"a":1,"a":2}')
    assert.equal("FILE:2: line is longer than 16 MB", outcome('{"a":1}\n{"a":"' .. ("x"):rep(17 << 20) .. '"}\n'))
  end)

  it("leaves bad lines out when asked, and tells them", function()
    support.with_file('{"a":1}\n{\n' .. ("y"):rep(17 << 20) .. '\n{"a":4}\n', function(path)
      local s = d.jsonl(path, {on_bad_row = "skip"})
      for _ = 1, 2 do
        assert.same({{a = 1}, {a = 4}}, support.rows(s))
        local count, messages = s:skipped()
        assert.equal(2, count)
        assert.equal(path .. ":3: line is longer than 16 MB", messages[2])
      end
    end)
  end)

  it("remembers where rows stood", function()
    support.with_file('{"a":1}\n\n{"a":2}\n', function(path)
      local rows = support.rows(d.map(d.jsonl(path), function(row) return {b = row.a} end))
      assert.equal(path .. ":3", d.where(rows[2]))
    end)
  end)

  it("holds a line at a time", function()
    support.with_file(('{"a":"' .. ("x"):rep(1000) .. '"}\n'):rep(20000), function(path)
      local most, n = 0, 0
      collectgarbage()
      local before = collectgarbage "count"
      for _ in d.jsonl(path)(1) do
        n = n + 1
        if n % 500 == 0 then
          collectgarbage()
          most = math.max(most, collectgarbage "count" - before)
        end
      end
      assert.equal(20000, n)
      assert.is_true(most < 1000, most) -- KiB, of 20 MB
    end)
  end)

  it("refuses what is no file", function()
    assert.error_matches(function() d.jsonl "/nowhere/x.jsonl" end, "/nowhere/x.jsonl")
    assert.error_matches(function() d.jsonl "spec" end, "spec: not a regular file")
    assert.error_matches(function() d.jsonl("spec", {on_bad_row = "drop"}) end, "'error' or 'skip' wanted, got drop")
    assert.error_matches(function() d.jsonl() end, "a path wanted, got nil")
  end)
end)
