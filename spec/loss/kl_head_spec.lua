-- The exact divergence of two models over the vocabulary, against the sum written out.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

local function i64(t) return rlhf.tensor(t, {dtype = "i64"}) end

describe("kl_head", function()
  local function draw() -- two models of other widths
    return rlhf.randn({6, 3}, {seed = 1}), rlhf.randn({40, 3}, {seed = 2}), rlhf.randn({6, 5}, {seed = 3}), rlhf.randn({40, 5}, {seed = 4})
  end

  it("is the sum of p (log p - log q)", function()
    local h1, w1, h2, w2 = draw()
    local rows = i64 {5, 0, 3, 3}
    local function log_p(h, w) return (h:matmul(w:transpose(1, 2)) * 0.5):log_softmax():index_select(rows, {dim = 1}) end
    local p, q = log_p(h1, w1), log_p(h2, w2)
    models.near(core.ops.kl_head(h1, w1, h2, w2, rows, {scale = 0.5}), (p:exp() * (p - q)):sum(2), 1e-5, "divergence")
  end)

  it("is 0 for a model and itself, over more rows than one chunk", function()
    local h, w = draw()
    local rows = {}
    for i = 1, 1100 do rows[i] = i % 6 end
    local kl = core.ops.kl_head(h, w, h, w, i64(rows))
    assert.same({1100}, kl:shape())
    assert.is_true(kl:abs():max():item() < 1e-6)
  end)

  it("names what does not fit", function()
    local h1, w1, h2, w2 = draw()
    assert.error_matches(function() core.ops.kl_head(h1, w1, h2, w2, i64 {6}) end, "row 6 at 1: 0 to 5 wanted", 1, true)
    assert.error_matches(function() core.ops.kl_head(h1, w1, h2, rlhf.zeros {39, 5}, i64 {0}) end, "#4", 1, true)
  end)
end)
