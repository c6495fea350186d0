-- Output heads that never hold a batch's logits, against log_softmax of the whole.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

local N, D, V = 7, 5, 11

-- M asked ids: more than one chunk's worth (512), rows in any order and several times.
local function asked(M)
  local rows, ids, weights = {}, {}, {}
  for i = 1, M do rows[i], ids[i], weights[i] = (i * 3) % N, (i * i) % V, (i % 4) / 2 end
  local function i64(t) return rlhf.tensor(t, {dtype = "i64"}) end
  return i64(rows), i64(ids), rlhf.tensor(weights)
end

local function inputs()
  return rlhf.randn({N, D}, {seed = 1}):requires_grad(), rlhf.randn({V, D}, {seed = 2}):requires_grad()
end

local function log_p(hidden, weight, rows, scale)
  return (hidden:matmul(weight:transpose(1, 2)) * (scale or 1)):log_softmax():index_select(rows, {dim = 1})
end

local function picked(table_, ids) return table_:gather(ids:reshape(-1, 1), 2):reshape(-1) end

local function compare(f, g, limit)
  local h1, w1 = inputs()
  local h2, w2 = inputs()
  local got, want = f(h1, w1), g(h2, w2)
  models.near(got, want, limit, "value")
  got:backward()
  want:backward()
  models.near(h1:grad(), h2:grad(), limit, "gradient of hidden")
  models.near(w1:grad(), w2:grad(), limit, "gradient of weight")
end

for _, M in ipairs {3, 512, 1100} do
  describe(M .. " ids", function()
    it("cross_entropy_head is the weighted sum of -log p", function()
      local rows, ids, weights = asked(M)
      compare(function(h, w) return (core.ops.cross_entropy_head(h, w, rows, ids, weights, {divide = 9})) end,
              function(h, w) return -(picked(log_p(h, w, rows), ids) * weights):sum() / 9 end, 1e-4)
    end)

    it("logprob_head gives log p and entropy, each differentiable", function()
      local rows, ids, weights = asked(M)
      compare(function(h, w)
        local logp, entropy = core.ops.logprob_head(h, w, rows, ids, {scale = 0.7})
        return (logp * weights + entropy * 0.3):sum() / M
      end, function(h, w)
        local all = log_p(h, w, rows, 0.7)
        return (picked(all, ids) * weights - (all:exp() * all):sum(2) * 0.3):sum() / M
      end, 1e-4)
    end)
  end)
end

describe("cross_entropy_head", function()
  it("tells each token's loss and whether its id leads", function()
    local h, w = rlhf.tensor {{1, 0}, {0, 1}}, rlhf.tensor {{2, 0}, {0, 2}, {-1, -1}}
    local rows, ids = rlhf.tensor({0, 1}, {dtype = "i64"}), rlhf.tensor({0, 0}, {dtype = "i64"})
    local loss, nll, hit = core.ops.cross_entropy_head(h, w, rows, ids)
    local z = math.log(math.exp(2) + 1 + math.exp(-1))
    models.near(nll, {z - 2, z}, 1e-6, "losses")
    models.near(loss:item(), 2 * z - 2, 1e-6, "sum")
    assert.same({true, false}, hit:totable())
  end)

  it("stays finite where logits are far apart", function()
    local h, w = rlhf.tensor {{1000, 0}}, rlhf.tensor {{1, 0}, {-1, 0}}
    local one = rlhf.tensor({0}, {dtype = "i64"})
    assert.equal(0, (core.ops.cross_entropy_head(h, w, one, one)):item())
    assert.equal(2000, (core.ops.cross_entropy_head(h, w, one, one + 1)):item())
    local logp, entropy = core.ops.logprob_head(h, w, one, one)
    assert.equal(0, logp:item())
    assert.equal(0, entropy:item())
  end)

  it("gives gradients of strided inputs", function()
    local rows, ids = asked(6)
    local h, w = inputs()
    local ht, wt = h:detach():transpose(1, 2):contiguous():requires_grad(), w:detach():transpose(1, 2):contiguous():requires_grad();
    (core.ops.cross_entropy_head(h, w, rows, ids)):backward();
    (core.ops.cross_entropy_head(ht:transpose(1, 2), wt:transpose(1, 2), rows, ids)):backward()
    models.near(ht:grad():transpose(1, 2), h:grad(), 1e-6, "hidden")
    models.near(wt:grad():transpose(1, 2), w:grad(), 1e-6, "weight")
  end)

  it("names ids and rows that are not there", function()
    local h, w = inputs()
    local rows, ids = asked(3)
    assert.error_matches(function() core.ops.cross_entropy_head(h, w, rows + 7, ids) end, "row %d+ at 1: 0 to 6 wanted")
    assert.error_matches(function() core.ops.logprob_head(h, w, rows, ids + 11) end, "id %d+ at 1: 0 to 10 wanted")
    assert.error_matches(function() core.ops.cross_entropy_head(h, w, rows, ids, {divide = 0}) end, "divide 0: above 0 wanted", 1, true)
  end)
end)
