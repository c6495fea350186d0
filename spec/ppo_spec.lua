local rlhf = require "rlhf"
local fixtures = require "support.fixtures"
local ppo = require "rlhf.ppo"

local END = 0

local function policy(seed)
  return rlhf.model {layers = 1, dim = 32, heads = 4, vocab = 24, context = 32, seed = seed or 1}
end

local prompts = {{5, 6, 7}, {8, 9}, {10, 11, 12, 13}, {14}}

local function rolled(options)
  local p = policy()
  local all = {max_new_tokens = 8, seed = 3, ends = {END}}
  for key, value in pairs(options or {}) do all[key] = value end
  local roll = ppo.rollout(p, prompts, all)
  roll:score(function(s) return #s.ids / 8 end):reference(policy(2):freeze()):values(ppo.critic(p))
  return roll, p
end

local function sum(list)
  local total = 0
  for _, x in ipairs(list) do total = total + x end
  return total
end

describe("ppo.rollout", function()
  it("cuts responses behind their end and counts places for values", function()
    local roll = rolled {responses = {{3, END, 4}, {3, 4, 5, 6, 7, 8, 9, 10}, {END}, {4, 5}}}
    assert.are.same({2, 8, 1, 2}, roll.lengths)
    assert.are.same({true, false, true, false}, roll.ended)
    assert.are.same({3, 8, 2, 3}, roll:place_counts()) -- one more where there was room
    assert.are.equal(13, #roll.logp)
    assert.are.equal(16, #roll.value)
  end)

  it("has the log-probabilities that the model gives", function()
    local roll, p = rolled {responses = {{3, 4}, {5}, {6, 7}, {8}}}
    local want = p:logprobs({5, 6, 7, 3, 4}):totable()
    local row = roll[1]
    assert.near(want[3], row.logp[1], 1e-4)
    assert.near(want[4], row.logp[2], 1e-4)
  end)

  it("prints rows token by token", function()
    local roll = rolled {responses = {{3, 4}, {5}, {6, 7}, {8}}}
    ppo.advantages(roll)
    local text = tostring(roll[1])
    for _, word in ipairs {"token", "logp", "reference", "kl", "reward", "value", "advantage", "return", "not ended", "%(end%)"} do
      assert.matches(word, text)
    end
    assert.are.equal(1 + 1 + 3, select(2, text:gsub("\n", "\n")) + 1)
    assert.is_nil(roll[5])
    assert.matches("rollout: 4 rows, 6 response tokens, 0 ended", tostring(roll), 1, true)
  end)

  it("gives the same tokens for the same seed, others for another", function()
    assert.are.same(rolled().responses, rolled().responses)
    assert.are_not.same(rolled().responses, rolled {seed = 4}.responses)
  end)

  it("refuses rewards that are no finite numbers", function()
    local roll = rolled()
    assert.has_error(function() roll:score(function() return 0 / 0 end) end, "roll:score: reward is not finite (row 1)")
    assert.has_error(function() roll:score(function() return "good" end) end, "roll:score: the reward of row 1 is no number but string")
  end)
end)

describe("ppo.advantages", function()
  it("puts the KL on each token and the score on the last", function()
    local roll = rolled()
    local adv = ppo.advantages(roll, {beta = 0.1, whiten_rewards = false})
    local kl, rewards = adv.kl:totable(), adv.rewards:totable()
    assert.near(sum(roll.scores) - 0.1 * sum(kl), sum(rewards), 1e-4)
    local n = roll.lengths[1]
    assert.near(roll.scores[1] - 0.1 * kl[n], rewards[n], 1e-5)
  end)

  it("charges nothing for a token but its KL, by default and in preset rlhf, whoever scores", function()
    local roll, p = rolled()
    roll:score(rlhf.reward_model(p, {seed = 1})) -- bounded in 0..1
    for _, options in ipairs {{beta = 0}, {beta = 0, whiten_rewards = ppo.preset "rlhf".whiten_rewards}} do
      local rewards, at = ppo.advantages(roll, options).rewards:totable(), 0
      for r, n in ipairs(roll.lengths) do
        for t = 1, roll:places(r) do assert.equal(t == n and roll.scores[r] or 0, rewards[at + t]) end
        at = at + roll:places(r)
      end
    end
  end)

  it("whitens advantages over real tokens", function()
    local adv = ppo.advantages((rolled()))
    assert.near(0, adv.advantages:mean():item(), 1e-5)
    assert.near(1, adv.advantages:std():item(), 1e-4)
  end)

  it("takes a missing end off the score, or puts another in its place", function()
    local roll = rolled {responses = {{3, END}, {4}, {5}, {6}}}
    local s = roll.scores
    assert.are.same({s[1], s[2] - 2, s[3] - 2, s[4] - 2}, ppo.advantages(roll, {missing_end = {penalty = 2}}).scores)
    assert.are.same({s[1], -1, -1, -1}, ppo.advantages(roll, {missing_end = {replace = -1}}).scores)
  end)

  it("estimates the divergence; exactly it is the mean of the estimates", function()
    local roll, p = rolled()
    local exact = ppo.advantages(roll, {estimator = "exact", policy = p}).kl
    for _, k in ipairs(exact:totable()) do assert.is_true(k >= -1e-6) end
    for _, k in ipairs(ppo.advantages(roll, {estimator = "k3"}).kl:totable()) do assert.is_true(k >= -1e-6) end
  end)

  it("is made anew over each minibatch when asked, by the population's variance", function()
    local roll = rolled()
    local adv = ppo.advantages(roll, {per = "minibatch", population = true, whiten_rewards = true})
    for mb in roll:minibatches(adv, {size = 2, seed = 1}) do
      assert.near(0, mb.advantages:mean():item(), 1e-5)
      assert.near(1, mb.advantages:var {unbiased = false}:item(), 1e-3)
      assert.are.equal(#mb.values, #mb.returns)
    end
    local whole = ppo.advantages(roll, {whiten_rewards = true, population = true})
    for mb in roll:minibatches(adv, {shuffle = false}) do -- one minibatch of all rows: the same
      fixtures.close(mb.advantages, whole.advantages, 1e-5, "advantages")
      fixtures.close(mb.returns, whole.returns, 1e-5, "returns")
    end
  end)

  it("says what was forgotten", function()
    local roll = ppo.rollout(policy(), prompts, {max_new_tokens = 4, ends = {END}})
    assert.has_error(function() ppo.advantages(roll) end, "ppo.advantages: call roll:score(rm) first")
  end)
end)

describe("ppo.loss", function()
  it("begins at ratio 1, and every token is in one minibatch", function()
    local roll, p = rolled()
    local adv, seen, tokens = ppo.advantages(roll), {}, 0
    local critic = ppo.critic(p)
    for mb in roll:minibatches(adv, {size = 3, seed = 1}) do
      local _, stats = ppo.loss(p, critic, mb)
      assert.is_true(stats.worst_ratio < 1e-4)
      tokens = tokens + stats.tokens
      for _, r in ipairs(mb.rows) do seen[r] = (seen[r] or 0) + 1 end
    end
    assert.are.same({1, 1, 1, 1}, seen)
    assert.are.equal(sum(roll.lengths), tokens)
  end)
end)

describe("ppo.preset", function()
  it("is a table of the caller's own", function()
    local o = ppo.preset "trl"
    o.kl.beta = 7
    assert.are.equal(0.05, ppo.preset "trl".kl.beta)
    assert.are.equal("past", o.score_at)
    assert.are.equal(-1, ppo.preset "openai".missing_end.replace)
    assert.has_error(function() ppo.preset "best" end)
  end)
end)

-- The reward counts a token that the policy may choose to say.
local function run(options)
  local p = policy()
  local all = {policy = p, reward = function(s)
    local n = 0
    for _, id in ipairs(s.ids) do n = n + (id == 3 and 1 or 0) end
    return n / #s.ids
  end, prompts = prompts, updates = 12, batch = 16, max_new_tokens = 8, ends = {END}, lr = 3e-3, kl = {beta = 0.01}, quiet = true}
  for key, value in pairs(options or {}) do all[key] = value end
  local trainer = rlhf.ppo(all)
  local first
  for _, m in trainer:steps() do first = first or m end
  return p, first, trainer.last, trainer
end

describe("ppo trainer", function()
  it("raises the reward and keeps the KL positive", function()
    local _, first, last = run()
    assert.is_true(last["objective/scores"] > first["objective/scores"] + 0.2)
    assert.is_true(last["objective/kl"] > 0)
    assert.is_true(first["val/first_ratio"] < 1e-4)
  end)

  it("takes prompts from a source", function()
    local rows = {}
    for i, ids in ipairs(prompts) do rows[i] = {ids = ids} end
    local p, q = run {updates = 1}, run {updates = 1, prompts = rlhf.data.list(rows)}
    for i, w in ipairs(p:parameters()) do assert.are.same(w:totable(), q:parameters()[i]:totable()) end
  end)

  it("hands out the last rollout, which outlives the step's scope", function()
    local _, _, _, trainer = run {updates = 1}
    local roll = trainer.ppo.last_rollout
    assert.matches("16 rows", tostring(roll), 1, true)
    assert.matches("advantage", tostring(roll[1]), 1, true)
  end)

  it("gives the same bits twice, with 1 and with 2 threads", function()
    local before, weights = rlhf.threads(), {}
    for threads = 1, 2 do
      rlhf.threads(threads)
      local p = run {updates = 3}
      weights[threads] = {}
      for i, w in ipairs(p:parameters()) do weights[threads][i] = w:totable() end
    end
    rlhf.threads(before)
    assert.are.same(weights[1], weights[2])
  end)

  it("goes on from a checkpoint to the same bits", function()
    local folder = os.tmpname()
    os.remove(folder)
    local function made(options)
      local all = {policy = policy(), reward = function(s) return s.ids[1] / 24 end, prompts = prompts, updates = 4, batch = 8,
        max_new_tokens = 6, ends = {END}, lr = 3e-3, kl = {beta = 0.1, target = 1, horizon = 100}, quiet = true}
      for key, value in pairs(options or {}) do all[key] = value end
      return all.policy, rlhf.ppo(all)
    end
    local whole, uninterrupted = made()
    uninterrupted:run()
    local _, first = made {output = folder, save_every = 2}
    for step in first:steps() do
      if step == 2 then break end
    end
    local resumed, second = made {output = folder, resume = true}
    second:run()
    for i, p in ipairs(whole:parameters()) do assert.are.same(p:totable(), resumed:parameters()[i]:totable()) end
    assert.are.equal(uninterrupted.last["objective/kl_coef"], second.last["objective/kl_coef"])
    local lines = 0
    for _ in io.lines(folder .. "/metrics.jsonl") do lines = lines + 1 end
    assert.is_true(lines >= 4)
    assert(rlhf.load(folder))
    os.execute(("rm -r '%s'"):format(folder))
  end)

  it("moves the coefficient of an adaptive KL towards its target", function()
    local _, _, last = run {updates = 6, kl = {beta = 0.5, target = 1e-9, horizon = 100}}
    assert.is_true(last["objective/kl_coef"] > 0.5)
  end)

  it("can share the policy's trunk with the critic, as the preset openai does", function()
    local p, first, last, trainer = run {preset = "openai", max_new_tokens = 8, lr = 3e-3, kl = {beta = 0.01}, temperature = 1}
    assert.are.equal(p, trainer.ppo.critic.base)
    assert.is_true(last["objective/scores"] > first["objective/scores"])
    local weight = trainer.ppo.critic.head[1].weight
    assert.is_true(weight:abs():max():item() > 0) -- it began at 0 and has learnt
  end)

  it("warns in words", function()
    local _, _, _, none = run {updates = 1, ends = {}}
    assert.matches("no answer ended within 8 tokens", none.warnings.ends, 1, true)
    local _, _, _, dwarfed = run {updates = 2, reference = policy(9):freeze(), kl = {beta = 5}}
    assert.matches("the reward is dwarfed", dwarfed.warnings.range, 1, true)
  end)

  it("scores by a reward model of another architecture and tokenizer", function()
    if not fixtures.folder() then return pending(fixtures.missing) end
    local p, tok = assert(rlhf.load(fixtures.folder() .. "/models/llama"))
    local rm = assert(rlhf.reward_model.load(fixtures.folder() .. "/models/gpt2-reward"))
    assert.is_false(tok:same(rm.tokenizer))
    local trainer = rlhf.ppo {policy = p, tokenizer = tok, reward = rm, prompts = {"The model", "It sat on"}, updates = 2, batch = 4,
      max_new_tokens = 6, quiet = true}
    local metrics = trainer:run()
    local roll = trainer.ppo.last_rollout
    local want = rm:score {{prompt = tok:decode(roll.prompts[1], {skip_special = true}),
                            response = tok:decode(roll.responses[1], {skip_special = true})}}
    assert.near(want:item(), roll.scores[1], 1e-5)
    assert.is_number(metrics["objective/scores"])
  end)

  it("names what is wrong", function()
    local function message(options) return select(2, pcall(rlhf.ppo, options)) end
    local p = policy()
    assert.matches("did you mean 'updates'", message {policy = p, reward = print, prompts = prompts, update = 3}, 1, true)
    assert.matches("kl", message {policy = p, reward = print, prompts = prompts, kl = {coef = 1}}, 1, true)
    assert.matches("kl: a table wanted, as {beta = 0.05}, got 0.1", message {policy = p, reward = print, prompts = prompts, kl = 0.1}, 1, true)
    assert.matches("prompt 1 is text, but there is no tokenizer", message {policy = p, reward = print, prompts = {"a"}}, 1, true)
  end)
end)
