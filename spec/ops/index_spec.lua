-- Facts about embedding, index_select, gather and scatter (c/ops/index.c): ids count from 0, each is
-- checked, gradients add up in order.
local rlhf = require "rlhf"
local values = require "support.values"

local function ids(list) return rlhf.tensor(list, {dtype = "i64"}) end

describe("embedding", function()
  it("takes rows by ids of any shape, and adds up gradients of repeated ones", function()
    local w = rlhf.tensor{{1, 2}, {3, 4}, {5, 6}}:requires_grad()
    local y = rlhf.embedding(w, ids{{2, 0}, {2, 2}})
    assert.same({{{5, 6}, {1, 2}}, {{5, 6}, {5, 6}}}, y:totable());
    (y * rlhf.tensor{1, 10}):sum():backward()
    assert.same({{1, 10}, {0, 0}, {3, 30}}, w:grad():totable())
    assert.same({2}, rlhf.embedding(w, ids{1}[1]):shape())
  end)

  it("has the gradient of a sum over positions, the same bits with 1 and 2 threads", function()
    local before = rlhf.threads()
    finally(function() rlhf.threads(before) end)
    local list, want = {}, {}
    for i = 1, 4000 do list[i] = i * i * 7919 % 300 end
    local g = rlhf.randn({4000, 24}, {seed = 1})
    local function gradient(threads)
      rlhf.threads(threads)
      local w = rlhf.zeros{300, 24}:requires_grad()
      rlhf.embedding(w, ids(list)):backward(g)
      return w:grad():totable()
    end
    local one = gradient(1)
    assert.same(one, gradient(2))
    for c = 1, 24 do want[c] = 0 end
    for i, row in ipairs(g:totable()) do
      if list[i] == list[1] then
        for c = 1, 24 do want[c] = want[c] + row[c] end
      end
    end
    for c = 1, 24 do assert.is_true(math.abs(one[list[1] + 1][c] - want[c]) < 1e-5) end
  end)

  it("names an id that is out of range, its place and the limit", function()
    local w = rlhf.zeros{5, 2}
    assert.error_matches(function() return rlhf.embedding(w, ids{{0, 4}, {5, 9}}) end,
      "#2 to 'embedding' %(id 5 at %[2,1%]: 0 to 4 wanted%)")
    assert.error_matches(function() return rlhf.embedding(w, ids{1, -1}) end, "id %-1 at %[2%]: 0 to 4 wanted")
    assert.error_matches(function() return rlhf.embedding(rlhf.zeros{0, 2}, ids{0}) end, "nothing to take it from")
    assert.error_matches(function() return rlhf.embedding(rlhf.zeros{3}, ids{0}) end, "2 dimensions wanted, got %[3%]")
    assert.error_matches(function() return rlhf.embedding(w, rlhf.zeros{2}) end, "ids: i64 wanted, got f32")
    assert.error_matches(function() return rlhf.embedding(w, rlhf.zeros({1, 1, 1, 1, 1, 1, 1, 1}, {dtype = "i64"})) end,
      "at most 7 dimensions wanted, got 8")
  end)

  it("of no ids is empty, whatever the weight", function()
    assert.same({0, 2}, rlhf.embedding(rlhf.zeros{0, 2}, rlhf.zeros({0}, {dtype = "i64"})):shape())
  end)
end)

describe("index_select", function()
  it("takes parts along any dimension, of any dtype", function()
    local x = ids{{1, 2, 3}, {4, 5, 6}}
    assert.same({{4, 5, 6}, {1, 2, 3}, {4, 5, 6}}, x:index_select(ids{1, 0, 1}):totable())
    assert.same({{3, 1}, {6, 4}}, x:index_select(ids{2, 0}, 2):totable())
    assert.same({false, true}, rlhf.tensor({true, false}, {dtype = "bool"}):index_select(ids{1, 0}):totable())
  end)

  it("wants a list of indices that are there", function()
    local x = rlhf.zeros{2, 3}
    assert.error_matches(function() return x:index_select(ids{{1}}) end, "1 dimensions wanted, got %[1,1%]")
    assert.error_matches(function() return x:index_select(ids{2}) end, "id 2 at %[1%]: 0 to 1 wanted")
  end)
end)

