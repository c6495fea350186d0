-- Facts about softmax, log_softmax, logsumexp and cumsum (c/ops/softmax.c): extremes, long lines,
-- any dimension.
local rlhf = require "rlhf"
local fixtures = require "support.fixtures"
local values = require "support.values"

local inf = math.huge

describe("softmax", function()
  it("of a line of 100,000 adds up to 1 and is right at its ends", function()
    local n = 100000
    local x = rlhf.arange(n) * (1 / n) -- 0 to 1: the sum is n (e - 1) / (1 + ...) but for O(1 / n^2)
    local y = x:softmax()
    assert.is_true(math.abs(y:sum():item() - 1) < 1e-6)
    local sum = (math.exp(1) - 1) / (math.exp(1 / n) - 1)
    assert.is_true(math.abs(y[1]:item() * sum - 1) < 1e-5)
    assert.is_true(math.abs(y[n]:item() * sum - math.exp((n - 1) / n)) < 1e-5)
    assert.is_true(math.abs(x:logsumexp():item() - math.log(sum)) < 1e-5)
  end)

  it("does not overflow, and -inf has no share", function()
    fixtures.close(rlhf.tensor{1e4, 1e4, -inf}:softmax(), {0.5, 0.5, 0}, 0, "softmax")
    fixtures.close(rlhf.tensor{-1e4, -1e4 + 1}:softmax(), {0.26894143, 0.7310586}, 1e-6, "softmax")
    fixtures.close(rlhf.tensor{0, -inf}:log_softmax(), {0, -inf}, 0, "log_softmax")
  end)

  it("keeps the gradient finite beside -inf", function()
    local x = rlhf.tensor{1, -inf, 2}:requires_grad()
    x:softmax()[1]:backward()
    local g = x:grad():totable()
    assert.equal(0, g[2])
    assert.is_true(math.abs(g[1] + g[3]) < 1e-7 and g[1] > 0.19)
  end)

  it("along another dimension is that of the transposed, in strips of any width", function()
    local x = rlhf.randn({37, 150}, {seed = 1})
    for _, name in ipairs {"softmax", "log_softmax", "cumsum"} do
      assert.same(values.flat(x[name](x:transpose())), values.flat(x[name](x, 1):transpose()))
    end
    assert.same(values.flat(x:transpose():logsumexp()), values.flat(x:logsumexp(1)))
  end)

  it("takes what is empty or a scalar", function()
    assert.same({2, 0}, rlhf.zeros{2, 0}:softmax():shape())
    assert.equal(1, rlhf.tensor(7.0):softmax():item())
    assert.error_matches(function() return rlhf.zeros{2, 2}:softmax(3) end, "dimension 3 of a tensor with 2")
  end)
end)

describe("logsumexp", function()
  it("of infinities and of nothing", function()
    assert.equal(-inf, rlhf.tensor{-inf, -inf}:logsumexp():item())
    assert.equal(inf, rlhf.tensor{1, inf}:logsumexp():item())
    assert.equal(-inf, rlhf.zeros{0}:logsumexp():item())
    assert.is_true(math.abs(rlhf.tensor{1000, 1000}:logsumexp():item() - 1000 - math.log(2)) < 1e-4)
  end)
end)

describe("cumsum", function()
  it("carries more than f32", function()
    local n, tenth = 1000000, values.f32(0.1)
    local y = rlhf.full({n}, 0.1):cumsum()
    assert.is_true(math.abs(y[n]:item() - n * tenth) <= 1e-7 * n * tenth)
    assert.equal(values.f32(3 * tenth), y[3]:item())
  end)
end)
