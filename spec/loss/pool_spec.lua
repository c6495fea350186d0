-- Pooling of segments: own tokens and ancestors' alike, plain and as trees.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

local X = {{1, 8}, {2, -7}, {6, 6}, {3, 5}, {4, 4}}

local function pool(segments, how)
  local x = rlhf.tensor(X):requires_grad()
  local y = core.ops.segment_pool(x, segments and rlhf.tensor(segments, {dtype = "i64"}), {how = how})
  y:sum():backward()
  return y:totable(), x:grad():totable()
end

describe("segment_pool", function()
  it("means over a segment's tokens", function()
    local y, g = pool({{0, 2, -1}, {2, 3, -1}}, "mean")
    models.near(y, {{1.5, 0.5}, {13 / 3, 5}}, 1e-6, "means")
    models.near(g, {{0.5, 0.5}, {0.5, 0.5}, {1 / 3, 1 / 3}, {1 / 3, 1 / 3}, {1 / 3, 1 / 3}}, 1e-6, "gradient")
    models.near((pool(nil, "mean")), {{3.2, 3.2}}, 1e-6, "one segment")
  end)

  it("sees the parent's tokens, which get every child's gradient", function()
    local y, g = pool({{0, 2, -1}, {2, 1, 0}, {3, 2, 0}}, "mean")
    models.near(y, {{1.5, 0.5}, {3, 7 / 3}, {2.5, 2.5}}, 1e-6, "means")
    local parent = 1 / 2 + 1 / 3 + 1 / 4
    models.near(g, {{parent, parent}, {parent, parent}, {1 / 3, 1 / 3}, {1 / 4, 1 / 4}, {1 / 4, 1 / 4}}, 1e-6, "gradient")
  end)

  it("takes the largest of each column, whose token alone gets the gradient", function()
    local y, g = pool({{0, 2, -1}, {2, 1, 0}, {3, 2, 0}}, "max")
    assert.same({{2, 8}, {6, 8}, {4, 8}}, y)
    assert.same({{0, 3}, {1, 0}, {1, 0}, {0, 0}, {1, 0}}, g)
  end)

  it("refuses segments that are none", function()
    for _, segment in ipairs {{0, 0, -1}, {-1, 2, -1}, {4, 2, -1}, {0, 2, 0}, {0, 1, -2}, {1, math.maxinteger, -1}} do
      assert.error_matches(function() pool({segment}, "mean") end, "segment 1 {", 1, true)
    end
  end)
end)
