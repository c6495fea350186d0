-- rlhf.cross_entropy, rlhf.mse_loss, rlhf.bce_with_logits, rlhf.kl_div.
local op_fixtures = require "support.op_fixtures"
local rlhf = require "rlhf"
local runs = require "support.runs"
local values = require "support.values"

describe("fixtures", function()
  local calls = {
    cross_entropy = function(x, attrs) return rlhf.cross_entropy(x.logits, x.target, attrs) end,
    mse_loss = function(x) return rlhf.mse_loss(x.a, x.b) end,
    bce_with_logits = function(x) return rlhf.bce_with_logits(x.logits, x.target) end,
    kl_div = function(x) return rlhf.kl_div(x.logp, x.logq) end,
  }
  for name, test in op_fixtures("ops/network.json", calls) do it(name, test) end
end)

local function random(shape, seed) return rlhf.randn(shape, {seed = seed}) end
local function ids(list) return rlhf.tensor(list, {dtype = "i64"}) end

local function all(t, f)
  for _, v in ipairs(values.flat(t)) do
    if not f(v) then return false end
  end
  return true
end

describe("cross_entropy", function()
  it("is log n for equal logits, however many and however large", function()
    for _, v in ipairs {0, -1e4, 3e38} do
      assert.near(math.log(1000), rlhf.cross_entropy(rlhf.full({2, 1000}, v), ids{0, 999}):item(), 1e-5)
    end
  end)

  it("keeps its digits with huge logits", function()
    local x = rlhf.tensor{{10000, 10001, 9990}}:requires_grad()
    local loss = rlhf.cross_entropy(x, ids{0})
    assert.near(math.log(1 + math.exp(1) + math.exp(-10)), loss:item(), 1e-6)
    loss:backward()
    local z = 1 + math.exp(1) + math.exp(-10)
    local want = {1 / z - 1, math.exp(1) / z, math.exp(-10) / z}
    for i, g in ipairs(values.flat(x:grad())) do assert.near(want[i], g, 1e-6) end
    assert.equal(0, rlhf.cross_entropy(rlhf.tensor{{3e4, -3e4}}, ids{0}):item())
    assert.equal(6e4, rlhf.cross_entropy(rlhf.tensor{{3e4, -3e4}}, ids{1}):item())
  end)

  it("lets classes be excluded by -inf", function()
    assert.near(math.log(2), rlhf.cross_entropy(rlhf.tensor{{1, -math.huge, 1}}, ids{0}):item(), 1e-6)
  end)

  it("divides by the rows that are not ignored, and gives none of the others a gradient", function()
    local x = random({4, 5}, 1):requires_grad()
    local loss = rlhf.cross_entropy(x, ids{1, -100, 3, -100})
    local rows = rlhf.cross_entropy(x:detach(), ids{1, 0, 3, 0}, {reduction = "none"}):totable()
    assert.near((rows[1] + rows[3]) / 2, loss:item(), 1e-6)
    loss:backward()
    local g = x:grad():totable()
    assert.same({0, 0, 0, 0, 0}, g[2])
    assert.same({0, 0, 0, 0, 0}, g[4])
  end)

  it("of an ignored batch is nan as a mean, 0 as a sum, and has no gradient", function()
    local x = random({3, 5}, 1):requires_grad()
    local targets = ids{2, 2, 2}
    local mean = rlhf.cross_entropy(x, targets, {ignore_index = 2})
    assert.is_true(mean:item() ~= mean:item())
    assert.equal(0, rlhf.cross_entropy(x, targets, {ignore_index = 2, reduction = "sum"}):item())
    assert.same({0, 0, 0}, rlhf.cross_entropy(x, targets, {ignore_index = 2, reduction = "none"}):totable())
    mean:backward()
    assert.is_true(all(x:grad(), function(v) return v == 0 end))
  end)

  it("takes rows of any leading shape, and one row alone", function()
    local x, t = random({2, 3, 5}, 1), ids{{0, 1, 2}, {3, 4, 0}}
    local flat = rlhf.cross_entropy(x:reshape{6, 5}, t:reshape{6}):item()
    assert.equal(flat, rlhf.cross_entropy(x, t):item())
    assert.same({2, 3}, rlhf.cross_entropy(x, t, {reduction = "none"}):shape())
    assert.same({}, rlhf.cross_entropy(rlhf.zeros{5}, ids(3)):shape())
  end)

  it("gives the same bits with 1 and 2 threads", function()
    local before = rlhf.threads()
    finally(function() rlhf.threads(before) end)
    local results, targets = {}, {}
    for i = 1, 300 do targets[i] = i % 257 end
    for threads = 1, 2 do
      rlhf.threads(threads)
      local x = random({300, 257}, 1):requires_grad()
      local loss = rlhf.cross_entropy(x, ids(targets), {label_smoothing = 0.1})
      loss:backward()
      results[threads] = {loss = {loss:item()}, x = values.flat(x:grad())}
    end
    assert.is_nil(runs.difference(results[1], results[2], 0))
  end)

  it("says which target is out of range, and what does not fit", function()
    local x = rlhf.zeros{3, 5}
    assert.error_matches(function() rlhf.cross_entropy(x, ids{0, 4, 5}) end,
                         "target 5 at element 3: 0 to 4 wanted, or ignore_index %-100")
    assert.error_matches(function() rlhf.cross_entropy(x, ids{0, -1, 2}) end, "target %-1 at element 2")
    assert.error_matches(function() rlhf.cross_entropy(x, ids{0, 1}) end,
                         "target %[2%] for logits %[3,5%]: one for each row wanted")
    assert.error_matches(function() rlhf.cross_entropy(x, rlhf.zeros{3}) end, "i64 wanted, got f32")
    assert.error_matches(function() rlhf.cross_entropy(x, ids{0, 1, 2}, {label_smoothing = 2}) end,
                         "label_smoothing: 0 to 1 wanted, got 2")
    assert.error_matches(function() rlhf.cross_entropy(x, ids{0, 1, 2}, {reduction = "max"}) end, "'mean', 'sum', 'none'")
  end)
end)

