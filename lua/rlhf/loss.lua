--- The loss of rankings. Those that are operations (cross_entropy, policy_loss, value_loss, ...) stand under *operations*.
-- @module rlhf.loss
local core = require "rlhf.core"
local option = require "rlhf.option"
local rank = require "rlhf.rank"

local M = {}

local function i64(list) return core.tensor(list, {dtype = "i64"}) end

-- Pairs of all prompts as places in scores (from 0), each prompt's pairs weighing 1 together.
local function collect(ranks)
  local all = {better = {}, worse = {}, weight = {}, k = {}}
  local at, prompts = 0, 0
  for _, list in ipairs(ranks) do
    local pairs_of = rank.pairs(list)
    prompts = prompts + (#pairs_of > 0 and 1 or 0)
    for _, p in ipairs(pairs_of) do
      local n = #all.better + 1
      all.better[n], all.worse[n], all.weight[n], all.k[n] = at + p[1] - 1, at + p[2] - 1, 1 / #pairs_of, #list
    end
    at = at + #list
  end
  for i, w in ipairs(all.weight) do all.weight[i] = w / prompts end
  return all, at, prompts
end

--- The reward model's loss over rankings (Ouyang et al. 2022): the mean over prompts of the mean over a prompt's
-- pairs of -log sigmoid(score(better) - score(worse)). Each prompt weighs 1, whatever its K(K-1)/2 pairs; ties and
-- unranked responses make none.
-- @tparam tensor scores [n], the responses of all prompts one after another
-- @tparam table ranks one list for each prompt: the rank of each of its responses, smaller is better
-- @tparam[opt] table options `center` = 0: adds center * (better + worse)^2 to each pair
-- @return loss (a scalar tensor), and `{pairs =, prompts =, better =, worse =, k =}`: the pairs' places in scores, from
--   1, and of how many responses each one's prompt has
-- @raise when the numbers of scores and ranks differ, or when there is no pair at all
function M.ranking(scores, ranks, options)
  options = option.check(options, {center = 0}, "rlhf.loss.ranking", 2)
  if type(ranks) ~= "table" or type(ranks[1]) ~= "table" then
    error("rlhf.loss.ranking: ranks: one list for each prompt wanted", 2)
  end
  local all, n, prompts = collect(ranks)
  if n ~= #scores then
    error(("rlhf.loss.ranking: ranks of %d responses, scores of %d"):format(n, #scores), 2)
  end
  if prompts == 0 then error("rlhf.loss.ranking: no pair: every response is tied or unranked", 2) end
  local scope <close> = core.scope()
  local loss = core.ops.pairwise_loss(scores, i64(all.better), i64(all.worse), core.tensor(all.weight),
                                      {center = options.center})
  for i = 1, #all.better do all.better[i], all.worse[i] = all.better[i] + 1, all.worse[i] + 1 end
  return scope:keep(loss), {pairs = #all.better, prompts = prompts, better = all.better, worse = all.worse, k = all.k}
end

return M
