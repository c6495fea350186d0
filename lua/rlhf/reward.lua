--- The reward model's trainer: from people's rankings of several responses to scores.
--
--     rlhf.reward{model = rm, data = rankings, epochs = 1}:run()
--
-- The loss is rlhf.loss.ranking's (Ouyang et al. 2022). All pairs of a prompt are in one step and weigh 1 together;
-- each response goes through the model once, and the prompt once for all of them. Rests on rlhf.trainer,
-- rlhf.reward_model and rlhf.loss.
-- @module rlhf.reward
local core = require "rlhf.core"
local option = require "rlhf.option"
local batch = require "rlhf.batch"
local losses = require "rlhf.loss"
local optim = require "rlhf.optim"
local order = require "rlhf.order"
local rank = require "rlhf.rank"
local schedules = require "rlhf.schedule"
local source = require "rlhf.data.source"
local trainer = require "rlhf.trainer"

local M = {}

local defaults = {
  model = option.required, data = option.required, eval = option.optional, epochs = 1, prompts = 8, lr = 1e-4,
  schedule = "linear", warmup = 0, clip = 1.0, weight_decay = 0.0, loss_on = "logit", center = 0.0, seed = 0,
  max_length = option.optional, output = option.optional, resume = false, log_every = 10, save_every = option.optional,
  quiet = false,
}

-- ---- rows to ids ----

local function last_part(ids, n) return #ids <= n and ids or table.move(ids, #ids - n + 1, #ids, 1, {}) end

