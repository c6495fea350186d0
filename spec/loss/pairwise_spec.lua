-- The loss of ranked pairs: facts that the reference data does not show.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

local function i64(t) return rlhf.tensor(t, {dtype = "i64"}) end

-- loss and gradient
local function run(scores, better, worse, ...)
  local s = rlhf.tensor(scores):requires_grad()
  local loss = core.ops.pairwise_loss(s, i64(better), i64(worse), ...)
  loss:backward()
  return loss:item(), s:grad():totable()
end

describe("pairwise_loss", function()
  it("of equal scores is log 2, pushing apart by half", function()
    local loss, g = run({3, 3}, {0}, {1})
    assert.near(math.log(2), loss, 1e-6)
    assert.same({-0.5, 0.5}, g)
  end)

  it("is a mean over pairs, or their weighted sum", function()
    local a, b, c = run({1, 0}, {0}, {1}), run({2, 0}, {0}, {1}), run({2, 1}, {0}, {1})
    models.near(run({2, 1, 0}, {0, 0, 1}, {1, 2, 2}), (a + b + c) / 3, 1e-6, "mean")
    models.near(run({2, 1, 0}, {0, 0, 1}, {1, 2, 2}, rlhf.tensor {0.5, 0.25, 2}), 0.5 * c + 0.25 * b + 2 * a, 1e-6, "weighted")
    models.near(run({2, 0}, {0}, {1}, rlhf.tensor {1}, rlhf.tensor {1}), a, 1e-6, "a margin moves the gap")
  end)

  it("neither overflows nor loses its gradient at the ends", function()
    local loss, g = run({-500, 500}, {0}, {1})
    assert.equal(1000, loss)
    assert.same({-1, 1}, g)
    loss, g = run({500, -500}, {0}, {1})
    assert.equal(0, loss)
    assert.same({0, 0}, {math.abs(g[1]), math.abs(g[2])})
  end)

  it("with centring pulls the pair's sum to 0", function()
    local plain, centred = run({2, 1}, {0}, {1}), run({2, 1}, {0}, {1}, {center = 0.1})
    models.near(centred - plain, 0.1 * 9, 1e-6, "centre")
  end)

  it("refuses pairs of scores that are not there", function()
    assert.error_matches(function() run({1, 2}, {2}, {0}) end, "score 2 of pair 1: 0 to 1 wanted", 1, true)
    assert.error_matches(function() run({1, 2}, {0, 1}, {0}) end, "size", 1, true)
  end)
end)
