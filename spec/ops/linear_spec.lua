-- rlhf.linear: both layouts of a weight, bias, gradients.
local op_fixtures = require "support.op_fixtures"
local rlhf = require "rlhf"
local runs = require "support.runs"
local values = require "support.values"

describe("fixtures", function()
  local calls = {
    linear = function(x, _, name)
      return rlhf.linear(x.x, x.weight, x.bias, {layout = name:find "conv1d" and "in_out" or "out_in"})
    end,
  }
  for name, test in op_fixtures("ops/linear_algebra.json", calls) do it(name, test) end
end)

local function random(shape, seed) return rlhf.randn(shape, {seed = seed}) end

local function near(got, want, tolerance)
  local g, w = values.flat(got), values.flat(want)
  assert.equal(#w, #g)
  for i = 1, #w do assert.near(w[i], g[i], tolerance) end
end

describe("linear", function()
  it("is the same product in both layouts, for one row and for many", function()
    for _, rows in ipairs {1, 3, 40, 300} do
      local x, w, b = random({rows, 70}, 1), random({90, 70}, 2), random({90}, 3)
      local out_in = rlhf.linear(x, w, b)
      near(rlhf.linear(x, w:transpose(1, 2), b, {layout = "in_out"}), out_in, 2e-5)
      near(x:matmul(w:transpose(1, 2)) + b, out_in, 2e-5)
    end
  end)

  it("does without bias, and with vectors", function()
    local w = rlhf.tensor{{1, 2, 3}, {4, 5, 6}}
    assert.same({6, 15}, rlhf.linear(rlhf.ones{3}, w):totable())
    assert.same({7, 17}, rlhf.linear(rlhf.ones{3}, w, rlhf.tensor{1, 2}):totable())
  end)

  it("has the bias alone when there are no inputs, and zeros for their gradients", function()
    local w, b = rlhf.zeros{2, 0}:requires_grad(), rlhf.tensor{1, 2}:requires_grad()
    local y = rlhf.linear(rlhf.zeros{3, 0}, w, b)
    assert.same({{1, 2}, {1, 2}, {1, 2}}, y:totable())
    y:backward(rlhf.ones{3, 2})
    assert.same({3, 3}, b:grad():totable())
    local none = random({2, 4}, 1):requires_grad()
    rlhf.linear(rlhf.zeros{0, 4}, none):backward(rlhf.zeros{0, 2})
    assert.same({{0, 0, 0, 0}, {0, 0, 0, 0}}, none:grad():totable())
  end)

  it("adds to gradients that are there", function()
    local x, w = random({5, 4}, 1):requires_grad(), random({3, 4}, 2):requires_grad()
    local b, g = random({3}, 3):requires_grad(), random({5, 3}, 4)
    rlhf.linear(x, w, b):backward(g)
    local once = {x:grad():clone(), w:grad():clone(), b:grad():clone()}
    rlhf.linear(x, w, b):backward(g)
    for i, leaf in ipairs {x, w, b} do near(leaf:grad(), once[i] * 2, 1e-5) end
  end)

  it("sums a bias's gradient over many rows without losing digits", function()
    local b = rlhf.zeros{1}:requires_grad()
    rlhf.linear(rlhf.zeros{100000, 1}, rlhf.zeros{1, 1}, b):backward(rlhf.full({100000, 1}, 0.1))
    assert.near(10000, b:grad():item(), 0.02)
  end)

  it("gives the same bits with 1 and 2 threads, forward and backward", function()
    local before = rlhf.threads()
    finally(function() rlhf.threads(before) end)
    local results = {}
    for threads = 1, 2 do
      rlhf.threads(threads)
      local x, w, b = random({300, 16}, 1):requires_grad(), random({520, 16}, 2):requires_grad(), random({520}, 3):requires_grad()
      local y = rlhf.linear(x, w, b)
      y:backward(random({300, 520}, 4))
      results[threads] = {y = values.flat(y), x = values.flat(x:grad()), w = values.flat(w:grad()), b = values.flat(b:grad())}
    end
    assert.is_nil(runs.difference(results[1], results[2], 0))
  end)

  it("says what does not fit", function()
    local x = rlhf.zeros{2, 5}
    assert.error_matches(function() rlhf.linear(x, rlhf.zeros{5, 4}) end,
                         "x %[2,5%], weight %[5,4%] as %[out,in%]: x has 5 inputs, the weight 4")
    assert.error_matches(function() rlhf.linear(x, rlhf.zeros{4, 5}, {layout = "in_out"}) end,
                         "weight %[4,5%] as %[in,out%]: x has 5 inputs, the weight 4")
    assert.error_matches(function() rlhf.linear(x, rlhf.zeros{4, 5}, rlhf.zeros{5}) end,
                         "size 4 wanted at dimension 1, got %[5%]")
    assert.error_matches(function() rlhf.linear(x, rlhf.zeros{5}) end, "2 dimensions wanted, got %[5%]")
    assert.error_matches(function() rlhf.linear(rlhf.tensor(1), rlhf.zeros{4, 5}) end, "got a scalar")
    assert.error_matches(function() rlhf.linear(x, rlhf.zeros{4, 5}, {layout = "out"}) end, "'out_in', 'in_out'")
  end)
end)