--- A ranking row as a tree of ids: the prompt, and each response with its end token. What is too long is cut: the
-- responses' ends, then the prompt's beginning.
-- @tparam reward_model rm
-- @tparam table row `{instruction, input, responses, ranking}` (texts, or lists of ids)
-- @tparam[opt] int max_length tokens of prompt and response together (default: the model's context)
-- @treturn table `{prompt =, responses =, ranking =}` of ids
-- @raise on texts where the reward model has no tokenizer
function M.encode(rm, row, max_length)
  local most = math.min(max_length or math.huge, rm.base.settings.context)
  local place = source.where(row) or "a ranking"
  local prompt = rm:encode_prompt(row, place)
  local responses, longest = {}, 0
  for i, response in ipairs(row.responses) do
    responses[i] = rm:encode_response(response, ("%s: response %d"):format(place, i), most - 1)
    longest = math.max(longest, #responses[i])
  end
  return {prompt = last_part(prompt, most - longest), responses = responses, ranking = row.ranking}
end

-- ---- scoring and counting ----

-- One batch for a group of encoded rows: trees, whose leaves are the responses.
local function batch_of(rows)
  local leaves, segment = {}, 0
  for _, row in ipairs(rows) do
    for i = 1, #row.responses do leaves[#leaves + 1] = segment + i end
    segment = segment + 1 + #row.responses
  end
  return batch.trees(rows), leaves
end

local function ranks_of(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row.ranking end
  return list
end

-- Sums over pairs and scores, from which metrics are made.
local function count(into, scores, pairs_of)
  for _, s in ipairs(scores) do
    into.n = into.n + 1
    into.sum, into.squares = into.sum + s, into.squares + s * s
    into.low, into.high = math.min(into.low, s), math.max(into.high, s)
  end
  for p = 1, pairs_of.pairs do
    local gap = scores[pairs_of.better[p]] - scores[pairs_of.worse[p]]
    local right, k = gap > 0 and 1 or 0, pairs_of.k[p]
    into.pairs, into.right, into.margin = into.pairs + 1, into.right + right, into.margin + gap
    into.by_k[k] = into.by_k[k] or {right = 0, pairs = 0}
    into.by_k[k].right, into.by_k[k].pairs = into.by_k[k].right + right, into.by_k[k].pairs + 1
  end
end

local function counter()
  return {n = 0, sum = 0, squares = 0, low = math.huge, high = -math.huge, pairs = 0, right = 0, margin = 0, by_k = {},
          loss = 0, batches = 0}
end

local function metrics_of(c, prefix)
  local mean = c.sum / c.n
  local m = {
    [prefix .. "loss"] = c.loss / c.batches, [prefix .. "accuracy"] = c.right / c.pairs,
    [prefix .. "margin"] = c.margin / c.pairs, [prefix .. "mean_reward"] = mean, [prefix .. "min_reward"] = c.low,
    [prefix .. "max_reward"] = c.high, [prefix .. "std_reward"] = math.sqrt(math.max(0, c.squares / c.n - mean * mean)),
  }
  for k, of in pairs(c.by_k) do m[("%saccuracy_k%d"):format(prefix, k)] = of.right / of.pairs end
  return m
end

-- The loss of a group of rows, on what the sigmoid takes or gives; counts scores as they are reported.
local function loss_of(rm, rows, options, c)
  local scope <close> = core.scope()
  local b, leaves = batch_of(rows)
  local closing <close> = b
  local z = rm:score_batch(b, leaves, {logit = true})
  local s = rm.activation == "sigmoid" and z:sigmoid() or z
  local taken = options.loss_on == "score" and s or z
  local loss, pairs_of = losses.ranking(taken, ranks_of(rows), {center = options.center})
  count(c, s:totable(), pairs_of)
  c.loss, c.batches = c.loss + loss:item(), c.batches + 1
  return scope:keep(loss), b.tokens
end

local function rankable(row) return #rank.pairs(row.ranking, #row.responses) > 0 end

local function encode_all(rm, data, options)
  local list, dropped = {}, 0
  for row in source.of(data, "reward")(1) do
    if rankable(row) then list[#list + 1] = M.encode(rm, row, options.max_length) else dropped = dropped + 1 end
  end
  return list, dropped
end

--- Accuracy, margin, scores and loss over rankings, without training.
-- @tparam reward_model rm
-- @tparam source|table data ranking rows
-- @tparam[opt] table options `loss_on` = "logit" or "score", `prompts` = 8 (in a batch), `max_length` (tokens),
--   `center` = 0
-- @treturn table metrics `loss`, `accuracy` (share of pairs; ties of scores count as wrong), `accuracy_k4` ... by the
--   number of responses, `margin` (mean difference of a pair's scores), `mean_reward`, `min_reward`, `max_reward`,
--   `std_reward`
-- @raise when no row has a pair
function M.evaluate(rm, data, options)
  options = option.check(options, {loss_on = "logit", prompts = 8, max_length = option.optional, center = 0.0},
    "reward.evaluate", 2)
  local rows, c = encode_all(rm, data, options), counter()
  if #rows == 0 then error("reward.evaluate: no row with a pair", 2) end
  core.no_grad(function()
    for at = 1, #rows, options.prompts do
      loss_of(rm, table.move(rows, at, math.min(at + options.prompts - 1, #rows), 1, {}), options, c)
    end
  end)
  return metrics_of(c, "")
end

-- ---- the trainer ----

-- The rows of a step: epoch by epoch, each in an order of its own that depends on the seed alone.
local function rows_of_step(self, n)
  local per_epoch = math.ceil(#self.rows / self.options.prompts)
  local epoch, place = (n - 1) // per_epoch, (n - 1) % per_epoch
  if self.epoch ~= epoch then
    self.epoch, self.order = epoch, order.permutation(#self.rows, self.options.seed, epoch)
  end
  local rows = {}
  for i = place * self.options.prompts + 1, math.min((place + 1) * self.options.prompts, #self.rows) do
    rows[#rows + 1] = self.rows[self.order[i]]
  end
  return rows, (n - 1) / per_epoch
end

local function step(self, n)
  local c, o = counter(), self.options
  local rows, epoch = rows_of_step(self, n)
  local loss, tokens = loss_of(o.model, rows, o, c)
  loss:backward()
  loss:close()
  self.tokens = self.tokens + tokens
  local norm = self.optimizer:clip(o.clip)
  local lr = o.lr * self.schedule(n - 1)
  local ok, reason = self.optimizer:step(lr)
  if not ok then return nil, reason end
  local m = metrics_of(c, "")
  m.grad_norm, m.learning_rate, m.epoch, m.num_tokens = norm, lr, epoch, self.tokens
  if self.eval and n == self.total then
    for key, v in pairs(M.evaluate(o.model, self.eval, {loss_on = o.loss_on, max_length = o.max_length})) do
      m["eval_" .. key] = v
    end
  end
  return m
end

local function check(options)
  local o = option.check(options, defaults, "rlhf.reward", 3)
  if o.loss_on ~= "logit" and o.loss_on ~= "score" then
    error(("rlhf.reward: loss_on: 'logit' or 'score' wanted, got '%s'"):format(o.loss_on), 3)
  end
  if not schedules[o.schedule] then
    error(("rlhf.reward: schedule: 'constant', 'linear' or 'cosine' wanted, got '%s'"):format(o.schedule), 3)
  end
  return o
end

--- A trainer of a reward model.
-- @function reward
-- @tparam table options
--
--   * `model`: a reward model, trained in place
--   * `data`: rankings, a source or a list of rows as rlhf.data.rankings gives them; `eval`: rows held back, measured
--     at the end
--   * `epochs` = 1; `prompts` = 8: in a step; `max_length`: tokens of prompt and response, by default the model's context
--   * `lr` = 1e-4; `schedule` = "linear", "cosine" or "constant"; `warmup` = 0 steps; `clip` = 1: largest norm of the
--     gradient; `weight_decay` = 0; `seed` = 0 of the order of rows
--   * `loss_on` = "logit": the pairwise loss of what the sigmoid takes; "score": of what it gives, whose floor is 0.313
--     and whose gradients fade at both ends. On rankings of 4 to 9 by a rule (3 seeds, 8 epochs) the first ranks
--     99.9 % of held-back pairs rightly, the second 98.1 %, with scores pushed closer to 0 and 1. Scores are reported
--     in 0..1 either way
--   * `center` = 0: adds center (better + worse)^2 to each pair's loss (Eisenstein et al. 2023)
--   * `output`: folder of metrics, checkpoints (each `save_every` steps and at the end) and of the trained model;
--     `resume` = false: go on from its checkpoint; `log_every` = 10, `quiet` = false
-- @treturn trainer see rlhf.trainer. Metrics: those of evaluate over the step's pairs, those of `eval` with `eval_`
--   before them, `grad_norm`, `learning_rate`, `epoch`, `num_tokens`
-- @raise on unknown or impossible options, on rows without a pair or with texts where there is no tokenizer
function M.make(options)
  local o = check(options)
  local rows, dropped = encode_all(o.model, o.data, o)
  if #rows == 0 then error("rlhf.reward: no row of data has a pair of responses that differ in rank", 2) end
  local self = {options = o, rows = rows, eval = o.eval, tokens = 0}
  self.total = o.epochs * math.ceil(#rows / o.prompts)
  self.optimizer = optim.adamw(o.model:parameters(), {lr = o.lr, weight_decay = o.weight_decay})
  self.schedule = schedules[o.schedule] {warmup = o.warmup, total = self.total}
  local t = trainer.new {
    name = "reward", options = trainer.shown(o, {model = o.model}), total_steps = self.total, step = function(n) return step(self, n) end,
    models = {model = o.model}, optimizers = {model = self.optimizer},
    state = function() return {tokens = self.tokens} end, load_state = function(s) self.tokens = s.tokens end,
    save = function(folder) return o.model:save(folder) end, output = o.output, resume = o.resume,
    log_every = o.log_every, save_every = o.save_every, quiet = o.quiet, keys = {"loss", "accuracy", "margin"},
  }
  if dropped > 0 then t:warn("dropped", ("%d rows without a pair are left out"):format(dropped)) end
  return t
end

return setmetatable(M, {__call = function(_, options) return M.make(options) end})
