-- rlhf.rope and rlhf.rope_frequencies.
local op_fixtures = require "support.op_fixtures"
local rlhf = require "rlhf"
local runs = require "support.runs"
local values = require "support.values"

describe("fixtures", function()
  local calls = {
    rope = function(x, attrs) return rlhf.rope(x.x, x.positions, {theta = attrs.theta}) end,
    rope_frequencies = function(_, attrs)
      local options = {}
      for name, v in pairs(attrs) do options[name] = v end
      return rlhf.rope_frequencies(options)
    end,
  }
  for name, test in op_fixtures("ops/network.json", calls) do it(name, test) end
end)

local function random(shape, seed) return rlhf.randn(shape, {seed = seed}) end
local function f32(x) return values.f32(x) end
local function ids(list) return rlhf.tensor(list, {dtype = "i64"}) end

local function near(got, want, tolerance)
  local g, w = values.flat(got), values.flat(want)
  assert.equal(#w, #g)
  for i = 1, #w do assert.near(w[i], g[i], tolerance) end
end

describe("rope", function()
  it("leaves position 0 alone and turns the halves of a head", function()
    local x = rlhf.tensor{{{1, 2, 3, 4}}, {{1, 2, 3, 4}}}
    local y = rlhf.rope(x, ids{0, 1}):totable()
    assert.same({{1, 2, 3, 4}}, y[1])
    local c, s, c2, s2 = math.cos(1), math.sin(1), math.cos(0.01), math.sin(0.01)
    near(rlhf.tensor(y[2]), rlhf.tensor{{1 * c - 3 * s, 2 * c2 - 4 * s2, 3 * c + 1 * s, 4 * c2 + 2 * s2}}, 1e-6)
  end)

  it("has torch's angles far out: frequency and product rounded to f32", function()
    local d = 16
    for _, p in ipairs {7, 1023, 8191, 131071} do
      local one = {}
      for i = 1, d do one[i] = i <= d / 2 and 1 or 0 end
      local y = rlhf.rope(rlhf.tensor{{one}}, ids{p}):totable()[1][1]
      for i = 0, d // 2 - 1 do
        local angle = f32(p * f32(1 / f32(10000 ^ (2 * i / d))))
        assert.near(math.cos(angle), y[i + 1], 2e-7)
        assert.near(math.sin(angle), y[i + 1 + d // 2], 2e-7)
      end
    end
  end)

  it("turns [N,H,D] as it turns [1,H,N,D]", function()
    local x, p = random({5, 3, 8}, 1), ids{4, 0, 9, 1000, 2}
    local by_heads = rlhf.rope(x:permute{2, 1, 3}:reshape{1, 3, 5, 8}, p:reshape{1, 5})
    near(rlhf.rope(x, p), by_heads:reshape{3, 5, 8}:permute{2, 1, 3}, 0)
  end)

  it("keeps lengths, and goes back by its transpose", function()
    local x = random({6, 2, 8}, 1):requires_grad()
    local p = ids{0, 1, 2, 50, 600, 7000}
    rlhf.rope(x, p):backward(rlhf.rope(x, p):detach())
    near(x:grad(), x, 1e-5)
  end)

  it("takes frequencies, which default to theta^(-2i/D)", function()
    local x, p = random({3, 2, 8}, 1), ids{3, 100, 5000}
    near(rlhf.rope(x, p, rlhf.rope_frequencies{head_dim = 8, rope_theta = 500}), rlhf.rope(x, p, {theta = 500}), 0)
    local halved = rlhf.rope_frequencies{head_dim = 8, rope_type = "linear", factor = 2}
    near(rlhf.rope(x, ids{6, 200, 10000}, halved), rlhf.rope(x, p), 1e-6)
  end)

  it("gives the same bits with 1 and 2 threads", function()
    local before = rlhf.threads()
    finally(function() rlhf.threads(before) end)
    local results, positions = {}, {}
    for i = 1, 700 do positions[i] = (i * 37) % 4096 end
    for threads = 1, 2 do
      rlhf.threads(threads)
      results[threads] = {out = values.flat(rlhf.rope(random({700, 4, 16}, 1), ids(positions)))}
    end
    assert.is_nil(runs.difference(results[1], results[2], 0))
  end)

  it("says what does not fit", function()
    local x = rlhf.zeros{2, 3, 8}
    assert.error_matches(function() rlhf.rope(x, ids{1}) end, "size 2 wanted at dimension 1, got %[1%]")
    assert.error_matches(function() rlhf.rope(x, ids{{1, 2}}) end, "1 dimensions wanted, got %[1,2%]")
    assert.error_matches(function() rlhf.rope(rlhf.zeros{2, 3, 7}, ids{1, 2}) end, "an even head size wanted, got %[2,3,7%]")
    assert.error_matches(function() rlhf.rope(rlhf.zeros{2, 8}, ids{1, 2}) end, "%[B,H,T,D%] or %[N,H,D%] wanted, got %[2,8%]")
    assert.error_matches(function() rlhf.rope(x, ids{1, 1 << 40}) end, "position 1099511627776 at element 2")
    assert.error_matches(function() rlhf.rope(x, ids{1, 2}, {theta = 0}) end, "theta: a positive number wanted, got 0")
    assert.error_matches(function() rlhf.rope(x, ids{1, 2}, rlhf.zeros{8}) end, "size 4 wanted at dimension 1, got %[8%]")
    assert.error_matches(function() rlhf.rope_frequencies{head_dim = 7} end, "head_dim: an even size wanted, got 7")
    assert.error_matches(function() rlhf.rope_frequencies{head_dim = 8, rope_type = "yarn"} end, "'llama3' wanted")
    assert.error_matches(function() rlhf.rope_frequencies{head_dim = 8, factor = 0} end, "factor: a positive number wanted")
  end)
end)
