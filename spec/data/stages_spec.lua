-- Stages over sources, and the cursor.
local d = require "rlhf.data"
local support = require "support.data"
local rows = support.rows

local function numbers(n)
  local list = {}
  for i = 1, n do list[i] = {n = i} end
  return list
end

local function values(s, pass)
  local out = {}
  for i, row in ipairs(rows(s, pass)) do out[i] = row.n end
  return out
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("data stages", function()
  it("map, filter, take", function()
    local s = d.list(numbers(10))
    assert.same({2, 4, 6}, values(d.take(d.filter(s, function(r) return r.n % 2 == 0 end), 3)))
    assert.same({2, 3}, values(d.map(s, function(r) return r.n < 3 and {n = r.n + 1} or nil end)))
    assert.same({}, values(d.take(s, 0)))
    assert.same({1, 2}, values(d.take(numbers(2), 5), 7))
  end)

  it("take bare iterators for one pass", function()
    local i = 0
    local s = d.take(function()
      i = i + 1
      return {n = i}
    end, 3)
    assert.same({1, 2, 3}, values(s))
    assert.error_matches(function() s(2) end, "a bare iterator works for one pass")
  end)

  it("take objects that are called like sources", function()
    local s = setmetatable({}, {__call = function(_, pass) return (d.list {{n = pass}})(1) end})
    assert.same({3}, values(d.take(s, 5), 3))
  end)

  it("refuse what is no source", function()
    assert.error_matches(function() d.map(3, print) end, "data.map: a source, a list or an iterator wanted, got number")
    assert.error_matches(function() d.map({}, 3) end, "data.map: a function wanted, got number")
    assert.error_matches(function() d.list({})(0) end, "pass: a whole number from 1 wanted, got 0")
  end)
end)

describe("data.shuffle", function()
  local s = d.shuffle(numbers(1000), {seed = 3})

  it("depends on seed and pass alone, and has each row once", function()
    local first = values(s, 1)
    assert.same(first, values(s, 1))
    assert.same(first, values(d.shuffle(numbers(1000), {seed = 3}), 1))
    assert.not_same(first, values(s, 2))
    assert.not_same(first, values(d.shuffle(numbers(1000), {seed = 4}), 1))
    assert.not_same(first, sorted(values(s, 1)))
    for i, n in ipairs(sorted(first)) do assert.equal(i, n) end
  end)

  it("puts each row anywhere with equal chance", function()
    local at_first, runs = {0, 0, 0, 0}, 4000
    local small = d.shuffle(numbers(4), {seed = 1})
    for pass = 1, runs do
      local n = small(pass)().n
      at_first[n] = at_first[n] + 1
    end
    for n = 1, 4 do -- 1000 +- 27 (deviation); 5 deviations
      assert.is_true(math.abs(at_first[n] - runs / 4) < 137, at_first[n])
    end
  end)

  it("draws from a buffer", function()
    local list = values(d.shuffle(numbers(1000), {seed = 3, buffer = 10}))
    for i, n in ipairs(list) do assert.is_true(n < i + 10) end -- no row comes before it was read
    assert.not_same(sorted {table.unpack(list)}, list)
    for i, n in ipairs(sorted(list)) do assert.equal(i, n) end
    assert.same({1, 2, 3}, values(d.shuffle(numbers(3), {buffer = 1})))
  end)
end)

describe("data.split", function()
  it("gives parts that are disjoint, complete and the same each time", function()
    local a, b, c = d.split(d.shuffle(numbers(2000), {seed = 9}), {0.7, 0.2, 0.1}, {seed = 5})
    local x, y, z = values(a), values(b), values(c)
    assert.same(x, values(a, 2)) -- also behind a shuffle that changes with the pass
    local all = {}
    for _, list in ipairs {x, y, z} do table.move(list, 1, #list, #all + 1, all) end
    for i, n in ipairs(sorted(all)) do assert.equal(i, n) end
    assert.is_true(math.abs(#x - 1400) < 103) -- 5 deviations of 20.5
    assert.is_true(math.abs(#z - 200) < 68)
    assert.not_same(x, values((d.split(numbers(2000), {0.7, 0.3}, {seed = 6}))))
  end)

  it("wants shares that sum to 1", function()
    assert.error_matches(function() d.split({}, {0.5, 0.4}) end, "the shares sum to 0.9, 1 wanted")
    assert.error_matches(function() d.split({}, {2, -1}) end, "share 1: a number above 0")
    assert.error_matches(function() d.split({}, {}) end, "a list of shares wanted")
  end)
end)

describe("data.batches", function()
  local function sizes(lengths, tokens)
    local list, out = {}, {}
    for i, n in ipairs(lengths) do list[i] = {ids = numbers(n)} end
    for i, batch in ipairs(rows(d.batches(list, {tokens = tokens}))) do
      out[i] = {}
      for k, row in ipairs(batch) do out[i][k] = #row.ids end
    end
    return out
  end

  it("fills a budget in order", function()
    assert.same({{3, 4}, {5}, {20}, {1, 1, 8}, {1}}, sizes({3, 4, 5, 20, 1, 1, 8, 1}, 10))
    assert.same({}, sizes({}, 10))
  end)

  it("tells rows without ids", function()
    assert.error_matches(function() rows(d.batches {{n = 1}}) end, "ids are missing")
  end)
end)

describe("data.cursor", function()
  it("draws across passes and goes back to a position", function()
    local s = d.shuffle(numbers(7), {seed = 1})
    local c = d.cursor(s)
    for _ = 1, 10 do c:next() end
    local position = c:position()
    assert.same({pass = 2, drawn = 3}, position)
    local expected = {}
    for i = 1, 12 do expected[i] = c:next().n end
    local again = d.cursor(d.shuffle(numbers(7), {seed = 1}))
    again:seek(position)
    for i = 1, 12 do assert.equal(expected[i], again:next().n) end
  end)

  it("tells empty and shrunk data", function()
    assert.error_matches(function() d.cursor({}):next() end, "the source has no rows")
    assert.error_matches(function() d.cursor(numbers(2)):seek {pass = 1, drawn = 3} end, "the data has changed")
  end)
end)
