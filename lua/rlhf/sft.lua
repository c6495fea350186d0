--- Instruction tuning: next-token cross-entropy over the trained tokens of rows, in ragged batches. A step is one
-- or several batches; its loss is the sum over all of their trained tokens divided by the number of these, so that
-- how rows are cut into batches changes results by rounding alone. Rests on rlhf.trainer and rlhf.data.
-- The first step of Ouyang et al. 2022.
-- @module rlhf.sft
local core = require "rlhf.core"
local option = require "rlhf.option"
local batch = require "rlhf.batch"
local data = require "rlhf.data"
local folder = require "rlhf.folder"
local optim = require "rlhf.optim"
local schedule = require "rlhf.schedule"
local trainer = require "rlhf.trainer"

local known = {
  model = option.required, tokenizer = option.optional, data = option.required, eval = option.optional,
  template = option.optional, max_length = option.optional, epochs = 1, batch_tokens = 4096, accumulate = 1,
  shuffle = true, seed = 0, lr = 2e-5, schedule = "cosine", warmup = 0, clip = 1, weight_decay = 0,
  betas = option.optional, on_bad_row = "error", output = option.optional, resume = false, save_every = option.optional,
  eval_every = option.optional, log_every = 10, quiet = false,
}

local SHUFFLE_BUFFER = 10000 -- rows

-- ---- what is read ----

-- Rows with ids and labels; those that have ids already pass as they are.
local function encoded(source, o)
  if not o.tokenizer then return source end
  return data.instructions(source, o.tokenizer,
    {template = o.template, max_length = o.max_length, on_bad_row = o.on_bad_row})
end