describe("gather", function()
  it("may have an index smaller than x but along dim, where it may be longer", function()
    local x = rlhf.tensor{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}
    assert.same({{{1}, {3}, {1}}}, x:gather(ids{{{0}, {1}, {0}}}, 2):totable())
    assert.same({{{1, 6}, {7, 4}}}, x:gather(ids{{{0, 1}, {1, 0}}}, 1):totable())
    assert.same({{{2, 1, 2}}}, x:gather(ids{{{1, 0, 1}}}, 3):totable())
  end)

  it("picks the log-probabilities of tokens", function()
    local logp = rlhf.randn({70, 300}, {seed = 4}):log_softmax()
    local tokens, rows = {}, logp:totable()
    for i = 1, 70 do tokens[i] = {i * 37 % 300} end
    for i, picked in ipairs(logp:gather(ids(tokens), 2):totable()) do
      assert.equal(rows[i][tokens[i][1] + 1], picked[1])
    end
  end)

  it("works on integers too", function()
    assert.same({{3, 3}, {4, 5}}, ids{{1, 2, 3}, {4, 5, 6}}:gather(ids{{2, 2}, {0, 1}}, 2):totable())
  end)

  it("says what does not fit", function()
    local x = rlhf.zeros{2, 3}
    assert.error_matches(function() return x:gather(ids{{0, 3}}, 2) end, "id 3 at %[1,2%]: 0 to 2 wanted")
    assert.error_matches(function() return x:gather(ids{0, 1}, 2) end, "index %[2%] for %[2,3%]: as many dimensions wanted")
    assert.error_matches(function() return x:gather(ids{{0}, {0}, {0}}, 2) end, "none larger but dimension 2")
    assert.error_matches(function() return x:gather(ids{{0}}) end, "dim wanted")
  end)
end)

describe("scatter", function()
  it("leaves the last of several, and only that one has a gradient", function()
    local x, src = rlhf.zeros{1, 3}:requires_grad(), rlhf.tensor{{1, 2, 3}}:requires_grad()
    local y = x:scatter(ids{{0, 2, 0}}, src, 2)
    assert.same({{3, 0, 2}}, y:totable());
    (y * rlhf.tensor{10, 20, 30}):sum():backward()
    assert.same({{0, 30, 10}}, src:grad():totable())
    assert.same({{0, 20, 0}}, x:grad():totable())
  end)

  it("makes one-hot rows", function()
    local hot = rlhf.zeros{3, 4}:scatter(ids{{2}, {0}, {3}}, rlhf.ones{3, 1}, 2)
    assert.same({{0, 0, 1, 0}, {1, 0, 0, 0}, {0, 0, 0, 1}}, hot:totable())
  end)

  it("wants src like index", function()
    assert.error_matches(function() return rlhf.zeros{2, 3}:scatter(ids{{0}}, rlhf.zeros{2, 1}, 2) end,
      "src %[2,1%]: the shape of index wanted, %[1,1%]")
  end)
end)

describe("scatter_add", function()
  it("adds all of several, with a gradient for each", function()
    local x, src = rlhf.ones{3}:requires_grad(), rlhf.tensor{1, 2, 4}:requires_grad()
    local y = x:scatter_add(ids{1, 1, 0}, src, 1)
    assert.same({5, 4, 1}, y:totable());
    (y * rlhf.tensor{1, 10, 100}):sum():backward()
    assert.same({10, 10, 1}, src:grad():totable())
    assert.same({1, 10, 100}, x:grad():totable())
    assert.same(values.flat(y), values.flat(rlhf.ones{3}:scatter_add(ids{1, 0, 1}, rlhf.tensor{1, 4, 2}, 1)))
  end)
end)
