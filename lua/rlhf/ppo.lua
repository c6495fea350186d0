--- PPO with a KL penalty for language models: a trainer, and the verbs that it is made of.
-- `rlhf.ppo{policy =, reward =, prompts =}:run()` is the whole; a loop of one's own reads
--
--     local roll = ppo.rollout(policy, prompts, {max_new_tokens = 64, seed = 1})
--     roll:score(rm):reference(ref):values(critic)
--     local adv = ppo.advantages(roll, {beta = 0.05})
--     for mb in roll:minibatches(adv, {size = 16, seed = 1}) do
--       local loss, stats = ppo.loss(policy, critic, mb, {clip = 0.2})
--       loss:backward(); opt:clip(1); opt:step()
--     end
--
-- It maximises E[score] - beta KL(policy || reference); an action is a token. The method is Ziegler et al. 2019 and
-- Ouyang et al. 2022 with the clipped objective of Schulman et al. 2017; the numbers are those of TRL 1.12's trainer,
-- with statistics over real tokens alone.
-- @module rlhf.ppo
local core = require "rlhf.core"
local option = require "rlhf.option"
local optim = require "rlhf.optim"
local order = require "rlhf.order"
local presets = require "rlhf.ppo_preset"
local reward_model = require "rlhf.reward_model"
local schedules = require "rlhf.schedule"
local source = require "rlhf.data.source"
local trainer = require "rlhf.trainer"
local verbs = require "rlhf.ppo_verbs"
local watch = require "rlhf.ppo_watch"

local M = setmetatable({}, {__index = verbs})

local known = {
  policy = option.required, reward = option.required, prompts = option.required, tokenizer = option.optional,
  reference = option.optional, critic = option.optional, preset = "rlhf", updates = 50, batch = 32, seed = 1,
  max_new_tokens = option.optional, temperature = option.optional, epochs = option.optional,
  minibatches = option.optional, clip = option.optional, value_clip = option.optional, vf = option.optional,
  gamma = option.optional, lambda = option.optional, kl = option.optional, whiten_rewards = option.optional,
  score_at = option.optional, missing_end = option.optional, ends = option.optional, lr = option.optional,
  critic_lr = option.optional, schedule = option.optional, warmup = 0, grad_clip = option.optional, eps = option.optional,
  shuffle = option.optional, per = option.optional,
  population = option.optional, output = option.optional, resume = false, log_every = 1, save_every = option.optional,
  quiet = false,
}

-- Explicit options win over the preset's; kl's fields one by one.
local function settle(options)
  local o = option.check(options, known, "rlhf.ppo", 3)
  local preset = presets.get(o.preset)
  for key, value in pairs(preset) do
    if o[key] == nil then o[key] = value end
  end
  local kl = {}
  if type(o.kl) ~= "table" then error("rlhf.ppo: kl: a table wanted, as {beta = 0.05}, got " .. tostring(o.kl), 3) end
  for key, value in pairs(preset.kl) do kl[key] = value end
  for key, value in pairs(options.kl or {}) do kl[key] = value end
  option.check_names(kl, {"beta", "target", "horizon", "estimator"}, "rlhf.ppo: kl", 3)
  o.kl = kl
  if not schedules[o.schedule] then
    error(("rlhf.ppo: schedule: 'constant', 'linear' or 'cosine' wanted, got '%s'"):format(tostring(o.schedule)), 3)
  end
  return o
end

-- A prompt as ids: of ids, of a text, or of a row with `ids` or `prompt`.
local function prompt_ids(row, tok, place)
  local p = type(row) == "table" and (row.ids or row.prompt) or row
  if type(row) == "table" and type(row[1]) == "number" then p = row end
  if type(p) == "string" then
    if not tok then error(("rlhf.ppo: prompt %d is text, but there is no tokenizer"):format(place), 0) end
    p = tok:encode(p)
  end
  if type(p) ~= "table" or #p == 0 then error(("rlhf.ppo: prompt %d: ids or a text wanted"):format(place), 0) end
  return p
end

