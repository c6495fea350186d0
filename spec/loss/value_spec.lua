-- PPO's value loss: the larger of two squared errors, and where its gradient stops.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

-- One place's loss and gradient; old value 0, clip 0.2.
local function value(v, target)
  local x = rlhf.tensor {v}:requires_grad()
  local loss, stats = core.ops.value_loss(x, rlhf.tensor {0}, rlhf.tensor {target}, {clip = 0.2})
  loss:backward()
  return {loss:item(), x:grad():item()}, stats:totable()
end

describe("value_loss", function()
  it("is half the squared error inside the bounds", function()
    models.near(value(0.1, 1), {0.5 * 0.81, -0.9}, 1e-6, "inside")
  end)

  it("does not follow beyond them, but comes back from there", function()
    models.near(value(0.5, 1), {0.5 * 0.64, 0}, 1e-6, "ran ahead: the clipped error is larger")
    models.near(value(0.5, -1), {0.5 * 2.25, 1.5}, 1e-6, "ran away: the plain error is larger")
  end)

  it("tells the share clipped and the mean squared error", function()
    local _, stats = value(0.5, 1)
    models.near(stats, {1, 0.25}, 1e-6, "statistics")
    assert.equal(0, (core.ops.value_loss(rlhf.zeros {0}, rlhf.zeros {0}, rlhf.zeros {0})):item())
  end)
end)
