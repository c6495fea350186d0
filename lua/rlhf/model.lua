--- Language models: one generic decoder, described by settings, with the names of a model folder.
-- `rlhf.model{...}` makes one with random weights, `rlhf.load` one from a folder. `model.settings` has its sizes,
-- `model.tokenizer` the tokenizer of its folder.
-- @module rlhf.model
local core = require "rlhf.core"
local option = require "rlhf.option"
local batch = require "rlhf.batch"
local generate = require "rlhf.generate"
local ops = core.ops

local M = {}
local Model = {}
Model.__index = Model
Model.__name = "rlhf.model"

M.architectures = {gpt2 = require "rlhf.arch.gpt2", llama = require "rlhf.arch.llama"}

-- The name in a model folder of a parameter's plain name.
local function folder_name(arch, plain)
  local layer, role = plain:match "^layers%.(%d+)%.(.+)$"
  if layer then return arch.prefix .. arch.names[role]:format(math.tointeger(layer)) end
  if plain == "head.weight" then return "lm_head.weight" end
  return arch.prefix .. arch.names[plain]
end

local function frequencies(settings)
  if settings.position ~= "rotary" then return nil end
  local rope = settings.rope
  return ops.rope_frequencies {
    head_dim = settings.head_dim, rope_theta = rope.rope_theta, rope_type = rope.rope_type, factor = rope.factor,
    low_freq_factor = rope.low_freq_factor, high_freq_factor = rope.high_freq_factor,
    original_max_position_embeddings = rope.original_max_position_embeddings,
  }
end

--- A model from settings, its weights not set. Used by rlhf.model, rlhf.load and clone.
-- @local
-- @return model, or nil and what is wrong with the settings
function M.new(arch, settings, config)
  local ok, decoder, message
  ok, message = core.decoder_count(settings) -- checks them before anything is made by what they say
  if not ok then return nil, message end
  decoder, message = core.decoder(settings, frequencies(settings))
  if not decoder then return nil, message end
  local self = setmetatable({arch = arch, settings = settings, config = config, decoder = decoder, list = {}}, Model)
  for i, parameter in ipairs(decoder:parameters()) do
    parameter.tensor:name(folder_name(arch, parameter.name))
    self.list[i] = parameter.tensor
  end
  return self
end

-- A batch from a batch, one list of ids, or a list of them; second: it was one list.
local function batch_of(input, what)
  if batch.is(input) then return input end
  if type(input) ~= "table" then error(what .. ": ids, a list of them or a batch wanted, got " .. type(input), 3) end
  local one = type(input[1]) == "number"
  return batch.from_lists(one and {input} or input, {}, what, 4), one
end

-- Errors of the core name what is wrong; their line is to be that of our method's caller.
local function results(ok, ...)
  if ok then return ... end
  error((...), 3)
end

local function call(f, ...) return results(pcall(f, ...)) end

--- Hidden states [N, dim] of a batch's tokens: what `hidden`, `logits` and the losses begin with.
-- @tparam batch b
-- @tparam[opt] int blocks how many of the blocks (default all); 0: the embeddings
-- @tparam[opt=true] boolean final goes through the final norm
-- @treturn tensor [N, dim], differentiable
-- @raise on ids outside of the vocabulary, and on positions outside of a learned context
function Model:forward(b, blocks, final)
  local d = self.decoder
  local x = call(d.forward, d, b.ids, b.positions, b.segments, blocks or self.settings.layers, final ~= false)
  return x
end

-- Parts of x [N, ...] along its first dimension, of the given lengths.
local function parts(x, lengths)
  local out, at = {}, 1
  for i, n in ipairs(lengths) do
    out[i] = x:slice(1, at, at + n - 1)
    at = at + n
  end
  return out
end

local function segment_lengths(b)
  local lengths = {}
  for i, segment in ipairs(b.segments:totable()) do lengths[i] = segment[2] end
  return lengths
end

local function keep(scope, list)
  for _, t in ipairs(list) do scope:keep(t) end
  return list
end

local function head_of(self)
  return self.decoder:head() or error("this model has no output head: it is the trunk of a reward model", 3)
end

--- The output head's weight: the embedding itself where they are tied.
-- @treturn tensor [vocab, dim]
-- @raise when there is none (the trunk of a reward model)
function Model:head() return head_of(self) end

