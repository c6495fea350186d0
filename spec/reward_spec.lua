local rlhf = require "rlhf"
local samples = require "support.samples"

local function model(seed)
  return rlhf.reward_model(rlhf.model {layers = 1, dim = 32, heads = 4, vocab = 64, context = 64, seed = seed or 3})
end

-- Rankings by a rule: the more ids below 8 the better; K of 4 to 9.
local function rankings(n)
  local random, rows = samples.generator "rankings", {}
  for i = 1, n do
    local row = {instruction = {40 + i % 5, 50}, responses = {}, ranking = {}}
    for r = 1, 4 + i % 6 do
      local ids, good = {}, 0
      for t = 1, 8 do
        ids[t] = 1 + math.floor(random() * 20)
        good = good + (ids[t] < 8 and 1 or 0)
      end
      row.responses[r], row.ranking[r] = ids, -good
    end
    rows[i] = row
  end
  return rows
end

local function train(options)
  local rm = model()
  local all = {model = rm, data = rankings(60), epochs = 4, lr = 3e-3, quiet = true}
  for key, value in pairs(options or {}) do all[key] = value end
  return rm, rlhf.reward(all):run()
end

local function weights(rm)
  local list = {}
  for i, p in ipairs(rm:parameters()) do list[i] = p:totable() end
  return list
end

describe("reward trainer", function()
  it("learns a rule from rankings, and ranks what it never saw", function()
    local held = rankings(90)
    held = table.move(held, 61, 90, 1, {})
    local rm, metrics = train {eval = held}
    assert.is_true(metrics.eval_accuracy > 0.9, ("accuracy %.3f"):format(metrics.eval_accuracy))
    assert.are.equal(metrics.eval_accuracy, rlhf.reward.evaluate(rm, held).accuracy)
    for k = 4, 9 do assert.is_number(metrics["eval_accuracy_k" .. k]) end
    assert.is_true(metrics.max_reward <= 1 and metrics.min_reward >= 0)
  end)

  it("ranks better after learning from logits than from scores, whose gradients fade at both ends", function()
    local held = table.move(rankings(160), 61, 160, 1, {})
    local _, logit = train {eval = held}
    local _, score = train {eval = held, loss_on = "score"}
    assert.is_true(logit.eval_accuracy > score.eval_accuracy)
    assert.is_true(score.eval_loss > 0.313)
  end)

  it("gives the same bits twice, with 1 and with 2 threads", function()
    local before = rlhf.threads()
    rlhf.threads(1)
    local one = weights((train {epochs = 1}))
    rlhf.threads(2)
    local two = weights((train {epochs = 1}))
    rlhf.threads(before)
    assert.are.same(one, two)
  end)

  it("takes a source, a list or an iterator of rows", function()
    local rm, rows = model(), rankings(6)
    local want = rlhf.reward.evaluate(rm, rows).loss
    assert.are.equal(want, rlhf.reward.evaluate(rm, rlhf.data.list(rows)).loss)
    local at = 0
    assert.are.equal(want, rlhf.reward.evaluate(rm, function()
      at = at + 1
      return rows[at]
    end).loss)
  end)

  it("goes on from a checkpoint to the same bits", function()
    local folder = os.tmpname()
    os.remove(folder)
    local whole = weights((train {epochs = 1}))
    local started = rlhf.reward {model = model(), data = rankings(60), epochs = 1, lr = 3e-3, quiet = true, output = folder, save_every = 3}
    for step in started:steps() do
      if step == 3 then break end
    end
    assert.are.same(whole, weights((train {epochs = 1, output = folder, resume = true})))
    assert(rlhf.reward_model.load(folder))
    os.execute(("rm -r '%s'"):format(folder))
  end)

  it("computes each response once: a prompt's loss is that of all its pairs", function()
    local rm, row = model(), rankings(1)[1]
    local flat = {}
    for i, r in ipairs(row.responses) do flat[i] = table.move(r, 1, #r, 3, {row.instruction[1], row.instruction[2]}) end
    local want = rlhf.loss.ranking(rm:score(flat, {logit = true}), {row.ranking}):item()
    assert.near(want, rlhf.reward.evaluate(rm, {row}).loss, 1e-5)
  end)

  it("makes prompts by the reward model's template, as scoring does", function()
    local row = {instruction = "Name it.", input = "a cat", responses = {"Tom.", "No."}, ranking = {1, 2}}
    local tok = rlhf.tokenizer.train {text = {rlhf.data.prompt(row) .. "Tom. No."}, vocab_size = 270, eos = "<end>"}
    local base = rlhf.model {layers = 1, dim = 16, heads = 2, vocab = #tok, context = 400, seed = 1}
    for _, template in ipairs {"alpaca", "plain", function(r) return r.instruction .. "|" .. r.input .. ">" end} do
      local rm = rlhf.reward_model(base, {tokenizer = tok, template = template})
      local want = tok:encode(rlhf.data.prompt(row, template))
      assert.are.same(want, rlhf.reward.encode(rm, row).prompt)
      local given = rm:score {{instruction = row.instruction, input = row.input, response = "Tom."},
                              {prompt = rlhf.data.prompt(row, template), response = "Tom."}}:totable()
      assert.are.equal(given[1], given[2])
    end
    local plain = rlhf.reward_model(base, {tokenizer = tok})
    assert.are.same(tok:encode "Name it.\na cat", rlhf.reward.encode(plain, row).prompt)
  end)

  it("names what is wrong", function()
    local function message(options) return select(2, pcall(rlhf.reward, options)) end
    assert.matches("loss_on: 'logit' or 'score' wanted, got 'pairs'", message {model = model(), data = rankings(2), loss_on = "pairs"}, 1, true)
    assert.matches("no row of data has a pair", message {model = model(), data = {}}, 1, true)
    assert.matches("did you mean 'epochs'", message {model = model(), data = {}, epoch = 2}, 1, true)
  end)
end)