describe("bce_with_logits", function()
  it("neither overflows nor loses small losses", function()
    assert.equal(1e4, rlhf.bce_with_logits(rlhf.tensor{1e4}, rlhf.tensor{0}):item())
    assert.equal(0, rlhf.bce_with_logits(rlhf.tensor{1e4}, rlhf.tensor{1}):item())
    local want = math.exp(-10) -- log(1 + e) = e to the digits of f32
    assert.near(1, rlhf.bce_with_logits(rlhf.tensor{10}, rlhf.tensor{1}):item() / want, 1e-4)
    for x = -3, 3, 0.5 do
      assert.near(math.log(1 + math.exp(-x)), rlhf.bce_with_logits(rlhf.tensor{x}, rlhf.tensor{1}):item(), 5e-7)
    end
  end)
end)

describe("mse_loss and kl_div", function()
  it("average over long tensors without drift", function()
    assert.near(0.01, rlhf.mse_loss(rlhf.full({100003}, 0.1), rlhf.zeros{100003}):item(), 1e-8)
  end)

  it("are 0 for equal inputs", function()
    local x = random({4, 300}, 1)
    assert.equal(0, rlhf.mse_loss(x, x):item())
    assert.near(0, rlhf.kl_div(x, x + 5):item(), 1e-6)
  end)

  it("lets q exclude classes", function()
    local inf = math.huge
    assert.near(math.log(2), rlhf.kl_div(rlhf.tensor{0, 0}, rlhf.tensor{0, -inf}):item(), 1e-6)
    local q = rlhf.tensor{1, -inf, 0}:requires_grad()
    rlhf.kl_div(rlhf.tensor{0, 0, 0}, q):backward()
    assert.is_true(all(q:grad(), function(v) return v == v end))
  end)

  it("want one shape", function()
    assert.error_matches(function() rlhf.mse_loss(rlhf.zeros{2}, rlhf.zeros{3}) end, "%[2%] and %[3%]: same shape wanted")
    assert.error_matches(function() rlhf.kl_div(rlhf.zeros{2}, rlhf.zeros{3}) end, "same shape wanted")
    assert.error_matches(function() rlhf.kl_div(rlhf.tensor(1), rlhf.tensor(1)) end, "got a scalar")
  end)
end)