--- The last hidden states, after the final norm; or those of a layer. Differentiable.
-- @param input ids, a list of id lists, or a batch
-- @tparam[opt] table options `layer`: -1 (after the final norm), 0 (the embeddings), n (after block n)
-- @return tensor [T, dim] for one sequence, else a list of them, one for each segment
function Model:hidden(input, options)
  local layer = option.check(options, {layer = -1}, "model:hidden", 2).layer
  if math.type(layer) ~= "integer" or layer < -1 or layer > self.settings.layers then
    error(("model:hidden: layer: -1 to %d wanted, got %s"):format(self.settings.layers, tostring(layer)), 2)
  end
  local b, one = batch_of(input, "model:hidden")
  local closing <close> = b ~= input and b or nil
  local scope <close> = core.scope()
  local x = call(self.forward, self, b, layer >= 0 and layer or nil, layer == -1)
  local list = keep(scope, parts(x, segment_lengths(b)))
  return one and list[1] or list
end

--- Logits of the token behind each token. Differentiable.
-- @param input ids, a list of id lists, or a batch
-- @return tensor [T, vocab] for one sequence, else a list of them, one for each segment
-- @raise as forward, and where there is no output head
function Model:logits(input)
  local b, one = batch_of(input, "model:logits")
  local closing <close> = b ~= input and b or nil
  local scope <close> = core.scope()
  local logits = ops.fused_linear(call(self.forward, self, b), head_of(self))
  local list = keep(scope, parts(logits, segment_lengths(b)))
  return one and list[1] or list
end

--- log p(token t+1 | tokens to t), differentiable; the logits of a batch are never held.
-- @param input ids, a list of id lists, or a batch (for trees: one result for each response)
-- @tparam[opt] table options `temperature` = 1, `entropy` = false
-- @return tensor [T-1] for one sequence, else a list of them, in nats; with `entropy` the same of entropies behind it
-- @raise as logits
function Model:logprobs(input, options)
  options = option.check(options, {temperature = 1, entropy = false}, "model:logprobs", 2)
  if not (options.temperature > 0 and options.temperature < math.huge) then
    error(("model:logprobs: temperature: a number above 0 wanted, got %s"):format(options.temperature), 2)
  end
  local b, one = batch_of(input, "model:logprobs")
  local closing <close> = b ~= input and b or nil
  local scope <close> = core.scope()
  local logp, entropy = call(ops.logprob_head, call(self.forward, self, b), head_of(self), b.rows, b.targets,
                             {scale = 1 / options.temperature})
  local list = keep(scope, parts(logp, b.counts))
  local entropies = options.entropy and keep(scope, parts(entropy, b.counts)) or nil
  if one then return list[1], entropies and entropies[1] end
  return list, entropies
end

Model.generate = generate

--- Cross-entropy over a batch's trained tokens, divided by their number or by `divide`.
-- @tparam batch b
-- @tparam[opt] table options `divide`: the tokens of the whole step, when a step is several batches
-- @return loss (a scalar tensor, in nats), -log p of each trained token [M], and whether each was the likeliest [M]
-- @raise on what is no batch, else as logits
function Model:loss(b, options)
  local divide = option.check(options, {divide = option.optional}, "model:loss", 2).divide
  if not batch.is(b) then error("model:loss: a batch wanted, got " .. type(b), 2) end
  if divide and not (type(divide) == "number" and divide > 0) then
    error("model:loss: divide: a number above 0 wanted, got " .. tostring(divide), 2)
  end
  local scope <close> = core.scope()
  local loss, nll, hit = call(ops.cross_entropy_head, call(self.forward, self, b), head_of(self), b.rows, b.targets,
                              {divide = divide or math.max(1, b.trained)})
  return scope:keep(loss, nll, hit)
end

