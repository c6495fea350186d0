--- Reward models: a language model's trunk and a small head that gives a response a score.
-- The head is linear, or two layers, on the hidden state of one token (the last, or a chosen one) or on the mean or
-- the largest of all tokens of prompt and response; a sigmoid puts its score between 0 and 1. The trunk may be smaller
-- than the policy, of another architecture, and with another tokenizer.
-- @module rlhf.reward_model
local core = require "rlhf.core"
local option = require "rlhf.option"
local batch = require "rlhf.batch"
local folder = require "rlhf.folder"
local safetensors = require "rlhf.safetensors"
local templates = require "rlhf.data.template"
local ops = core.ops

local M = {}
local Reward = {}
Reward.__index = Reward
Reward.__name = "rlhf.reward_model"

local SETTINGS = "reward_head.json"

local function named(t, name) return t:requires_grad():name(name) end

-- Weights as OpenAI's reward models begin: normal with deviation 1 / sqrt(d + 1); biases 0.
local function layer(out, d, name, seed)
  local weight = core.randn({out, d}, {seed = seed}) * (1 / math.sqrt(d + 1))
  return {weight = named(weight, name .. ".weight"), bias = named(core.zeros {out}, name .. ".bias")}
end

local function new_head(dim, hidden, seed)
  if not hidden then return {layer(1, dim, "score", seed)} end
  return {layer(hidden, dim, "score.0", seed), layer(1, hidden, "score.2", seed + 1)}
end

local poolings = {last = true, mean = true, max = true}

local function check(options)
  if not poolings[options.pooling] and math.type(options.pooling) ~= "integer" or options.pooling == 0 then
    error(("rlhf.reward_model: pooling: 'last', 'mean', 'max' or a token's place wanted, got %s")
      :format(tostring(options.pooling)), 3)
  end
  if options.activation ~= "sigmoid" and options.activation ~= "none" then
    error(("rlhf.reward_model: activation: 'sigmoid' or 'none' wanted, got '%s'"):format(options.activation), 3)
  end
  if options.hidden and (math.type(options.hidden) ~= "integer" or options.hidden < 1) then
    error(("rlhf.reward_model: hidden: a whole number from 1 wanted, got %s"):format(tostring(options.hidden)), 3)
  end
end

local function build(base, head, options)
  return setmetatable({base = base, head = head, tokenizer = options.tokenizer, template = options.template,
                       pooling = options.pooling, activation = options.activation}, Reward)
end

--- A reward model on a language model's trunk, which it uses itself (not a copy), with a new head.
-- @function reward_model
-- @tparam model base
-- @tparam[opt] table options
--
--   * `tokenizer`: for items given as texts
--   * `template`: how an instruction and its input become the prompt: "alpaca", "chat", "plain" or a function, as in
--     rlhf.data.instructions; left out: the two with a line break between
--   * `pooling` = "last", "mean", "max" or a token's place (from 1, or from the end: -2)
--   * `hidden`: size of a hidden layer (with GELU); none by default
--   * `activation` = "sigmoid" (scores in 0..1) or "none"
--   * `seed` = 0: of the head, normal with deviation 1 / sqrt(dim + 1) (Stiennon et al. 2020)
-- @treturn reward_model `rm.base`, `rm.tokenizer`, `rm.pooling`, `rm.activation`
-- @raise on unknown or impossible options
function M.make(base, options)
  options = option.check(options, {tokenizer = option.optional, template = option.optional, pooling = option.optional,
    hidden = option.optional, activation = "sigmoid", seed = 0}, "rlhf.reward_model", 2)
  options.pooling = options.pooling or "last"
  check(options)
  templates.check(options.template, "rlhf.reward_model")
  return build(base, new_head(base.settings.dim, options.hidden, options.seed), options)
end

local function prompt_text(self, item)
  if type(item) ~= "table" then return nil end
  if item.prompt ~= nil then return item.prompt end
  if self.template then return templates.prompt(item, self.template) end
  local input = item.input
  return input and input ~= "" and input ~= core.null and item.instruction .. "\n" .. input or item.instruction
end

local function ids_of(self, part, special, place)
  if type(part) == "table" then return part end
  if type(part) ~= "string" then error(("reward model: %s: ids or {prompt =, response =} wanted"):format(place), 0) end
  if not self.tokenizer then error(("reward model: %s holds text, but there is no tokenizer"):format(place), 0) end
  return self.tokenizer:encode(part, {special = special})
end

