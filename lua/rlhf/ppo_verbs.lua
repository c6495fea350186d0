--- PPO for language models: a verb for each step. rlhf.ppo has them, and a trainer made of them.
-- @submodule rlhf.ppo
local core = require "rlhf.core"
local option = require "rlhf.option"
local permutation = require "rlhf.order".permutation
local presets = require "rlhf.ppo_preset"
local rollout = require "rlhf.rollout"
local reward_model = require "rlhf.reward_model"
local ops = core.ops

local M = {}

--- A preset's options for all verbs: a plain table of the caller's own.
-- @tparam string name "rlhf" (TRL's rules, the score at the last token), "trl" (TRL 1.12's
--   defaults) or "openai" (Ziegler et al. 2019: adaptive KL, a value head on the policy's trunk, whitening in each minibatch)
-- @treturn table
-- @raise on another name
function M.preset(name) return presets.get(name) end

local function end_ids(policy, tokenizer)
  local ids = policy.end_ids and policy:end_ids() or {}
  if #ids == 0 and tokenizer and tokenizer:eos() then ids = {tokenizer:eos()} end
  return ids
end

--- Samples a response to each prompt, or takes given ones, and computes the policy's log-probabilities of their
-- tokens by one forward of the training path. Responses are cut behind their first end token.
-- @tparam model policy
-- @tparam table prompts list of id lists
-- @tparam[opt] table options `max_new_tokens` = 64, `temperature` = 1, `seed` = 1, `streams`, `responses` (given
--   ids, nothing is sampled), `tokenizer` (for texts; default the policy's), `ends` (end tokens; default the model's),
--   `rows` (the data's rows, handed on to reward functions). There is no top-k, top-p, min-p or penalty: the ratio
--   would be wrong.
-- @treturn rollout `#roll` rows; `roll[r]` prints row r token by token; `roll.lengths`, `roll.ended` and `roll.scores` are
--   lists by row, `roll.logp`, `roll.ref_logp`, `roll.entropy` tensors [tokens], `roll.value` [places]
-- @raise on unknown options, prompts or responses that are no lists of ids, an empty response
function M.rollout(policy, prompts, options)
  options = option.check(options, {max_new_tokens = 64, temperature = 1, seed = 1, streams = option.optional,
    responses = option.optional, tokenizer = option.optional, ends = option.optional, rows = option.optional},
    "ppo.rollout", 2)
  options.tokenizer = options.tokenizer or policy.tokenizer
  options.ends = options.ends or end_ids(policy, options.tokenizer)
  local responses = options.responses
  if not responses then
    responses = policy:generate(prompts, {max_new_tokens = options.max_new_tokens, temperature = options.temperature,
      seed = options.seed, streams = options.streams, stop = options.ends})
  elseif #responses ~= #prompts then
    error(("ppo.rollout: %d responses to %d prompts"):format(#responses, #prompts), 2)
  end
  return rollout.new(policy, prompts, responses, options)
end

local estimators = {
  k1 = function(d) return d end,
  k2 = function(d) return d * d * 0.5 end,
  -- with x = reference - policy: e^x - 1 - x, by expm1
  k3 = function(d) return (-d):expm1() + d end,
}

--- An estimate of KL(policy || reference) at each token, from samples of the policy (Schulman 2020).
-- @tparam tensor logp the policy's log-probabilities
-- @tparam tensor ref the reference's, of the same tokens
-- @tparam[opt="k1"] string estimator "k1" (unbiased), "k2" (low variance), "k3" (both; never below 0)
-- @treturn tensor in nats, differentiable by logp
-- @raise on another estimator
function M.kl(logp, ref, estimator)
  local f = estimators[estimator or "k1"]
  if not f then error(("ppo.kl: estimator 'k1', 'k2' or 'k3' wanted, got '%s'"):format(tostring(estimator)), 2) end
  return f(logp - ref)
end

local function kl_of(roll, options)
  if not roll.ref_logp then error("ppo.advantages: call roll:reference(model) first", 3) end
  if options.estimator == "exact" then
    if not options.policy then error("ppo.advantages: estimator 'exact' wants the option policy", 3) end
    return roll:exact_kl(options.policy, roll.reference_model)
  end
  return M.kl(roll.logp, roll.ref_logp, options.estimator)
end

-- The scores with what a missing end does to them.
local function final_scores(roll, missing)
  local list = {}
  for r, score in ipairs(roll.scores) do
    if not roll.ended[r] then
      score = missing.replace or score - (missing.penalty or 0)
    end
    list[r] = score
  end
  return list
end

-- Rewards of all places: -beta KL at each token, and the score at the last token or one place past it.
local function rewards_of(roll, kl, scores, options)
  local rewards, at, token = {}, 0, 0
  local per_token = kl:totable()
  for r, n in ipairs(roll.lengths) do
    local places = roll:places(r)
    for t = 1, places do
      rewards[at + t] = t <= n and 0 - options.beta * per_token[token + t] or 0
    end
    local here = options.score_at == "past" and places or n
    rewards[at + here] = rewards[at + here] + scores[r]
    at, token = at + places, token + n
  end
  return core.tensor(rewards)
end

-- The first lengths[r] of places[r] places of each row: the places of tokens.
local function token_places(lengths, places)
  local index, at = {}, 0
  for r, n in ipairs(lengths) do
    for t = 0, n - 1 do index[#index + 1] = at + t end
    at = at + places[r]
  end
  return rollout.i64(index)
end

-- Rewards (whitened or not), returns and whitened advantages of rows that stand end to end.
local function estimate(raw, values, lengths, places, how)
  local rewards = how.whiten_rewards and (core.whiten(raw, true, how.population)) or raw
  local plain, returns = core.gae(rewards, values, places, how.gamma, how.lambda)
  local advantages = core.whiten(ops.index_select(plain, token_places(lengths, places), 1), false, how.population)
  return rewards, returns, advantages
end

local function check_advantages(roll, options, level)
  if not roll.scores then error("ppo.advantages: call roll:score(rm) first", level + 1) end
  if not roll.value then error("ppo.advantages: call roll:values(critic) first", level + 1) end
  if options.per ~= "rollout" and options.per ~= "minibatch" then
    error(("ppo.advantages: per: 'rollout' or 'minibatch' wanted, got '%s'"):format(options.per), level + 1)
  end
end

--- Rewards, returns and advantages of a rollout: -beta KL at every token, the score at the end, generalized
-- advantage estimation, advantages whitened over all tokens.
-- @tparam rollout roll with scores, reference and values
-- @tparam[opt] table options `beta` = 0.05, `gamma` = 1, `lambda` = 0.95, `estimator` = "k1" ("k2", "k3", or "exact":
--   over the whole vocabulary, with `policy`), `score_at` = "last" (or "past": one place past the last token where
--   there is room), `whiten_rewards` = false (true: as Ziegler et al. do; it makes each token cost something where scores
--   are above 0, and answers shrink), `missing_end` = {} (`penalty` is taken off, or `replace` put in place of, the score of a response without end),
--   `per` = "rollout" (or "minibatch": whitening and estimation are done anew over each minibatch, as OpenAI's code
--   does), `population` = false (whitening divides by the population's variance instead of the unbiased one)
-- @treturn table `kl` (nats) and `advantages` [tokens], `rewards`, `returns` [places], `scores` (list), `beta`.
--   Advantages: Schulman et al. 2016
-- @raise when the rollout lacks scores, reference or values, and on unknown options
function M.advantages(roll, options)
  options = option.check(options, {beta = 0.05, gamma = 1, lambda = 0.95, estimator = "k1", score_at = "last",
    whiten_rewards = false, missing_end = option.optional, policy = option.optional, per = "rollout",
    population = false}, "ppo.advantages", 2)
  check_advantages(roll, options, 2)
  local scope <close> = core.scope()
  local kl = core.no_grad(function() return kl_of(roll, options) end)
  local scores = final_scores(roll, options.missing_end or {})
  local raw = rewards_of(roll, kl, scores, options)
  local how = {gamma = options.gamma, lambda = options.lambda, population = options.population,
               whiten_rewards = options.whiten_rewards}
  local rewards, returns, advantages = estimate(raw, roll.value, roll.lengths, roll:place_counts(), how)
  local made = {kl = kl, advantages = advantages, rewards = rewards, returns = returns, scores = scores,
                beta = options.beta, raw = raw, again = options.per == "minibatch" and how or nil}
  core.unscoped(kl, advantages, rewards, returns, raw)
  roll.advantages_made = made
  return made
end

-- Parts of flat tensors that belong to some rows.
local function select(x, counts, rows)
  local starts, at, index = {}, 0, {}
  for r, n in ipairs(counts) do starts[r], at = at, at + n end
  for _, r in ipairs(rows) do
    for t = 0, counts[r] - 1 do index[#index + 1] = starts[r] + t end
  end
  return ops.index_select(x, rollout.i64(index), 1)
end

local function of_rows(counts, rows)
  local list = {}
  for i, r in ipairs(rows) do list[i] = counts[r] end
  return list
end

local function minibatch(roll, adv, rows)
  local places = roll:place_counts()
  local b, value_rows = roll:batch(rows)
  local mb = {rows = rows, batch = b, value_rows = value_rows, divisor = roll.divisor,
              old = select(roll.logp, roll.lengths, rows), values = select(roll.value, places, rows)}
  if adv.again then
    local _
    _, mb.returns, mb.advantages = estimate(select(adv.raw, places, rows), mb.values, of_rows(roll.lengths, rows),
                                            of_rows(places, rows), adv.again)
  else
    mb.returns, mb.advantages = select(adv.returns, places, rows), select(adv.advantages, roll.lengths, rows)
  end
  return mb
end

--- Minibatches of a rollout, in an order that depends on the seed alone; also `roll:minibatches(adv, options)`.
-- @tparam rollout roll
-- @tparam table adv of ppo.advantages
-- @tparam[opt] table options `size` (rows; default all), `seed` = 1, `shuffle` = true
-- @return an iterator that gives minibatches, for ppo.loss
function M.minibatches(roll, adv, options)
  options = option.check(options, {size = #roll, seed = 1, shuffle = true}, "roll:minibatches", 2)
  local order = permutation(#roll, options.seed)
  if not options.shuffle then for i = 1, #roll do order[i] = i end end
  local at = 0
  return function()
    if at >= #order then return nil end
    local rows = table.move(order, at + 1, math.min(at + options.size, #order), 1, {})
    at = at + options.size
    return minibatch(roll, adv, rows)
  end
end
rollout.methods.minibatches = M.minibatches

--- PPO's loss on a minibatch: clipped policy loss, plus vf times the clipped value loss.
-- @tparam model policy
-- @tparam critic critic a reward model used token by token (ppo.critic)
-- @tparam table mb from roll:minibatches
-- @tparam[opt] table options `clip` = 0.2 (the ratio counts from 1 - clip to 1 + clip), `value_clip` = 0.2 (from the
--   rollout's value), `vf` = 0.1
-- @return loss (a scalar tensor); `{policy =, value =, approxkl =, clipfrac =, ratio =, worst_ratio =, value_clipfrac =,
--   value_error =, entropy =, tokens =}` as numbers
function M.loss(policy, critic, mb, options)
  options = option.check(options, {clip = 0.2, value_clip = 0.2, vf = 0.1}, "ppo.loss", 2)
  local scope <close> = core.scope()
  local b = mb.batch
  local logp, entropy = ops.logprob_head(policy:forward(b), policy:head(), b.rows, b.targets, {scale = 1 / mb.divisor})
  local policy_loss, p = ops.policy_loss(logp, mb.old, mb.advantages, {clip = options.clip})
  local value_loss, v = ops.value_loss(critic:token_values(b, mb.value_rows), mb.values, mb.returns, {clip = options.value_clip})
  local loss = policy_loss + value_loss * options.vf
  p, v = p:totable(), v:totable()
  return scope:keep(loss), {policy = policy_loss:item(), value = value_loss:item(), approxkl = p[1], clipfrac = p[2],
    ratio = p[3], worst_ratio = p[4], value_clipfrac = v[1], value_error = v[2], entropy = entropy:detach():mean():item(),
    tokens = #mb.old}
end

--- A critic that shares the policy's trunk, as in Ziegler et al. 2019; its own is only a head of zeros. Its loss teaches
-- the trunk too; an optimizer over both takes the policy's parameters and the critic's head_parameters().
-- @tparam model policy
-- @treturn critic
function M.shared_critic(policy)
  local critic = reward_model(policy, {activation = "none"})
  core.no_grad(function() critic.head[1].weight:fill_(0) end)
  return critic
end

--- A critic: a value at every place of a response.
-- @tparam model|reward_model from a reward model whose head is plain linear on the last token lends trunk and head;
--   another's trunk, or a language model, gets a head of zeros. Copied, so that training leaves the original alone.
-- @treturn critic
function M.critic(from)
  local plain = reward_model.is(from) and from:is_plain()
  if plain then
    local copy = from:clone()
    copy.activation = "none"
    return copy
  end
  local trunk = reward_model.is(from) and from.base or from
  return M.shared_critic(trunk:clone())
end

--- The next coefficient of an adaptive KL penalty. Ziegler et al. 2019: beta (1 + clip(kl / target - 1, -0.2, 0.2) n / horizon).
-- @tparam number beta
-- @tparam number kl measured: summed over tokens, mean over rows
-- @tparam table options `target`, `horizon` = 10000, `n` (rows measured)
-- @treturn number
function M.adapt(beta, kl, options)
  options = option.check(options, {target = option.required, horizon = 10000, n = option.required}, "ppo.adapt", 2)
  local e = math.max(-0.2, math.min(0.2, kl / options.target - 1))
  return beta * (1 + e * options.n / options.horizon)
end

return M
