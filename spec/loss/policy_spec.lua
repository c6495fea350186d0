-- PPO's clipped losses: which branch counts, and where the gradient stops.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

-- One token's loss and gradient at this ratio.
local function policy(ratio, advantage)
  local logp = rlhf.tensor {math.log(ratio)}:requires_grad()
  local loss, stats = core.ops.policy_loss(logp, rlhf.tensor {0}, rlhf.tensor {advantage}, {clip = 0.2})
  loss:backward()
  return {loss:item(), logp:grad():item()}, stats:totable()
end

describe("policy_loss", function()
  it("is -A r inside the bounds, its gradient too", function()
    models.near(policy(1, 2), {-2, -2}, 1e-6, "ratio 1")
    models.near(policy(1.1, -3), {3.3, 3.3}, 1e-6, "ratio 1.1")
  end)

  it("stops where it would go too far, not where it comes back", function()
    models.near(policy(1.5, 2), {-2.4, 0}, 1e-6, "more of the good, enough")
    models.near(policy(0.5, -2), {1.6, 0}, 1e-6, "less of the bad, enough")
    models.near(policy(0.5, 2), {-1, -1}, 1e-6, "less of the good is undone")
    models.near(policy(1.5, -2), {3, 3}, 1e-6, "more of the bad is undone")
  end)

  it("tells half the squared log-ratio, the share clipped, the mean and the worst ratio", function()
    local logp = rlhf.tensor {math.log(1.5), 0}
    local _, stats = core.ops.policy_loss(logp, rlhf.tensor {0, 0}, rlhf.tensor {1, 1})
    models.near(stats, {0.25 * math.log(1.5) ^ 2, 0.5, 1.25, 0.5}, 1e-6, "statistics")
  end)

  it("is a mean over tokens, or their sum over `divide`", function()
    local logp, old, a = rlhf.tensor {0, 0, 0}, rlhf.tensor {0, 0, 0}, rlhf.tensor {1, 2, 3}
    models.near((core.ops.policy_loss(logp, old, a)):item(), -2, 1e-6, "mean")
    models.near((core.ops.policy_loss(logp, old, a, {divide = 12})):item(), -0.5, 1e-6, "divided")
    assert.equal(0, (core.ops.policy_loss(rlhf.zeros {0}, rlhf.zeros {0}, rlhf.zeros {0})):item())
  end)

  it("refuses constants that ask for a gradient, other lengths, and no clip", function()
    local x = rlhf.tensor {1, 2}
    assert.error_matches(function() core.ops.policy_loss(x, rlhf.tensor {1, 2}:requires_grad(), x) end, "old", 1, true)
    assert.error_matches(function() core.ops.policy_loss(x, rlhf.tensor {1}, x) end, "#2", 1, true)
    assert.error_matches(function() core.ops.policy_loss(x, x, x, {clip = 0}) end, "clip 0: above 0 wanted", 1, true)
  end)
end)
