-- rlhf.layer_norm and rlhf.rms_norm.
local op_fixtures = require "support.op_fixtures"
local rlhf = require "rlhf"
local runs = require "support.runs"
local values = require "support.values"

describe("fixtures", function()
  local calls = {
    layer_norm = function(x, attrs) return rlhf.layer_norm(x.x, x.weight, x.bias, {eps = attrs.eps}) end,
    rms_norm = function(x, attrs) return rlhf.rms_norm(x.x, x.weight, {eps = attrs.eps}) end,
  }
  for name, test in op_fixtures("ops/network.json", calls) do it(name, test) end
end)

local function random(shape, seed) return rlhf.randn(shape, {seed = seed}) end

local function near(got, want, tolerance)
  local g, w = values.flat(got), values.flat(want)
  assert.equal(#w, #g)
  for i = 1, #w do assert.near(w[i], g[i], tolerance) end
end

local function moments(row)
  local mean, square = 0, 0
  for _, v in ipairs(row) do mean, square = mean + v / #row, square + v * v / #row end
  return mean, square - mean * mean
end

describe("layer_norm", function()
  it("leaves mean 0 and variance 1, also far from 0", function()
    for _, offset in ipairs {0, 1000} do
      for _, row in ipairs(rlhf.layer_norm(random({3, 700}, 1) + offset):totable()) do
        local mean, variance = moments(row)
        assert.near(0, mean, 5e-4) -- floats near 1000 are 6e-5 apart
        assert.near(1, variance, 1e-3)
      end
    end
  end)

  it("puts eps under the root", function()
    assert.same({0, 0}, rlhf.layer_norm(rlhf.tensor{3, 3}):totable())
    near(rlhf.layer_norm(rlhf.tensor{-1, 1}, {eps = 3}), rlhf.tensor{-0.5, 0.5}, 1e-7)
    near(rlhf.rms_norm(rlhf.tensor{-1, 1}, {eps = 3}), rlhf.tensor{-0.5, 0.5}, 1e-7)
  end)

  it("takes a bias without a weight", function()
    near(rlhf.layer_norm(rlhf.tensor{-1, 1}, nil, rlhf.tensor{10, 20}, {eps = 3}), rlhf.tensor{9.5, 20.5}, 1e-6)
  end)

  it("sums the gradients of weight and bias over thousands of rows", function()
    local x, w, b = random({5000, 3}, 1), rlhf.ones{3}:requires_grad(), rlhf.zeros{3}:requires_grad()
    local y, g = rlhf.layer_norm(x, w, b), random({5000, 3}, 2)
    y:backward(g)
    near(b:grad(), g:sum(1), 1e-3)
    near(w:grad(), (rlhf.layer_norm(x) * g):sum(1), 1e-3)
  end)

  it("is at home with nothing", function()
    assert.same({0, 4}, rlhf.layer_norm(rlhf.zeros{0, 4}):shape())
    assert.same({4, 0}, rlhf.layer_norm(rlhf.zeros{4, 0}):shape())
    local w = rlhf.ones{4}:requires_grad()
    rlhf.rms_norm(rlhf.zeros{0, 4}, w):backward(rlhf.zeros{0, 4})
    assert.same({0, 0, 0, 0}, w:grad():totable())
  end)

  it("gives the same bits with 1 and 2 threads", function()
    local before = rlhf.threads()
    finally(function() rlhf.threads(before) end)
    for _, name in ipairs {"layer_norm", "rms_norm"} do
      local results = {}
      for threads = 1, 2 do
        rlhf.threads(threads)
        local x, w = random({900, 65}, 1):requires_grad(), random({65}, 2):requires_grad()
        local y = rlhf[name](x, w)
        y:backward(random({900, 65}, 3))
        results[threads] = {y = values.flat(y), x = values.flat(x:grad()), w = values.flat(w:grad())}
      end
      assert.is_nil(runs.difference(results[1], results[2], 0))
    end
  end)

  it("says what does not fit", function()
    assert.error_matches(function() rlhf.layer_norm(rlhf.zeros{2, 5}, rlhf.zeros{4}) end,
                         "size 5 wanted at dimension 1, got %[4%]")
    assert.error_matches(function() rlhf.layer_norm(rlhf.zeros{2, 5}, rlhf.zeros{2, 5}) end,
                         "1 dimensions wanted, got %[2,5%]")
    assert.error_matches(function() rlhf.rms_norm(rlhf.tensor(1)) end, "at least 1 dimension wanted, got a scalar")
  end)
end)
