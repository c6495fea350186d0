local rlhf = require "rlhf"

local function ranking(scores, ranks, options) return rlhf.loss.ranking(rlhf.tensor(scores), ranks, options):item() end

describe("rlhf.loss.ranking", function()
  it("gives the textbook's losses for scores against the order A > B > C", function()
    assert.near(0.76, ranking({0.4, 0.5, 0.6}, {{1, 2, 3}}), 0.005)
    assert.near(0.49, ranking({0.8, 0.5, 0.1}, {{1, 2, 3}}), 0.005)
  end)

  it("is the mean over a prompt's pairs of -log sigmoid of the difference", function()
    local function pair(d) return math.log(1 + math.exp(-d)) end
    assert.near((pair(1) + pair(3) + pair(2)) / 3, ranking({3, 2, 0}, {{1, 2, 3}}), 1e-6)
  end)

  it("weighs each prompt the same, whatever its pairs", function()
    local two, four = ranking({0, 1}, {{1, 2}}), ranking({1, 0, 2, 5}, {{2, 1, 4, 3}})
    assert.near((two + four) / 2, ranking({0, 1, 1, 0, 2, 5}, {{1, 2}, {2, 1, 4, 3}}), 1e-6)
  end)

  it("makes no pair of ties and of what is not ranked", function()
    assert.near(ranking({1, 0}, {{1, 2}}), ranking({1, 7, 0}, {{1, rlhf.null, 2}}), 1e-6)
    local _, made = rlhf.loss.ranking(rlhf.tensor {1, 2, 3}, {{1, 1, 2}})
    assert.are.equal(2, made.pairs)
    assert.has_error(function() ranking({1, 2}, {{1, 1}}) end,
      "rlhf.loss.ranking: no pair: every response is tied or unranked")
  end)

  it("has a floor of 0.313 on scores between 0 and 1", function()
    assert.near(0.3133, ranking({1, 0}, {{1, 2}}), 1e-4)
  end)

  it("names what does not fit", function()
    local ok, message = pcall(ranking, {1, 2, 3}, {{1, 2}})
    assert.is_false(ok)
    assert.matches("ranks of 2 responses, scores of 3", message, 1, true)
  end)
end)