--- The parameters: leaves, each with its name in a model folder (`p:name()`).
-- @treturn table list of tensors
function Model:parameters()
  return table.move(self.list, 1, #self.list, 1, {})
end

--- Ids that end a sequence, as the model's files say (generation_config.json before config.json).
-- @treturn table list of ids, empty where there are none
function Model:end_ids()
  local ends = (self.generation or {}).eos_token_id
  if ends == nil or ends == core.null then ends = self.config.eos_token_id end
  if ends == nil or ends == core.null then return {} end
  return type(ends) == "table" and ends or {ends}
end

--- How many numbers the parameters have.
-- @treturn int
function Model:count()
  local n = 0
  for _, p in ipairs(self.list) do n = n + p:numel() end
  return n
end

--- A copy with weights of its own, which require gradients.
-- @treturn model
function Model:clone()
  local copy = assert(M.new(self.arch, self.settings, self.config))
  copy.tokenizer, copy.generation = self.tokenizer, self.generation
  core.no_grad(function()
    for i, p in ipairs(self.list) do copy.list[i]:copy_(p) end
  end)
  return copy
end

--- Makes the weights constants: nothing computed from them is recorded.
-- @treturn model itself
function Model:freeze()
  for _, p in ipairs(self.list) do p:requires_grad(false) end
  return self
end

function Model:__tostring()
  local s = self.settings
  return ("%s: %d parameters; %d layers, dim %d, %d heads (%d for keys), hidden %d, vocab %d, context %d"):format(
    self.arch.model_type, self:count(), s.layers, s.dim, s.heads, s.kv_heads, s.hidden, s.vocab, s.context)
end

--- Is x a model?
-- @param x
-- @treturn boolean
function M.is(x) return getmetatable(x) == Model end

local wanted = {"layers", "dim", "heads", "vocab", "context"}
local own = {arch = "llama", layers = option.optional, dim = option.optional, heads = option.optional,
             kv_heads = option.optional, head_dim = option.optional, hidden = option.optional, vocab = option.optional,
             context = option.optional, tied = option.optional, seed = 0, deviation = 0.02}

local function settings_from(options, arch)
  local s = {head = true}
  for key, value in pairs(arch.defaults) do s[key] = value end
  for _, key in ipairs {"layers", "dim", "heads", "kv_heads", "head_dim", "hidden", "vocab", "context", "tied"} do
    if options[key] ~= nil then s[key] = options[key] end
  end
  s.kv_heads = s.kv_heads or s.heads
  s.head_dim = s.head_dim or s.dim % s.heads == 0 and s.dim // s.heads or nil
  s.hidden = s.hidden or (arch.defaults.gated and (8 * s.dim // 3 + 31) // 32 * 32 or 4 * s.dim)
  return s
end

--- A new model with random weights. They are normal; projections into the residual stream have the deviation divided
-- by sqrt(2 layers), as in GPT-2 (Radford et al. 2019).
-- @function model
-- @tparam table options
--
--   * `arch` = "llama" or "gpt2"
--   * `layers`, `dim` (width), `heads`, `vocab` (tokens), `context` (tokens): these must be given
--   * `kv_heads` = `heads`: heads of keys and values (Ainslie et al. 2023); `head_dim` = `dim` / `heads`
--   * `hidden`: width of the feed-forward part; by default 4 `dim`, or 8/3 `dim`, to the next 32, where gated
--   * `tied` = true: the output head is the embedding
--   * `seed` = 0; `deviation` = 0.02
-- @treturn model
-- @raise on unknown, missing or impossible options, by name
function M.make(options)
  options = option.check(options, own, "rlhf.model", 2)
  local arch = M.architectures[options.arch]
  if not arch then error(("rlhf.model: arch '%s': 'gpt2' or 'llama' wanted"):format(tostring(options.arch)), 2) end
  for _, key in ipairs(wanted) do
    if math.type(options[key]) ~= "integer" or options[key] < 1 then
      error(("rlhf.model: %s: a whole number from 1 wanted, got %s"):format(key, tostring(options[key])), 2)
    end
  end
  if math.type(options.seed) ~= "integer" then
    error(("rlhf.model: seed: a whole number wanted, got %s"):format(options.seed), 2)
  end
  local settings = settings_from(options, arch)
  if not settings.head_dim then
    error(("rlhf.model: dim %d is no multiple of heads %d: give head_dim"):format(settings.dim, settings.heads), 2)
  end
  local model, message = M.new(arch, settings, arch.config(settings))
  if not model then error("rlhf.model: " .. message, 2) end
  model.decoder:init(options.seed, options.deviation)
  return model
end

return setmetatable(M, {__call = function(_, options) return M.make(options) end})
