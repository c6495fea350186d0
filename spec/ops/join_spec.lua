-- Facts about cat, stack, split, tril and triu (c/ops/join.c).
local rlhf = require "rlhf"
local values = require "support.values"

describe("cat and stack", function()
  it("join along any dimension, views and empty ones too", function()
    local a, b = rlhf.tensor{{1, 2}, {3, 4}}, rlhf.tensor{{5}, {6}}
    assert.same({{1, 2, 5}, {3, 4, 6}}, rlhf.cat({a, b}, 2):totable())
    assert.same({{1, 3}, {2, 4}, {5, 6}}, rlhf.cat{a:transpose(), rlhf.zeros{0, 2}, b:transpose()}:totable())
    assert.same({{{1, 2}, {1, 3}}, {{3, 4}, {2, 4}}}, rlhf.stack({a, a:transpose()}, 2):totable())
    assert.same({3}, rlhf.stack{rlhf.tensor(1.0), rlhf.tensor(2.0), rlhf.tensor(3.0)}:shape())
  end)

  it("take every dtype, but one at a time", function()
    local i = rlhf.tensor({1, 2}, {dtype = "i64"})
    assert.same({1, 2, 1, 2}, rlhf.cat{i, i}:totable())
    assert.error_matches(function() return rlhf.cat{i, rlhf.zeros{2}} end, "tensor 2 is f32, tensor 1 is i64")
  end)

  it("give each tensor its part of the gradient, one that is there twice both", function()
    local a, b = rlhf.zeros{2}:requires_grad(), rlhf.zeros{1}:requires_grad();
    (rlhf.cat{a, b, a} * rlhf.tensor{1, 2, 3, 4, 5}):sum():backward()
    assert.same({5, 7}, a:grad():totable())
    assert.same({3}, b:grad():totable())
  end)

  it("take long lists", function()
    local list, want = {}, {}
    for i = 1, 300 do list[i], want[i] = rlhf.full({1}, i), i end
    assert.same(want, rlhf.cat(list):totable())
  end)

  it("name the tensor that does not fit", function()
    local a = rlhf.zeros{2, 3}
    assert.error_matches(function() return rlhf.cat{a, a, rlhf.zeros{2, 2}} end, "#1 to 'cat' %(tensor 3 is %[2,2%], tensor 1 is %[2,3%]%)")
    assert.error_matches(function() return rlhf.stack{a, rlhf.zeros{3, 3}} end, "tensor 2 is %[3,3%], tensor 1 is %[2,3%]")
    assert.error_matches(function() return rlhf.cat({a}, 3) end, "dimension 3 of a tensor with 2")
    assert.error_matches(function() return rlhf.cat{rlhf.tensor(1.0)} end, "scalars have no dimension to join along: use stack")
    assert.error_matches(function() return rlhf.cat{a, 1} end, "tensor")
  end)
end)

describe("split", function()
  it("gives views that cat puts together again", function()
    local x = rlhf.randn({3, 7}, {seed = 1})
    assert.same(x:totable(), rlhf.cat({x:split({2, 0, 4, 1}, -1)}, 2):totable())
    assert.equal(64, select("#", rlhf.zeros{64}:split((function()
      local sizes = {}
      for i = 1, 64 do sizes[i] = 1 end
      return sizes
    end)())))
  end)

  it("leaves 0 where a part was not used", function()
    local x = rlhf.zeros{4}:requires_grad()
    local _, middle = x:split{1, 2, 1}
    middle:sum():backward()
    assert.same({0, 1, 1, 0}, x:grad():totable())
  end)

  it("wants sizes that add up", function()
    local x = rlhf.zeros{2, 5}
    assert.error_matches(function() return x:split({2, 2}, 2) end, "#1 to 'split' %(sizes add up to 4, dimension 2 has 5%)")
    assert.error_matches(function() return x:split({6, -1}, 2) end, "size %-1 of part 2")
    assert.error_matches(function() return x:split({math.maxinteger, math.maxinteger}) end, "size %d+ of part 2")
    assert.error_matches(function() return x:split{sizes = {}} end, "0 parts: 1 to 64 wanted")
  end)
end)

describe("tril and triu", function()
  it("are the two sides of every diagonal", function()
    local x = rlhf.randn({2, 4, 5}, {seed = 2})
    for diagonal = -6, 6 do
      local both = x:tril(diagonal) + x:triu(diagonal + 1)
      assert.same(values.flat(x), values.flat(both))
    end
    assert.same({{1, 0}, {1, 1}}, rlhf.ones{2, 2}:tril():totable())
    assert.same({{0, 1}, {0, 0}}, rlhf.ones{2, 2}:triu(1):totable())
    assert.same({{1, 1}, {1, 1}}, rlhf.ones{2, 2}:tril(math.maxinteger):totable())
    assert.same({{1, 1}, {1, 1}}, rlhf.ones{2, 2}:triu(math.mininteger):totable())
    assert.error_matches(function() return rlhf.zeros{3}:tril() end, "matrices wanted, got %[3%]")
  end)

  it("put 0 even where there is a nan", function()
    assert.same({{0, 1}}, rlhf.tensor{{0 / 0, 1}}:triu(1):totable())
  end)
end)
