-- Formats of ranked responses.
local core = require "rlhf.core"
local d = require "rlhf.data"
local support = require "support.data"
local null = core.null

local function read(row) return support.rows(d.rankings {row}) end

describe("data.rankings", function()
  it("reads its own format, ties and unranked", function()
    assert.same({{instruction = "a", input = "", responses = {"x", "y", "z"}, ranking = {2, 1, 1}}},
      read {instruction = "a", responses = {"x", "y", "z"}, ranking = {2, 1, 1}})
    assert.same({1, null, 2}, read({prompt = "a", responses = {"x", "y", "z"}, ranking = {1, null, 2}})[1].ranking)
  end)

  it("reads a best-first list of indices under order alone", function()
    local function order(list) return read({prompt = "a", responses = {"x", "y", "z"}, order = list})[1].ranking end
    assert.same({3, 1, 2}, order {2, 3, 1})
    assert.same({3, 1, 2}, order {1, 2, 0})
    assert.same({1, 1, 2}, order {{1, 2}, 3})
    assert.same({2, null, 1}, order {3, 1})
    assert.error_matches(function() order {1, 2} end, "neither from 0 nor from 1")
    assert.error_matches(function() order {1, 1, 3} end, "index 1 twice")
    assert.error_matches(function() order {} end, '"order" must be an array')
  end)

  it("reads numbered completions, and completions with ranks", function()
    local row = read {prompt = "a", completion_0 = "x", completion_1 = "y", completion_2 = "z", ranking = {2, 0, 1}}
    assert.same({{instruction = "a", input = "", responses = {"x", "y", "z"}, ranking = {2, 0, 1}}}, row)
    local messages = {{role = "user", content = "a"}}
    assert.same({{instruction = "a", input = "", messages = messages, responses = {"x", "y"}, ranking = {1, 0}}},
      read {messages = messages, completions = {"x", "y"}, ranks = {1, 0}})
  end)

  it("reads Nectar and UltraFeedback", function()
    assert.same({2, 1}, read({prompt = "a", answers = {{answer = "x", rank = 2}, {answer = "y", rank = 1}}})[1].ranking)
    local row = read({instruction = "a", completions = {
      {response = "x", overall_score = 3}, {response = "y", overall_score = 8.5}, {response = "z", overall_score = 3},
      {response = "w", overall_score = null}}})[1]
    assert.same({2, 1, 2, null}, row.ranking)
    assert.same({"x", "y", "z", "w"}, row.responses)
  end)

  it("reads chosen and rejected in every spelling", function()
    local want = {instruction = "a", input = "", responses = {"x", "y"}, ranking = {1, 2}}
    assert.same({want}, read {prompt = "a", chosen = "x", rejected = "y"})
    want.messages = {{role = "user", content = "a"}}
    local function reply(text) return {role = "assistant", content = text} end
    assert.same({want}, read {conversations = {{from = "human", value = "a"}}, chosen = {from = "gpt", value = "x"},
                              rejected = {from = "gpt", value = "y"}})
    local ask = {role = "user", content = "a"}
    assert.same({want}, read {chosen = {ask, reply "x"}, rejected = {ask, reply "y"}})
    want.messages = nil
    assert.same({want}, read {prompt = "a", chosen = {ask, reply "x"}, rejected = {ask, reply "y"}})
  end)

  it("finds the prompt that transcripts share", function()
    local prompt = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    assert.same({{instruction = prompt, input = "", responses = {" It is", " It was"}, ranking = {1, 2}}},
      read {chosen = prompt .. " It is", rejected = prompt .. " It was"})
    assert.error_matches(function() read {chosen = "\n\nHuman: a", rejected = "\n\nHuman: b"} end, "share no prompt")
  end)

  it("reads trees: a row for each prompter with two or more ranked replies", function()
    local function a(text, rank, replies) return {role = "assistant", text = text, rank = rank, replies = replies} end
    local rows = read {prompt = {role = "prompter", text = "q", replies = {
      a("x", 1), a("y", 0, {{role = "prompter", text = "r", replies = {a("u", 0), a("v", 1), a("w")}}}), a("z")}}}
    assert.equal(2, #rows)
    assert.same({"x", "y"}, rows[1].responses)
    assert.same({1, 0}, rows[1].ranking)
    assert.equal("q", rows[1].instruction)
    assert.equal("\n\nHuman: q\n\nAssistant: y\n\nHuman: r", rows[2].instruction)
    assert.equal(3, #rows[2].messages)
    assert.same({"u", "v"}, rows[2].responses)
  end)

  it("names file, line and field of what is wrong", function()
    local bad = {
      ['{"prompt":"a","chosen":3,"rejected":"b"}'] = '"chosen" must be a string, got number',
      ['{"prompt":"a","chosen":"b"}'] = '"rejected" must be a string, got nothing',
      ['{"prompt":"a","responses":["x","y"],"ranking":[1]}'] = '"ranking" has 1 entries for 2 responses',
      ['{"prompt":"a","responses":["x","y"],"ranking":[1,2,3]}'] = '"ranking" has 3 entries for 2 responses',
      ['{"prompt":"a","responses":["x","y"],"ranking":["1",2]}'] = '"ranking[1]" must be a number, got string',
      ['{"prompt":"a","responses":["x",2],"ranking":[1,2]}'] = '"responses[2]" must be a string, got number',
      ['{"prompt":"a","responses":["x"],"ranking":[1]}'] = "2 or more responses wanted, got 1",
      ['{"responses":["x","y"],"ranking":[1,2]}'] = '"prompt" must be a string, got nothing',
      ['{"prompt":"a","responses":["x","y"],"ranking":[1,2],"order":[1,2]}'] =
        '"ranking" and "order" are both there: one wanted',
      ['{"prompt":"a","answers":[{"answer":"x","rank":1},3]}'] = '"answers[2]" must be an object, got number',
    }
    for line, message in pairs(bad) do
      support.with_file(line .. "\n", function(path)
        local _, got = pcall(support.rows, d.rankings(d.jsonl(path)))
        assert.equal(path .. ":1: " .. message, got)
      end)
    end
  end)

  it("reads the published sets", function()
    local sets = {["oasst-ranked/ranked"] = {100, 356}, ["oasst-ranked/ranked3"] = {44, 132}, ["oasst-ranked/trees"] = {100, 356},
                  ["hh-harmless/pairs"] = {660, 660}, ["dpo-en/pairs"] = {155, 155}}
    for name, want in pairs(sets) do
      local path = support.shared(name .. ".jsonl")
      if not path then return pending "no ../shared/data" end
      local rows, n = support.rows(d.rankings(d.jsonl(path))), 0
      for _, row in ipairs(rows) do n = n + #d.pairs(row) end
      assert.same(want, {#rows, n}, name)
    end
  end)
end)
