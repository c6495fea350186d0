-- Processors and draws on their own: closed forms, ties, frequencies. Rests on core.process_logits and on
-- a model whose logits are known: with all weights 0 they are equal, and processors shape them.
local core = require "rlhf.core"
local models = require "rlhf.model"

local inf = math.huge

local function processed(list, options, ids, count)
  local x <close> = core.tensor(list)
  local y <close> = core.process_logits(x, ids or {}, options, count)
  return y:totable()
end

describe("processors", function()
  it("leave logits alone by default", function()
    assert.same({1, -2, 0.5}, processed({1, -2, 0.5}, {}))
  end)

  it("penalize each id once, away from zero or towards it", function()
    assert.same({1, -4, 0.5, 3}, processed({2, -2, 0.5, 3}, {repetition_penalty = 2}, {0, 1, 0, 1, 1}))
  end)

  it("rule stops out until there are enough new tokens", function()
    local o = {min_new_tokens = 2, stop = {1, 7}}
    assert.same({1, -inf, 3}, processed({1, 2, 3}, o, {}, 1))
    assert.same({1, 2, 3}, processed({1, 2, 3}, o, {}, 2))
  end)

  it("keep ties at the k-th place, for top-p the lower ids", function()
    assert.same({2, 2, -inf, 2}, processed({2, 2, 1, 2}, {top_k = 1}))
    assert.same({2, 2, -inf, -inf}, processed({2, 2, 2, 2}, {top_p = 0.5}))
    assert.same({-inf, 5, -inf}, processed({1, 5, 2}, {top_p = 0}))
    assert.same({-inf, 5, -inf}, processed({1, 5, 2}, {min_p = 1}))
  end)

  it("select as a sort would, in any order of logits", function()
    for seed = 1, 20 do
      local list, sorted = {}, {}
      local x <close> = core.randn({700}, {seed = seed})
      for i, v in ipairs(x:totable()) do
        list[i] = seed % 2 == 0 and v // 0.25 or v
        sorted[i] = list[i]
      end
      if seed % 5 == 0 then table.sort(list) end
      table.sort(sorted, function(a, b) return a > b end)
      for i, v in ipairs(processed(list, {top_k = 30})) do
        assert.equal(list[i] >= sorted[30] and list[i] or -inf, v)
      end
    end
  end)

  it("say what they want", function()
    local x <close> = core.zeros {2, 2}
    assert.error_matches(function() core.process_logits(x, {}, {}) end, "#1 to 'process_logits'.*f32 vector")
    assert.error_matches(function() processed({1}, {top_k = 1.5}) end, "top_k: integer expected")
    assert.error_matches(function() processed({1}, {}, {"a"}) end, "integer expected at place 1, got string")
  end)
end)

describe("draws", function()
  local model
  before_each(function() model = models.make {layers = 1, dim = 8, heads = 2, vocab = 600, context = 16, seed = 3}:freeze() end)
  after_each(function()
    model = nil
    collectgarbage()
  end)

  -- The share of each id among n draws of the first new token, one for each stream.
  local function counts(n, options)
    local count, prompts, streams = {}, {}, {}
    for i = 1, n do prompts[i], streams[i] = {5}, 1000 + i end
    options.streams, options.max_new_tokens, options.stop = streams, 1, {}
    for _, ids in ipairs(model:generate(prompts, options)) do count[ids[1]] = (count[ids[1]] or 0) + 1 end
    return count
  end

  it("have the probabilities of the logits (chi-square)", function()
    local scope <close> = core.scope()
    local options = {temperature = 0.5, top_k = 20, seed = 11}
    local p = core.process_logits(model:logits({5})[1], {5}, options):softmax(1):totable()
    local n, chi, kinds = 4000, 0, 0
    local count = counts(n, options)
    for id = 0, 599 do
      local want, got = n * p[id + 1], count[id] or 0
      if want == 0 then assert.equal(0, got) else
        chi, kinds = chi + (got - want) ^ 2 / want, kinds + 1
      end
    end
    assert.equal(20, kinds)
    assert.is_true(chi < 43.8, "chi-square " .. chi .. " with 19 degrees of freedom") -- p = 0.001
  end)

  it("reach every block of the vocabulary alike", function()
    for _, p in ipairs(model:parameters()) do p:copy_(core.zeros(p:shape())) end
    local count, high, n = counts(3000, {seed = 5}), 0, 3000
    for id, times in pairs(count) do
      assert.is_true(id >= 0 and id < 600)
      if id >= 512 then high = high + times end
    end
    local want = n * 88 / 600
    assert.is_true(math.abs(high - want) < 4 * math.sqrt(want), high .. " above 512")
  end)

  it("take the lowest of equal ids when greedy", function()
    for _, p in ipairs(model:parameters()) do p:copy_(core.zeros(p:shape())) end
    assert.same({0, 0, 0}, (model:generate({7}, {greedy = true, max_new_tokens = 3, stop = {}})))
  end)

  it("tell of logits that are no numbers, and of nothing left", function()
    local list = model:parameters()
    list[#list]:copy_(core.full(list[#list]:shape(), 0 / 0))
    assert.error_matches(function() model:generate({7}, {stop = {}}) end, "no next token")
    local all = {}
    for id = 0, 599 do all[#all + 1] = id end
    local other = models.make {layers = 1, dim = 8, heads = 2, vocab = 600, context = 16}
    assert.error_matches(function() other:generate({7}, {stop = all, min_new_tokens = 1}) end, "all ruled out")
  end)
end)