-- A bare iterator can't be gone over again: its rows are held.
local function held(source)
  if type(source) ~= "function" then return source end
  local rows = {}
  for row in source do rows[#rows + 1] = row end
  return data.list(rows)
end

-- Batches of the training data, as the passes have them.
local function training_source(o)
  local rows = encoded(held(o.data), o)
  local mixed = o.shuffle and data.shuffle(rows, {seed = o.seed, buffer = SHUFFLE_BUFFER}) or rows
  return data.batches(mixed, {tokens = o.batch_tokens})
end

-- How many batches each pass has, by going over the data once for each, without training; and steps in all.
local function count_batches(batches, o)
  local counts, steps = {}, 0
  for pass = 1, o.epochs do
    local n = 0
    for _ in batches(pass) do n = n + 1 end
    if n == 0 then error("rlhf.sft: the data has no rows to train on", 4) end
    counts[pass], steps = n, steps + (n + o.accumulate - 1) // o.accumulate
  end
  return counts, steps
end

local function labels_of(rows)
  local ids, labels = {}, {}
  for i, row in ipairs(rows) do ids[i], labels[i] = row.ids, row.labels or row.ids end
  return ids, labels
end

-- Places that are predicted: a sequence's first token is not.
local function trained_in(rows)
  local n = 0
  for _, row in ipairs(rows) do
    local labels = row.labels or row.ids
    for i = 2, #row.ids do
      if labels[i] >= 0 then n = n + 1 end
    end
  end
  return n
end

-- ---- steps ----

-- Loss (a share of the step's), and right predictions of one batch.
local function forward(model, rows, divide)
  local ids, labels = labels_of(rows)
  local b <close> = batch.sequences(ids, {labels = labels})
  local loss, _, hit = model:loss(b, {divide = divide})
  return loss, hit
end

local function count_hits(hit)
  local n = 0
  for _, h in ipairs(hit:totable()) do
    if h == true or h == 1 then n = n + 1 end
  end
  return n
end

--- Mean loss over a source's trained tokens, and the share that was predicted right.
local function evaluate(model, batches)
  local loss_sum, hits, tokens = 0, 0, 0
  core.no_grad(function()
    for rows in batches(1) do
      local scope <close> = core.scope()
      local loss, hit = forward(model, rows, 1)
      loss_sum, hits, tokens = loss_sum + loss:item(), hits + count_hits(hit), tokens + trained_in(rows)
    end
  end)
  if tokens == 0 then error("rlhf.sft: the evaluation data has no trained tokens", 0) end
  return loss_sum / tokens, hits / tokens
end

local Run = {}
Run.__index = Run

-- The batches of one step; fewer at the end of a pass.
function Run:draw()
  local list, trained = {}, 0
  repeat
    local rows = self.cursor:next()
    list[#list + 1] = rows
    trained = trained + trained_in(rows)
    self.left = self.left - 1
  until #list == self.options.accumulate or self.left == 0
  return list, trained
end

-- Gradients of a step's batches: loss, right predictions, tokens.
function Run:gradients(list, trained)
  local total, hits, tokens = 0, 0, 0
  for _, rows in ipairs(list) do
    local scope <close> = core.scope()
    local loss, hit = forward(self.options.model, rows, trained)
    loss:backward()
    total, hits = total + loss:item(), hits + count_hits(hit)
    for _, row in ipairs(rows) do tokens = tokens + #row.ids end
  end
  return total, hits, tokens
end

function Run:step(n)
  local o, opt = self.options, self.optimizer
  if self.left == 0 then self.pass, self.left = self.pass + 1, self.counts[self.pass + 1] end
  local list, trained = self:draw()
  if trained == 0 then return nil, "no trained token" end
  local loss, hits, tokens = self:gradients(list, trained)
  self.tokens = self.tokens + tokens
  local lr = o.lr * self.schedule(n - 1)
  local norm = opt:clip(o.clip > 0 and o.clip or math.huge)
  local ok, reason = opt:step(lr)
  if not ok then
    opt:zero_grad()
    return nil, reason
  end
  local metrics = {loss = loss, mean_token_accuracy = hits / trained, grad_norm = norm, learning_rate = lr,
                   epoch = self.pass - self.left / self.counts[self.pass], num_tokens = self.tokens}
  local due = o.eval_every and n % o.eval_every == 0 or n == self.total
  if self.eval and due then metrics.eval_loss, metrics.eval_mean_token_accuracy = evaluate(o.model, self.eval) end
  return metrics
end

function Run:state()
  return {position = self.cursor:position(), pass = self.pass, left = self.left, tokens = self.tokens}
end

function Run:load_state(s)
  self.cursor:seek(s.position)
  self.pass, self.left, self.tokens = s.pass, s.left, s.tokens
end

-- ---- the trainer ----

local function check_count(o, key)
  if math.type(o[key]) ~= "integer" or o[key] < 1 then
    error(("rlhf.sft: %s: a whole number from 1 wanted, got %s"):format(key, tostring(o[key])), 4)
  end
end

local function check(options)
  local o = option.check(options, known, "rlhf.sft", 3)
  for _, key in ipairs {"epochs", "accumulate", "batch_tokens"} do check_count(o, key) end
  if o.eval_every then check_count(o, "eval_every") end
  if o.schedule ~= "cosine" and o.schedule ~= "linear" and o.schedule ~= "constant" then
    error(("rlhf.sft: schedule: 'cosine', 'linear' or 'constant' wanted, got '%s'"):format(o.schedule), 3)
  end
  if math.type(o.warmup) ~= "integer" and not (o.warmup >= 0 and o.warmup < 1) then
    error("rlhf.sft: warmup: a number of steps, or a share below 1, wanted, got " .. o.warmup, 3)
  end
  return o
end

local function new_run(o)
  local batches = training_source(o)
  local counts, total = count_batches(batches, o)
  local warmup = math.type(o.warmup) == "integer" and o.warmup or math.ceil(o.warmup * total)
  local run = setmetatable({options = o, batches = batches, cursor = data.cursor(batches), counts = counts, pass = 0,
                            left = 0, tokens = 0, total = total}, Run)
  run.schedule = schedule[o.schedule] {warmup = warmup, total = total}
  run.optimizer = optim.adamw(o.model:parameters(), {lr = o.lr, betas = o.betas, weight_decay = o.weight_decay})
  run.eval = o.eval and data.batches(encoded(held(o.eval), o), {tokens = o.batch_tokens})
  return run
end

-- The options as they are shown: without what is no value.

--- A trainer for instruction tuning.
-- @function sft
-- @tparam table options
--
--   * `model`: trained in place
--   * `data`: a source or list of rows as rlhf.data.instructions reads them, with `tokenizer`, `template`, `max_length`
--     (tokens), `on_bad_row` = "error" or "skip"; without `tokenizer` its rows have `ids` and `labels`
--   * `epochs` = 1; `batch_tokens` = 4096: tokens of a batch; `accumulate` = 1: batches of a step
--   * `shuffle` = true, another order in each epoch, by `seed` = 0 (from a buffer of 10,000 rows)
--   * `lr` = 2e-5; `schedule` = "cosine", "linear" or "constant"; `warmup` = 0: steps, or a share of them;
--     `clip` = 1: largest norm of the gradient, 0: any; `weight_decay` = 0; `betas` = {0.9, 0.999}
--   * `eval`: rows held back, a source or a list; measured at the end and every `eval_every` steps
--   * `output`: folder of metrics, checkpoints (each `save_every` steps and at the end) and of the trained model;
--     `resume` = false: go on from its checkpoint
--   * `log_every` = 10, `quiet` = false
-- @treturn trainer `trainer:run()`, or `for step, metrics in trainer:steps() do ... end` (rlhf.trainer). Metrics: `loss`
--   (nats a token), `mean_token_accuracy`, `grad_norm`, `learning_rate`, `epoch`, `num_tokens`; `eval_loss`,
--   `eval_mean_token_accuracy` where it was measured
-- @raise on unknown or impossible options, on bad rows with file and line, when files can't be written
local function sft(options)
  local o = check(options)
  local run = new_run(o)
  local count, messages = run.batches:skipped()
  local self = trainer.new {
    name = "sft", options = trainer.shown(o, {model = o.model, betas = o.betas}), total_steps = run.total, step = function(n) return run:step(n) end,
    models = {model = o.model}, optimizers = {adamw = run.optimizer},
    state = function() return run:state() end, load_state = function(s) run:load_state(s) end,
    save = function(path) return folder.save(path, o.model, o.tokenizer) end,
    output = o.output, resume = o.resume, save_every = o.save_every, log_every = o.log_every, quiet = o.quiet,
    keys = {"loss", "mean_token_accuracy", "grad_norm", "learning_rate", "eval_loss"},
  }
  if count > 0 then self:warn("skipped rows", ("%d rows are left out, the first: %s"):format(count, messages[1])) end
  return self
end

return setmetatable({}, {__call = function(_, options) return sft(options) end})
