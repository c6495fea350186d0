--- Presets of PPO's options: plain tables; what the user gives explicitly wins.
local M = {}

-- TRL 1.12's rules with masked statistics; the score at the last token. Rewards are not whitened: taking the mean off
-- the divided rewards and adding it back undivided, as the formula does, makes every token without a score cost
-- something where scores are above 0, as a sigmoid's are. Policies then learn to stop after a word.
local rlhf = {
  temperature = 1, max_new_tokens = 64, epochs = 4, minibatches = 1, clip = 0.2, value_clip = 0.2, vf = 0.1,
  gamma = 1, lambda = 0.95, kl = {beta = 0.05, estimator = "k1"}, whiten_rewards = false, score_at = "last",
  per = "rollout", population = false, missing_end = {}, lr = 1e-5, schedule = "constant", grad_clip = 1.0, eps = 1e-8, shuffle = true,
}

local function with(base, changes)
  local t = {}
  for key, value in pairs(base) do t[key] = value end
  for key, value in pairs(changes) do t[key] = value end
  return t
end

M.presets = {
  rlhf = rlhf,
  -- the score stands one place past the end where there is room
  trl = with(rlhf, {temperature = 0.7, max_new_tokens = 53, score_at = "past", lr = 3e-6,
                    schedule = "linear"}),
  -- Ziegler et al. 2019: adaptive KL; rewards whitened and advantages estimated in each minibatch, by the population's
  -- variance; a value head of zeros on the policy's own trunk; an answer that doesn't end gets -1 for its score
  openai = with(rlhf, {temperature = 0.7, max_new_tokens = 24, whiten_rewards = true, lr = 1e-5, schedule = "linear",
                       eps = 1e-5, per = "minibatch", population = true, critic = "shared",
                       kl = {beta = 0.15, target = 6, horizon = 10000, estimator = "k1"},
                       missing_end = {replace = -1}}),
}

local function copy(value)
  if type(value) ~= "table" then return value end
  local t = {}
  for key, v in pairs(value) do t[key] = copy(v) end
  return t
end

--- A preset's options, a table of the caller's own.
function M.get(name)
  local preset = M.presets[name]
  if not preset then
    error(("ppo.preset: 'rlhf', 'trl' or 'openai' wanted, got '%s'"):format(tostring(name)), 3)
  end
  return copy(preset)
end

return M
