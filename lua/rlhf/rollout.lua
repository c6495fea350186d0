--- Rollouts: prompts, sampled (or given) responses, and what the models say of every token. Rows are ragged: a
-- response of n tokens has n log-probabilities, and n+1 values and rewards if n < max_new_tokens, else n.
-- @submodule rlhf.ppo
local core = require "rlhf.core"
local batch = require "rlhf.batch"
local ops = core.ops

local M = {}
local Rollout = {}
Rollout.__name = "rlhf.rollout"

local function i64(list) return core.tensor(list, {dtype = "i64"}) end

-- A response up to and with its first end token; second: did it end?
local function cut(ids, ends)
  for i, id in ipairs(ids) do
    if ends[id] then return table.move(ids, 1, i, 1, {}), true end
  end
  return ids, false
end

local function joined(a, b) return table.move(b, 1, #b, #a + 1, table.move(a, 1, #a, 1, {})) end

-- Everything about a choice of rows that batches are made of.
-- positions of predicted tokens and of values in the batch's hidden states, row after row.
local function layout(roll, rows)
  local sequences, labels, value_rows, at = {}, {}, {}, 0
  for i, r in ipairs(rows) do
    local prompt, response = roll.prompts[r], roll.responses[r]
    sequences[i] = joined(prompt, response)
    local label = {}
    for t = 1, #prompt do label[t] = -100 end
    labels[i] = table.move(response, 1, #response, #prompt + 1, label)
    for t = 0, roll:places(r) - 1 do value_rows[#value_rows + 1] = at + #prompt - 1 + t end
    at = at + #sequences[i]
  end
  return batch.sequences(sequences, {labels = labels}), value_rows
end

local CHUNK = 4096 -- tokens of a forward that keeps nothing

-- Rows in runs of at most CHUNK tokens, at least one row each.
local function chunks(roll)
  local list, run, tokens = {}, {}, 0
  for r = 1, #roll.prompts do
    local n = #roll.prompts[r] + #roll.responses[r]
    if #run > 0 and tokens + n > CHUNK then list[#list + 1], run, tokens = run, {}, 0 end
    run[#run + 1] = r
    tokens = tokens + n
  end
  if #run > 0 then list[#list + 1] = run end
  return list
end

-- One flat tensor from a forward over each chunk: f(batch, value_rows) -> tensor(s).
local function over_chunks(roll, f)
  local first, second = {}, {}
  core.no_grad(function()
    for _, rows in ipairs(chunks(roll)) do
      local scope <close> = core.scope()
      local b, value_rows = layout(roll, rows)
      local closing <close> = b
      first[#first + 1], second[#second + 1] = f(b, value_rows)
      scope:keep(first[#first])
      if second[#first] then scope:keep(second[#first]) end
    end
  end)
  return core.unscoped(ops.cat(first, 1)), #second > 0 and core.unscoped(ops.cat(second, 1)) or nil
end

local function logprobs(roll, model, entropy)
  return over_chunks(roll, function(b)
    local scope <close> = core.scope()
    local logp, h = ops.logprob_head(model:forward(b), model:head(), b.rows, b.targets, {scale = 1 / roll.divisor})
    return scope:keep(logp), entropy and scope:keep(h) or nil
  end)
end

--- Makes a rollout. Used by ppo.rollout, which documents it.
-- @local
function M.new(policy, prompts, responses, options)
  local ends = {}
  for _, id in ipairs(options.ends) do ends[id] = true end
  -- the peer divides logits by temperature + 1e-7; equal to rounding, and what its numbers are compared with
  local roll = setmetatable({prompts = prompts, responses = {}, ended = {}, max_new_tokens = options.max_new_tokens,
    temperature = options.temperature, divisor = options.temperature + 1e-7, tokenizer = options.tokenizer,
    rows = options.rows, lengths = {}}, Rollout)
  for r, ids in ipairs(responses) do
    roll.responses[r], roll.ended[r] = cut(ids, ends)
    roll.lengths[r] = #roll.responses[r]
    if roll.lengths[r] == 0 then error(("ppo.rollout: response %d is empty"):format(r), 3) end
  end
  roll.logp, roll.entropy = logprobs(roll, policy, true)
  return roll
end

local methods = {}
M.methods = methods

--- How many places row r has for rewards and values.
-- @function roll:places
-- @tparam int r from 1
-- @treturn int
function methods:places(r)
  return self.lengths[r] + (self.lengths[r] < self.max_new_tokens and 1 or 0)
end

--- Places of all rows.
-- @function roll:place_counts
-- @treturn {int,...}
function methods:place_counts()
  local list = {}
  for r = 1, #self.prompts do list[r] = self:places(r) end
  return list
end

--- Rows as a batch: prompts with their responses.
-- @local
function methods:batch(rows) return layout(self, rows) end

local function text_of(roll, ids) return roll.tokenizer and roll.tokenizer:decode(ids, {skip_special = true}) end

local function sample_of(roll, r)
  return {prompt = text_of(roll, roll.prompts[r]), response = text_of(roll, roll.responses[r]),
          prompt_ids = roll.prompts[r], ids = roll.responses[r], row = roll.rows and roll.rows[r], ended = roll.ended[r]}
end

local function check_score(score, r)
  if type(score) ~= "number" then
    error(("roll:score: the reward of row %d is no number but %s"):format(r, type(score)), 3)
  end
  if score ~= score or score == math.huge or score == -math.huge then
    error(("roll:score: reward is not finite (row %d)"):format(r), 3)
  end
  return score
end

-- Items for a reward model: ids where it shares the policy's tokenizer, else text made anew.
local function items_for(roll, rm)
  local same = not rm.tokenizer or not roll.tokenizer or rm.tokenizer:same(roll.tokenizer)
  local items = {}
  for r = 1, #roll.prompts do
    if same then items[r] = joined(roll.prompts[r], roll.responses[r])
    else items[r] = {prompt = text_of(roll, roll.prompts[r]), response = text_of(roll, roll.responses[r])} end
  end
  return items
end

--- Scores every row: by a reward model, or by a function of a sample `{prompt, response (texts, where there is a
-- tokenizer), prompt_ids, ids, row, ended}` that returns a number.
-- @function roll:score
-- @tparam reward_model|function rm
-- @treturn rollout itself
-- @raise when a function's result is no finite number, with the row
function methods:score(rm)
  local scores = {}
  if type(rm) == "function" then
    for r = 1, #self.prompts do scores[r] = check_score(rm(sample_of(self, r)), r) end
  else
    local items = items_for(self, rm)
    core.no_grad(function()
      for first = 1, #items, 32 do
        for i, s in ipairs(rm:score(table.move(items, first, math.min(first + 31, #items), 1, {})):totable()) do
          scores[first + i - 1] = check_score(s, first + i - 1)
        end
      end
    end)
    self.bounded = rm.activation == "sigmoid"
  end
  self.scores = scores
  return self
end

--- Log-probabilities of the same tokens under the reference model.
-- @function roll:reference
-- @tparam model model
-- @treturn rollout itself
function methods:reference(model)
  self.reference_model = model
  self.ref_logp = logprobs(self, model)
  return self
end

--- The critic's value at every place.
-- @function roll:values
-- @tparam critic critic
-- @treturn rollout itself
function methods:values(critic)
  self.value = over_chunks(self, function(b, value_rows) return critic:token_values(b, value_rows) end)
  return self
end

--- The exact divergence from the reference over the whole vocabulary at each token.
-- @function roll:exact_kl
-- @tparam model policy
-- @tparam model reference
-- @treturn tensor [tokens], in nats
function methods:exact_kl(policy, reference)
  return (over_chunks(self, function(b)
    local scope <close> = core.scope()
    return scope:keep(ops.kl_head(policy:forward(b):detach(), policy:head():detach(), reference:forward(b):detach(),
                                  reference:head():detach(), b.rows, {scale = 1 / self.divisor}))
  end))
end

-- Places of row r's tokens (or values) in a flat list: first, last.
local function range(counts, r)
  local at = 0
  for i = 1, r - 1 do at = at + counts[i] end
  return at + 1, at + counts[r]
end

local function cells(x, first, last)
  if not x then return {} end
  return x:slice(1, first, last):totable()
end

local row_mt = {__name = "rlhf.rollout.row"}

local function cell(x) return x and ("%9.4f"):format(x) or ("%9s"):format "" end

-- A table of a row: token, log-prob, reference, KL, reward, value, advantage, return.
function row_mt:__tostring()
  local lines = {("row %d: %s%s"):format(self.index, self.ended and "ended" or "not ended",
    self.score and (", score %.4f"):format(self.score) or "")}
  lines[2] = ("%-16s %9s %9s %9s %9s %9s %9s %9s"):format("token", "logp", "reference", "kl", "reward", "value", "advantage", "return")
  for t = 1, math.max(#self.ids, #self.rewards, #self.values) do
    lines[#lines + 1] = ("%-16s %s %s %s %s %s %s %s"):format(self.tokens[t] or "(end)", cell(self.logp[t]), cell(self.ref_logp[t]),
      cell(self.kl[t]), cell(self.rewards[t]), cell(self.values[t]), cell(self.advantages[t]), cell(self.returns[t]))
  end
  return table.concat(lines, "\n")
end

local function shown(roll, id)
  local text = roll.tokenizer and roll.tokenizer:token(id) or tostring(id)
  return #text > 16 and text:sub(1, 13) .. "..." or text
end

local function row_of(roll, r)
  local first, last = range(roll.lengths, r)
  local places = roll:place_counts()
  local from, to = range(places, r)
  local adv = roll.advantages_made or {}
  local tokens = {}
  for t, id in ipairs(roll.responses[r]) do tokens[t] = shown(roll, id) end
  return setmetatable({index = r, ids = roll.responses[r], tokens = tokens, ended = roll.ended[r],
    score = roll.scores and roll.scores[r], logp = cells(roll.logp, first, last), ref_logp = cells(roll.ref_logp, first, last),
    kl = cells(adv.kl, first, last), advantages = cells(adv.advantages, first, last), values = cells(roll.value, from, to),
    rewards = cells(adv.rewards, from, to), returns = cells(adv.returns, from, to)}, row_mt)
end

function Rollout:__index(key)
  if math.type(key) == "integer" then
    if key == 0 then error("rows of a rollout count from 1", 2) end
    if key < 0 then key = #self.prompts + 1 + key end
    return self.prompts[key] and row_of(self, key) or nil
  end
  return methods[key]
end

function Rollout:__len() return #self.prompts end

function Rollout:__tostring()
  local tokens, ended = 0, 0
  for r, n in ipairs(self.lengths) do
    tokens = tokens + n
    ended = ended + (self.ended[r] and 1 or 0)
  end
  return ("rollout: %d rows, %d response tokens, %d ended, temperature %g%s%s%s"):format(#self.prompts, tokens, ended,
    self.temperature, self.scores and ", scored" or "", self.ref_logp and ", with reference" or "", self.value and ", with values" or "")
end

M.i64 = i64

return M