--- Ids of a prompt, as training and scoring both take it: with the tokenizer's own beginning.
-- @tparam table item `prompt` (ids, or a text that is taken as it is), or `instruction` and `input`, of which the
--   template makes it
-- @tparam string place for messages
-- @treturn {int,...}
function Reward:encode_prompt(item, place) return ids_of(self, prompt_text(self, item), true, place) end

--- Ids of a response: a text gets the tokenizer's end token, ids are taken as they are.
-- @tparam string|table response
-- @tparam string place for messages
-- @tparam[opt] int most so many tokens, the end token among them; what is longer is cut before it
-- @treturn {int,...}
function Reward:encode_response(response, place, most)
  local ids = ids_of(self, response, false, place)
  local ending = type(response) == "string" and self.tokenizer:eos() or nil
  local kept = table.move(ids, 1, math.min(#ids, (most or math.huge) - (ending and 1 or 0)), 1, {})
  kept[#kept + 1] = ending
  return kept
end

-- The ids of an item: a list of ids, or prompt and response, of ids or texts.
local function encode(self, item, place)
  if type(item) == "table" and type(item[1]) == "number" then return item end
  place = "item " .. place
  local ids, response = self:encode_prompt(item, place), self:encode_response(item.response, place)
  return table.move(response, 1, #response, #ids + 1, table.move(ids, 1, #ids, 1, {}))
end

-- Where the pooled token of a segment stands, counted from 0.
local function place_of(pooling, begin, length)
  if pooling == "last" then return begin + length - 1 end
  local at = pooling > 0 and pooling or length + 1 + pooling
  return begin + math.max(1, math.min(length, at)) - 1
end

local function pool(self, hidden, b, leaves)
  if self.pooling == "mean" or self.pooling == "max" then
    local pooled = ops.segment_pool(hidden, b.segments, {how = self.pooling})
    return ops.index_select(pooled, core.tensor(leaves, {dtype = "i64"}), 1)
  end
  local rows, segments = {}, b.segments:totable()
  for i, leaf in ipairs(leaves) do
    local s = segments[leaf + 1]
    rows[i] = place_of(self.pooling, s[1], s[2])
  end
  return ops.index_select(hidden, core.tensor(rows, {dtype = "i64"}), 1)
end

local function through_head(self, x)
  for i, l in ipairs(self.head) do
    if i > 1 then x = x:gelu() end
    x = ops.linear(x, l.weight, l.bias)
  end
  return x:reshape {#x}
end

--- Scores of a batch's segments.
-- @tparam batch b
-- @tparam table leaves which segments (from 0) to score: with trees the responses, not their prompts
-- @tparam[opt] table options `logit` = false: what the sigmoid takes instead of what it gives
-- @treturn tensor [#leaves], differentiable
function Reward:score_batch(b, leaves, options)
  local scope <close> = core.scope()
  local z = through_head(self, pool(self, self.base:forward(b), b, leaves))
  if self.activation == "sigmoid" and not (options and options.logit) then z = z:sigmoid() end
  return scope:keep(z)
end

--- Scores of items, each forwarded once.
-- @tparam table items list of id lists, or of `{prompt =, response =}` of ids or texts
-- @tparam[opt] table options `logit` = false: what the sigmoid takes instead of what it gives
-- @treturn tensor [#items], differentiable
-- @raise on a text where there is no tokenizer, and on items that are neither
function Reward:score(items, options)
  options = option.check(options, {logit = false}, "rm:score", 2)
  local sequences, leaves = {}, {}
  for i, item in ipairs(items) do
    local ok, ids = pcall(encode, self, item, i)
    if not ok then error(ids, 2) end
    sequences[i], leaves[i] = ids, i - 1
  end
  local b <close> = batch.sequences(sequences)
  return self:score_batch(b, leaves, options)
end

--- The head at chosen tokens: a value for each (critics).
-- @tparam batch b
-- @tparam table rows places in the batch, from 0
-- @treturn tensor [#rows], differentiable
function Reward:token_values(b, rows)
  local scope <close> = core.scope()
  local x = ops.index_select(self.base:forward(b), core.tensor(rows, {dtype = "i64"}), 1)
  return scope:keep(through_head(self, x))
end

--- Is the head plain linear on the last token, so that it means something at every token?
-- @treturn boolean
function Reward:is_plain() return #self.head == 1 and self.pooling == "last" end

--- The trunk's hidden states: as model:hidden.
-- @param input ids, a list of id lists, or a batch
-- @tparam[opt] table options `layer` = -1
-- @return tensor [T, dim] for one sequence, else a list of them
function Reward:hidden(input, options) return self.base:hidden(input, options) end

--- The head's parameters alone.
-- @treturn table list of tensors
function Reward:head_parameters()
  local list = {}
  for _, l in ipairs(self.head) do
    list[#list + 1] = l.weight
    if l.bias then list[#list + 1] = l.bias end
  end
  return list
end

--- The trunk's parameters, then the head's.
-- @treturn table list of tensors
function Reward:parameters()
  local list = self.base:parameters()
  for _, p in ipairs(self:head_parameters()) do list[#list + 1] = p end
  return list
end

--- How many numbers the parameters have.
-- @treturn int
function Reward:count()
  local n = self.base:count()
  for _, p in ipairs(self:head_parameters()) do n = n + p:numel() end
  return n
end

--- A copy with weights of its own, trunk and head.
-- @treturn reward_model
function Reward:clone()
  local head = {}
  for i, l in ipairs(self.head) do
    head[i] = {}
    for key, p in pairs(l) do head[i][key] = named(p:detach():clone(), p:name()) end
  end
  return build(self.base:clone(), head, self)
end

--- Makes the weights constants: nothing computed from them is recorded.
-- @treturn reward_model itself
function Reward:freeze()
  for _, p in ipairs(self:parameters()) do p:requires_grad(false) end
  return self
end

function Reward:__tostring()
  local hidden = #self.head > 1 and (", hidden layer of %d"):format(#self.head[1].weight) or ""
  return ("reward model: pooling %s%s, activation %s, on %s"):format(self.pooling, hidden, self.activation, tostring(self.base))
end

--- Saves trunk, head and tokenizer as a folder; transformers reads it where the head is plain linear on the last token.
-- A template that is a function isn't saved.
-- @tparam string path made if it is not there
-- @tparam[opt] tokenizer tokenizer by default the reward model's
-- @treturn true|nil
-- @treturn ?string the message
function Reward:save(path, tokenizer)
  local items = {}
  for i, p in ipairs(self:parameters()) do items[i] = {name = p:name(), tensor = p} end
  local ok, message = folder.save_parts(path, self.base, items, tokenizer or self.tokenizer, {reward = true})
  if not ok then return nil, message end
  local settings = {pooling = self.pooling, activation = self.activation, layers = #self.head,
                    template = type(self.template) == "string" and self.template or nil}
  return core.write_file(path:gsub("/*$", "/") .. SETTINGS, core.json_encode(settings, {indent = 2}) .. "\n")
end

local function read_settings(base)
  if not core.file_info(base .. SETTINGS) then return {pooling = "last", activation = "none", layers = 1} end
  local text, message = core.read_file(base .. SETTINGS)
  if not text then return nil, message end
  local settings
  settings, message = core.json_decode(text)
  if type(settings) ~= "table" then return nil, base .. SETTINGS .. ": " .. (message or "an object wanted") end
  return settings
end

local function read_layer(reader, name)
  local weight, message = reader:read(name .. ".weight")
  if not weight then return nil, message .. ": a reward model without its head would give random scores" end
  local bias = reader:info(name .. ".bias") and reader:read(name .. ".bias") or nil
  return {weight = named(weight, name .. ".weight"), bias = bias and named(bias, name .. ".bias")}
end

local function read_head(base, layers)
  local reader, message = safetensors.open(base)
  if not reader then return nil, message end
  local closing <close> = reader
  local head = {}
  for i, name in ipairs(layers == 2 and {"score.0", "score.2"} or {"score"}) do
    head[i], message = read_layer(reader, name)
    if not head[i] then return nil, message end
  end
  return head
end

--- Loads a reward model's folder: ours, or a sequence classifier of transformers with one label.
-- @tparam string path
-- @treturn reward_model|nil nil also where the head is missing: it would give random scores
-- @treturn tokenizer|string|nil the tokenizer, or the message
function M.load(path)
  local base = path:gsub("/*$", "/")
  local trunk, tokenizer = folder.load(path)
  if not trunk then return nil, tokenizer end
  local settings, message = read_settings(base)
  if not settings then return nil, message end
  local head
  head, message = read_head(base, settings.layers)
  if not head then return nil, message end
  return build(trunk, head, {tokenizer = tokenizer, pooling = settings.pooling, activation = settings.activation,
                            template = settings.template}), tokenizer
end

--- Is x a reward model?
-- @param x
-- @treturn boolean
function M.is(x) return getmetatable(x) == Reward end

return setmetatable(M, {__call = function(_, base, options) return M.make(base, options) end})
