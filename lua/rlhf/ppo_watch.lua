--- What PPO's trainer tells of a step: metrics under TRL's names, over real tokens alone, and warnings in words.
-- @module rlhf.ppo_watch
local M = {}

local function mean(list, key)
  local sum = 0
  for _, x in ipairs(list) do sum = sum + (key and x[key] or x) end
  return sum / #list
end

local function variance(list, key)
  local m, sum = mean(list, key), 0
  for _, x in ipairs(list) do sum = sum + ((key and x[key] or x) - m) ^ 2 end
  return #list > 1 and sum / (#list - 1) or 0
end

-- 1 - var(returns - values) / var(returns): how much of the returns the critic foresaw.
local function explained(returns, values)
  local residual = {}
  for i, r in ipairs(returns) do residual[i] = r - values[i] end
  local all = variance(returns)
  return all > 0 and 1 - variance(residual) / all or 0
end

--- Metrics of an update.
-- @tparam rollout roll
-- @tparam table adv of ppo.advantages
-- @tparam table sums `list`: the numbers of every minibatch, `first`: of the first
-- @treturn table
function M.metrics(roll, adv, sums)
  local rows, ended = #roll, 0
  for _, e in ipairs(roll.ended) do ended = ended + (e and 1 or 0) end
  local kl = adv.kl:sum():item() / rows
  local scores, list = mean(adv.scores), sums.list
  return {
    ["objective/kl"] = kl, ["objective/entropy"] = roll.entropy:sum():item() / rows,
    ["objective/non_score_reward"] = -adv.beta * kl, ["objective/scores"] = scores,
    ["objective/rlhf_reward"] = scores - adv.beta * kl, ["objective/scores_std"] = math.sqrt(variance(adv.scores)),
    ["policy/approxkl_avg"] = mean(list, "approxkl"), ["policy/clipfrac_avg"] = mean(list, "clipfrac"),
    ["policy/entropy_avg"] = mean(list, "entropy"), ["loss/policy_avg"] = mean(list, "policy"),
    ["loss/value_avg"] = mean(list, "value"), ["val/clipfrac_avg"] = mean(list, "value_clipfrac"),
    ["val/ratio"] = mean(list, "ratio"), ["val/ratio_var"] = variance(list, "ratio"), ["val/num_eos_tokens"] = ended,
    ["val/explained_variance"] = explained(adv.returns:totable(), roll.value:totable()),
    ["val/first_ratio"] = sums.first.worst_ratio, ["completions/mean_length"] = mean(roll.lengths),
    ["completions/ended"] = ended / rows, grad_norm = mean(list, "grad_norm"),
  }
end

--- Warnings that need no step.
function M.before(self)
  local tok = self.o.tokenizer
  if tok and tok:pad() and tok:pad() == tok:eos() then
    self.trainer:warn("pad", "the tokenizer's pad token is its end token: nothing here pads, but other tools that "
      .. "read the saved folder may then never learn to end")
  end
end

local function warn_of_kl(self, m)
  if m["objective/kl"] < 0 and self.o.kl.estimator ~= "k3" then
    self.trainer:warn("kl", ("the measured KL is below 0 (%.4f): an estimate of few tokens may be, but if it stays "
      .. "there, what is sampled is not what is scored"):format(m["objective/kl"]))
  end
  if m["val/first_ratio"] > 1e-3 then
    self.trainer:warn("ratio", ("on the first minibatch a ratio is off 1 by %.2g: the policy that sampled is not the one "
      .. "that learns (temperature, dropout, another forward?)"):format(m["val/first_ratio"]))
  end
end

local function warn_of_scores(self, roll, adv, m)
  local low, high = math.huge, -math.huge
  for _, s in ipairs(adv.scores) do low, high = math.min(low, s), math.max(high, s) end
  local cost = adv.beta * math.abs(m["objective/kl"])
  if high - low > 0 and cost > high - low then
    self.trainer:warn("range", ("the KL costs %.3g a response, the scores range over %.3g: the reward is dwarfed; lower "
      .. "kl.beta, or score by logits"):format(cost, high - low))
  end
  if roll.bounded and (low > 0.98 or high < 0.02) then
    self.trainer:warn("saturated", ("all scores lie between %.3f and %.3f: the sigmoid is saturated, and there is "
      .. "nothing left to tell answers apart"):format(low, high))
  end
  if m["completions/ended"] == 0 then
    self.trainer:warn("ends", ("no answer ended within %d tokens: was an end token trained, and is it among `ends`?")
      :format(roll.max_new_tokens))
  end
end

--- Warnings of an update, each once.
function M.warn(self, roll, adv, _, m)
  warn_of_kl(self, m)
  warn_of_scores(self, roll, adv, m)
end

return M
