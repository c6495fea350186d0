-- Facts about sum, mean, var, std and norm (c/ops/reduce.c, sums.c). Gradients and thread counts are
-- checked for every row by spec/ops_spec.lua, PyTorch's values by spec/fixtures/ops_spec.lua.
local rlhf = require "rlhf"
local values = require "support.values"

local nan = 0 / 0
local function is_nan(x) return x ~= x end

describe("sum", function()
  it("over 10^7 floats is exact to a few units of the last place", function()
    local n, tenth = 10000000, values.f32(0.1)
    local scope <close> = rlhf.scope()
    local x = rlhf.full({n}, 0.1)
    local want = n * tenth
    assert.is_true(math.abs(x:sum():item() - want) <= 3e-7 * want) -- one f32 accumulator is off by 8 %
    assert.is_true(math.abs(x:mean():item() - tenth) <= 3e-7 * tenth)
    local columns = x:reshape{-1, 5}:sum(1)
    for _, s in ipairs(columns:totable()) do assert.is_true(math.abs(s - want / 5) <= 3e-7 * want) end
    assert.is_true(math.abs(x:norm():item() - math.sqrt(n) * tenth) <= 1e-6 * math.sqrt(n))
  end)

  it("has the same bits with 1 and 2 threads, in every direction", function()
    local before = rlhf.threads()
    finally(function() rlhf.threads(before) end)
    local x = rlhf.randn({70, 1100, 30}, {seed = 3})
    local function all()
      local out = {}
      for _, dims in ipairs {{1, 2, 3}, {1}, {2}, {3}, {1, 3}, {1, 2}} do
        out[#out + 1] = x:sum(dims):reshape{-1}
        out[#out + 1] = x:var(dims):reshape{-1}
      end
      return values.flat(rlhf.cat(out))
    end
    rlhf.threads(1)
    local one = all()
    rlhf.threads(2)
    assert.same(one, all())
  end)

  it("takes one dimension, a list, or none for all; an empty list is all", function()
    local x = rlhf.tensor{{{1, 2}, {3, 4}, {5, 6}}, {{7, 8}, {9, 10}, {11, 12}}}
    assert.equal(78, x:sum():item())
    assert.equal(78, x:sum{}:item())
    assert.same({{8, 10}, {12, 14}, {16, 18}}, x:sum(1):totable())
    assert.same({36, 42}, x:sum{1, 2}:totable())
    assert.same({18, 26, 34}, x:sum{1, -1}:totable())
    assert.same({1, 3, 1}, x:sum{dim = {1, 3}, keepdim = true}:shape())
    assert.same({1, 1, 1}, x:mean{keepdim = true}:shape())
    assert.same({}, rlhf.tensor(5.0):sum(1):shape())
  end)

  it("of a view is that of its elements", function()
    local x = rlhf.tensor{{1, 2, 3}, {4, 5, 6}}
    assert.same({6, 15}, x:transpose():sum(1):totable())
    assert.equal(10, x:slice{dim = 2, step = 2}:sum{1}:sum():item() - 4)
    assert.equal(12, rlhf.tensor{{1}, {2}}:expand{2, 4}:sum():item())
  end)

  it("of nothing is 0, the mean nan", function()
    assert.equal(0, rlhf.zeros{0}:sum():item())
    assert.same({0, 0, 0}, rlhf.zeros{0, 3}:sum(1):totable())
    assert.same({0}, rlhf.zeros{0, 3}:sum(2):shape())
    assert.is_true(is_nan(rlhf.zeros{0}:mean():item()))
    assert.is_true(is_nan(rlhf.zeros{0, 2}:mean(1):totable()[2]))
  end)

  it("of integers and booleans is an exact integer", function()
    local x = rlhf.tensor({{16777217, 1}, {-3, 1 << 40}}, {dtype = "i64"})
    assert.same({16777218, (1 << 40) - 3}, x:sum(2):totable())
    assert.equal("i64", x:sum():dtype())
    assert.equal(2, rlhf.tensor({true, false, true}, {dtype = "bool"}):sum():item())
  end)

  it("lets inf and nan through", function()
    assert.equal(math.huge, rlhf.tensor{1, math.huge, 2}:sum():item())
    assert.is_true(is_nan(rlhf.tensor{1, nan}:sum():item()))
  end)
end)

describe("var and std", function()
  it("keep their digits when the mean is large", function()
    local data = {}
    for i = 1, 1000 do data[i] = 4096 + (i % 2) end -- variance 1/4, biased
    assert.equal(0.25, rlhf.tensor(data):var{unbiased = false}:item())
    assert.is_true(math.abs(rlhf.tensor(data):std():item() - math.sqrt(250 / 999)) < 1e-7)
  end)

  it("of one element are nan unless biased", function()
    assert.is_true(is_nan(rlhf.tensor{3}:var():item()))
    assert.equal(0, rlhf.tensor{3}:var{unbiased = false}:item())
    assert.is_true(is_nan(rlhf.zeros{0}:var{unbiased = false}:item()))
  end)

  it("have gradient 0 where nothing varies", function()
    local x = rlhf.tensor{2, 2, 2}:requires_grad()
    x:std():backward()
    assert.same({0, 0, 0}, x:grad():totable())
  end)
end)

describe("norm", function()
  it("is 0 with gradient 0 for zeros and for nothing", function()
    local x = rlhf.zeros{3}:requires_grad()
    local n = x:norm()
    n:backward()
    assert.equal(0, n:item())
    assert.same({0, 0, 0}, x:grad():totable())
    assert.equal(0, rlhf.zeros{0}:norm():item())
  end)
end)

describe("a wrong dimension of a reduction", function()
  local x = rlhf.tensor{{1, 2, 3}, {4, 5, 6}}
  local function message(...) return select(2, pcall(x.sum, x, ...)) end

  it("is named as the user counts", function()
    assert.matches("bad argument #2 to 'sum' %(dimension 3 of a tensor with 2%)", message(3))
    assert.matches("dimension %-3 of a tensor with 2", message(-3))
    assert.matches("dim counts from 1 %(or from the end: %-1%), got 0", message(0))
    assert.matches("dimension 1 twice", message{1, -2})
    assert.matches("dim: integer wanted, got 1.5", message(1.5))
    assert.matches("unknown option 'dims' %(did you mean 'dim'%?%)", message{dims = 1})
  end)
end)
