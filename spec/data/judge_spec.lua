-- What people type, where they are, how far they agree.
local core = require "rlhf.core"
local judge = require "rlhf.data.judge"
local null = core.null

describe("judge.parse", function()
  it("reads rankings with ties and unranked", function()
    assert.same({2, 1, 3, 2}, judge.parse("2 > 1 = 4 > 3", 4))
    assert.same({2, 1, 3, 2}, judge.parse(" 2>1=4>3 ", 4))
    assert.same({1, null, 2}, judge.parse("1 = ?2 > 3", 3))
    assert.same({1}, judge.parse("1", 1))
  end)

  it("says what is wrong", function()
    local wrong = {["1 > 2"] = "3 is missing", ["1 > 2 > 2"] = "2 stands there twice", ["1 > 4 > 2"] = "4: there are responses 1 to 3",
                   ["1 < 2"] = "'>' or '=' wanted at '< 2'", ["1 > "] = "a number wanted at ''", ["best"] = "a number wanted at 'best'",
                   [""] = "a number wanted at ''", ["0 > 1"] = "0: there are responses 1 to 3"}
    for text, message in pairs(wrong) do assert.same({nil, message}, {judge.parse(text, 3)}) end
  end)
end)

describe("judge.order", function()
  it("is a permutation of seed and prompt alone, and undone by unshuffle", function()
    local differs = false
    for stream = 1, 20 do
      local order = judge.order(5, 1, stream)
      assert.same(order, judge.order(5, 1, stream))
      local shown, seen = {}, {}
      for i, original in ipairs(order) do
        shown[i], seen[original] = original * 10, true
        differs = differs or i ~= original
      end
      assert.same({true, true, true, true, true}, seen)
      assert.same({10, 20, 30, 40, 50}, judge.unshuffle(shown, order))
    end
    assert.is_true(differs)
  end)
end)

describe("judge.agreement", function()
  it("counts the pairs that both put in an order", function()
    assert.same({3, 3}, {judge.agreement({1, 2, 3}, {1, 2, 3})})
    assert.same({0, 3}, {judge.agreement({1, 2, 3}, {3, 2, 1})})
    assert.same({2, 3}, {judge.agreement({1, 2, 3}, {1, 3, 2})})
    assert.same({1, 2}, {judge.agreement({1, 1, 2}, {2, 1, 1.5})}) -- the tie makes no pair
    assert.same({1, 1}, {judge.agreement({1, null, 2}, {1, 2, 3})})
  end)

  it("is counted over what two people ranked", function()
    local function row(name, by, ranking) return {instruction = name, responses = {"x", "y", "z"}, ranking = ranking, by = by} end
    local all = judge.agreements {row("a", "ann", {1, 2, 3}), row("a", "bob", {1, 3, 2}), row("b", "ann", {1, 2, 3}),
                                  row("c", "ann", {3, 2, 1}), row("c", "ann", {1, 2, 3}), row("c", "bob", {1, 2, 3})}
    assert.same({same = 5, both = 6, prompts = 2, rate = 5 / 6}, all)
    assert.is_nil(judge.agreements({row("a", "ann", {1, 2, 3})}).rate)
  end)
end)

describe("judge.sitting", function()
  local rows = {}
  for i = 1, 3 do rows[i] = {instruction = "p" .. i, input = "", responses = {"x" .. i, "y" .. i}} end

  it("goes through the rows; skip, undo", function()
    local s = judge.sitting(rows, "ann")
    local row, order = s:current()
    assert.equal("p1", row.instruction)
    assert.is_true(s:answer "2 > 1")
    local ranked = s:rows()[1]
    assert.equal(1, ranked.ranking[order[2]])
    assert.equal(2, ranked.ranking[order[1]])
    assert.equal("ann", ranked.by)
    assert.is_true(s:answer " skip ")
    assert.equal("p3", s:current().instruction)
    assert.is_true(s:answer "undo")
    assert.equal("p2", s:current().instruction)
    assert.is_true(s:answer "undo")
    assert.equal("p1", s:current().instruction)
    assert.same({nil, "there is nothing to undo"}, {s:answer "undo"})
    assert.same({nil, "2 is missing"}, {s:answer "1"})
    for _ = 1, 3 do assert.is_true(s:answer "1 = 2") end
    assert.is_nil((s:current()))
    assert.same({nil, "all is done"}, {s:answer "1 = 2"})
    assert.equal(3, #s:rows())
  end)

  it("goes on where it stopped, beside what others did", function()
    local first = judge.sitting(rows, "ann")
    first:answer "1 > 2"
    local other = judge.sitting(rows, "bob", first:rows())
    assert.equal("p1", other:current().instruction)
    other:answer "1 > 2"
    local again = judge.sitting(rows, "ann", other:rows())
    assert.equal("p2", again:current().instruction)
    assert.equal(2, #again:rows())
    assert.same({same = 1, both = 1, prompts = 1, rate = 1}, judge.agreements(again:rows()))
  end)

  it("keeps rankings of prompts that aren't among the rows", function()
    local first = judge.sitting(rows, "ann")
    for _ = 1, 3 do first:answer "1 > 2" end
    local second = judge.sitting({rows[2]}, "ann", first:rows())
    assert.is_nil((second:current()))
    assert.equal(3, #second:rows())
  end)
end)