local function collect_prompts(prompts, tok)
  local list = {}
  for row in source.of(prompts, "ppo")(1) do list[#list + 1] = {ids = prompt_ids(row, tok, #list + 1), row = row} end
  if #list == 0 then error("rlhf.ppo: no prompts", 0) end
  return list
end

-- The prompts of update n: pass by pass over all of them, each pass in an order that depends on the seed alone.
local function prompts_of(self, n)
  local ids, rows, total = {}, {}, #self.prompts
  for i = (n - 1) * self.o.batch, n * self.o.batch - 1 do
    local pass = i // total
    if self.pass ~= pass then
      self.pass, self.order = pass, order.permutation(total, self.o.seed, pass)
    end
    local p = self.prompts[self.order[i % total + 1]]
    ids[#ids + 1], rows[#rows + 1] = p.ids, p.row
  end
  return ids, rows
end

local function same_tokenizer(a, b)
  return a == nil or b == nil or a:same(b)
end

local function critic_of(o)
  if o.critic == "shared" then return verbs.shared_critic(o.policy) end
  if o.critic then return o.critic end
  if reward_model.is(o.reward) and same_tokenizer(o.reward.tokenizer, o.tokenizer) then return verbs.critic(o.reward) end
  return verbs.critic(o.policy)
end

local function optimizer_of(o, critic)
  local own = critic.base == o.policy and critic:head_parameters() or critic:parameters()
  return optim.adamw({{params = o.policy:parameters()}, {params = own, lr = o.critic_lr or o.lr}},
                     {lr = o.lr, eps = o.eps, weight_decay = 0})
end

-- One rollout with everything said of it, and its advantages.
local function roll_out(self, n)
  local o = self.o
  local ids, rows = prompts_of(self, n)
  local roll = verbs.rollout(o.policy, ids, {max_new_tokens = o.max_new_tokens, temperature = o.temperature,
    seed = o.seed + n * 1000003, tokenizer = o.tokenizer, ends = o.ends, rows = rows})
  roll:score(o.reward):reference(self.reference):values(self.critic)
  local adv = verbs.advantages(roll, {beta = self.beta, gamma = o.gamma, lambda = o.lambda, estimator = o.kl.estimator,
    score_at = o.score_at, whiten_rewards = o.whiten_rewards, missing_end = o.missing_end,
    per = o.per, population = o.population,
    policy = o.kl.estimator == "exact" and o.policy or nil})
  return roll, adv
end

-- One step of the optimizer; nil and the reason when a gradient isn't finite.
local function learn_from(self, mb, lr, sums)
  local o = self.o
  local loss, s = verbs.loss(o.policy, self.critic, mb, {clip = o.clip, value_clip = o.value_clip, vf = o.vf})
  loss:backward()
  loss:close()
  local norm = self.optimizer:clip(o.grad_clip)
  local ok, reason = self.optimizer:step(lr)
  if not ok then return nil, reason end
  s.grad_norm = norm
  sums.first = sums.first or s
  sums.list[#sums.list + 1] = s
  return true
end

local function learn(self, roll, adv, n, lr)
  local o, sums = self.o, {list = {}}
  local size = math.ceil(#roll / o.minibatches)
  for epoch = 1, o.epochs do
    local seed = o.seed + n * 1000003 + epoch
    for mb in roll:minibatches(adv, {size = size, seed = seed, shuffle = o.shuffle}) do
      local ok, reason = learn_from(self, mb, lr, sums)
      mb.batch:close()
      if not ok then return nil, reason end
    end
  end
  return sums
end

local function step(self, n)
  local scope <close> = core.scope()
  local o, begun = self.o, os.time()
  local lr = o.lr * self.schedule(n - 1)
  local roll, adv = roll_out(self, n)
  local sums, reason = learn(self, roll, adv, n, lr)
  if not sums then return nil, reason end
  self.episodes = self.episodes + #roll
  local m = watch.metrics(roll, adv, sums)
  m.lr, m.episode, m.eps = lr, self.episodes, #roll / math.max(1, os.difftime(os.time(), begun))
  m["objective/kl_coef"] = self.beta
  watch.warn(self, roll, adv, sums, m)
  if o.kl.target then
    self.beta = verbs.adapt(self.beta, m["objective/kl"], {target = o.kl.target, horizon = o.kl.horizon, n = #roll})
  end
  self.last_rollout = roll
  return m
end

local function shown(o)
  local more = {policy = o.policy, reward = type(o.reward) == "function" and "a function" or o.reward}
  for key, v in pairs(o.kl) do more["kl." .. key] = v end
  return trainer.shown(o, more)
end

--- A PPO trainer. An option that is not given is the preset's; the values shown are those of "rlhf".
-- @function ppo
-- @tparam table options
--
--   * `policy`: trained in place; `tokenizer`: by default the policy's
--   * `reward`: a reward model, or a function of a sample `{prompt, response, prompt_ids, ids, row, ended}` that returns
--     a number
--   * `prompts`: a source or list of ids, texts, or rows with `ids` or `prompt`
--   * `reference`: by default a frozen copy of the policy as it is now
--   * `critic`: by default ppo.critic of the reward model where it shares the tokenizer, else of the policy; "shared": a
--     head on the policy's own trunk
--   * `preset` = "rlhf", "trl" or "openai" (ppo.preset)
--   * `updates` = 50 rollouts of `batch` = 32 prompts each; `seed` = 1
--   * `max_new_tokens` = 64; `temperature` = 1; `ends`: end tokens, by default the model's
--   * `epochs` = 4 over each rollout, in `minibatches` = 1 parts, `shuffle` = true
--   * `kl` = {`beta` = 0.05, `estimator` = "k1", `target`: nats a response at which the coefficient aims (none: it
--     stays), `horizon` = 10000 responses}
--   * `clip` = 0.2, `value_clip` = 0.2, `vf` = 0.1: see ppo.loss
--   * `gamma` = 1, `lambda` = 0.95, `whiten_rewards` = false, `score_at` = "last", `missing_end` = {}, `per` =
--     "rollout", `population` = false: see ppo.advantages
--   * `lr` = 1e-5, `critic_lr` = `lr`, `schedule` = "constant", `warmup` = 0 updates, `grad_clip` = 1, `eps` = 1e-8 (AdamW's)
--   * `output`: folder of metrics, checkpoints (each `save_every` updates and at the end) and of the trained policy;
--     `resume` = false: go on from its checkpoint; `log_every` = 1, `quiet` = false
-- @treturn trainer see rlhf.trainer; `trainer.ppo.last_rollout` is the last update's rollout. Metrics, under TRL's names:
--   `objective/scores`, `objective/scores_std`, `objective/kl` (nats, summed over a response), `objective/kl_coef`,
--   `objective/non_score_reward`, `objective/rlhf_reward`, `objective/entropy`; `policy/approxkl_avg`,
--   `policy/clipfrac_avg`, `policy/entropy_avg`, `loss/policy_avg`, `loss/value_avg`, `val/clipfrac_avg`, `val/ratio`,
--   `val/ratio_var`, `val/num_eos_tokens`, `val/explained_variance`, `val/first_ratio`; `completions/mean_length`,
--   `completions/ended` (a share), `grad_norm`, `lr`, `episode`, `eps` (responses a second)
-- @raise on unknown or impossible options, on prompts that are neither ids nor text, on a reward that is no finite number
function M.make(options)
  local o = settle(options)
  o.tokenizer = o.tokenizer or o.policy.tokenizer
  local self = {o = o, beta = o.kl.beta, episodes = 0, prompts = collect_prompts(o.prompts, o.tokenizer)}
  self.reference = o.reference or o.policy:clone():freeze()
  self.critic = critic_of(o)
  self.optimizer = optimizer_of(o, self.critic)
  self.schedule = schedules[o.schedule] {warmup = o.warmup, total = o.updates}
  local t = trainer.new {
    name = "ppo", options = shown(o), total_steps = o.updates, step = function(n) return step(self, n) end,
    models = {policy = o.policy, critic = self.critic, reference = self.reference}, optimizers = {adamw = self.optimizer},
    state = function() return {beta = self.beta, episodes = self.episodes} end,
    load_state = function(s) self.beta, self.episodes = s.beta, s.episodes end,
    save = function(folder) return require "rlhf.folder".save(folder, o.policy, o.tokenizer) end,
    output = o.output, resume = o.resume, log_every = o.log_every, save_every = o.save_every, quiet = o.quiet,
    keys = {"objective/scores", "objective/kl", "loss/policy_avg", "loss/value_avg"},
  }
  self.trainer, t.ppo = t, self
  watch.before(self)
  return t
end

return setmetatable(M, {__index = verbs, __call = function(_, options) return M.make(options) end})
