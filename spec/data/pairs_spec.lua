-- Pairs from rows and from best-first lists.
local core = require "rlhf.core"
local d = require "rlhf.data"

describe("data.pairs", function()
  it("makes the pairs of a list with ties", function()
    assert.same({{"A", "B"}, {"A", "C"}, {"A", "D"}, {"B", "D"}, {"C", "D"}}, d.pairs {"A", {"B", "C"}, "D"})
    assert.same({{"A", "B"}, {"A", "C"}, {"B", "C"}}, d.pairs {"A", "B", "C"})
    assert.same({}, d.pairs {{"A", "B"}})
  end)

  it("makes the pairs of a row, the better one first", function()
    assert.same({{"y", "x"}, {"z", "x"}}, d.pairs {responses = {"x", "y", "z"}, ranking = {2, 1, 1}})
    assert.same({{"z", "x"}}, d.pairs {responses = {"x", "y", "z"}, ranking = {2, core.null, 1}})
  end)

  it("makes K(K-1)/2 of K", function()
    local responses, ranking = {}, {}
    for i = 1, 9 do responses[i], ranking[i] = "r" .. i, 10 - i end
    assert.equal(36, #d.pairs {responses = responses, ranking = ranking})
  end)

  it("refuses what has no ranking", function()
    assert.error_matches(function() d.pairs(3) end, "a row or a best%-first list wanted, got number")
    assert.error_matches(function() d.pairs {responses = {"x"}} end, "the row has no ranking")
  end)
end)
