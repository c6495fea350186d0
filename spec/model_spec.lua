-- Models: what the methods give, each against another way to the same number; misuse; failed allocations.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

local GPT2 = {arch = "gpt2", layers = 2, dim = 16, heads = 2, vocab = 13, context = 12, seed = 3, deviation = 0.4}
local LLAMA = {arch = "llama", layers = 2, dim = 16, heads = 4, kv_heads = 2, hidden = 24, vocab = 13, context = 12, seed = 4,
               deviation = 0.4, tied = false}
local IDS = {5, 1, 12, 7, 3}
local SEQUENCES = {IDS, {2, 9}, {4, 4, 0, 11}}

local function each(f)
  for _, options in ipairs {GPT2, LLAMA} do
    it("of " .. options.arch, function() f(rlhf.model(options), options) end)
  end
end

local function targets_of(ids) return rlhf.tensor(table.move(ids, 2, #ids, 1, {}), {dtype = "i64"}):reshape(#ids - 1, 1) end

-- log p(token t+1 | tokens to t) the long way
local function long_way(model, ids)
  return model:logits(ids):slice(1, 1, #ids - 1):log_softmax():gather(targets_of(ids), 2):reshape(#ids - 1)
end

local function gradients(model)
  local list = {}
  for i, p in ipairs(model:parameters()) do
    list[i] = p:grad() and p:grad():totable() or false
    if p:grad() then p:grad():fill_(0) end
  end
  return list
end

describe("logits", function()
  each(function(model)
    assert.same({5, 13}, model:logits(IDS):shape())
    local list = model:logits(SEQUENCES)
    assert.equal(3, #list)
    models.near(list[1], model:logits(IDS), 1e-5, "alone and among others")
    models.near(model:logits {5, 1}, model:logits(IDS):slice(1, 1, 2), 1e-5, "the future is not seen")
  end)
end)

describe("hidden", function()
  each(function(model)
    local last, head = model:hidden(IDS), model:head()
    models.near(last:matmul(head:transpose(1, 2)), model:logits(IDS), 1e-5, "logits from hidden")
    assert.same({5, 16}, model:hidden(IDS, {layer = 0}):shape())
    assert.is_true(models.difference(model:hidden(IDS, {layer = 2}), last) > 1e-3) -- the final norm
    assert.is_true(models.difference(model:hidden(IDS, {layer = 1}), model:hidden(IDS, {layer = 2})) > 1e-3)
    assert.same({2, 16}, model:hidden(SEQUENCES)[2]:shape())
  end)
end)

describe("logprobs", function()
  each(function(model)
    local weights = rlhf.tensor {0.5, -1, 2, 0.25}
    models.near(model:logprobs(IDS), long_way(model, IDS), 1e-5, "values")
    local function slopes(f)
      (f(IDS) * weights):sum():backward()
      return gradients(model)
    end
    local got, want = slopes(function(ids) return (model:logprobs(ids)) end), slopes(function(ids) return long_way(model, ids) end)
    models.near(got, want, 1e-5, "gradients")
  end)

  it("have a temperature and an entropy", function()
    local model = rlhf.model(GPT2)
    local logp, entropy = model:logprobs(IDS, {temperature = 0.7, entropy = true})
    local rows = (model:logits(IDS):slice(1, 1, 4) / 0.7):log_softmax()
    models.near(logp, rows:gather(targets_of(IDS), 2):reshape(4), 1e-5, "log-probabilities")
    models.near(entropy, -(rows:exp() * rows):sum(2), 1e-5, "entropy")
    assert.same({0}, model:logprobs {3}:shape())
  end)
end)

describe("loss", function()
  each(function(model)
    local b = rlhf.batch.sequences(SEQUENCES)
    local loss, nll, hit = model:loss(b)
    local sum, n = 0, 0
    for _, ids in ipairs(SEQUENCES) do
      sum, n = sum - model:logprobs(ids):sum():item(), n + #ids - 1
    end
    assert.equal(b.trained, n)
    models.near(loss:item(), sum / n, 1e-5, "mean over tokens")
    models.near(model:loss(b, {divide = 2}):item(), sum / 2, 1e-5, "divided")
    models.near(nll:sum():item(), sum, 1e-5, "each token's")
    assert.equal("bool", hit:dtype())
    assert.same({n}, hit:shape())
  end)

  it("of a batch with nothing to predict is 0", function()
    assert.equal(0, rlhf.model(GPT2):loss(rlhf.batch.sequences {{1}}):item())
  end)
end)

describe("parameters", function()
  local NAMES = {
    gpt2 = {"transformer.wte.weight", "transformer.wpe.weight", "transformer.h.1.attn.c_attn.bias", "transformer.ln_f.bias"},
    llama = {"model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight", "model.norm.weight", "lm_head.weight"},
  }
  each(function(model, options)
    local named, n = {}, 0
    for _, p in ipairs(model:parameters()) do
      assert.is_nil(named[p:name()])
      named[p:name()], n = p, n + p:numel()
      assert.is_true(core.debug.requires_grad(p))
    end
    for _, name in ipairs(NAMES[options.arch]) do assert(named[name], name) end
    assert.equal(n, model:count())
  end)

  it("are as many as the shapes say", function()
    local d, f, v, c = 16, 64, 13, 12
    assert.equal(v * d + c * d + 2 * (2 * 2 * d + 3 * d * d + 3 * d + d * d + d + 2 * d * f + f + d) + 2 * d, rlhf.model(GPT2):count())
    assert.equal(2 * 13 * 16 + 2 * (2 * 16 + 2 * 16 * 16 + 2 * 8 * 16 + 3 * 24 * 16) + 16, rlhf.model(LLAMA):count())
  end)
end)

describe("weights", function()
  it("depend on the seed alone", function()
    local function logits(seed) return rlhf.model {layers = 1, dim = 8, heads = 2, vocab = 5, context = 4, seed = seed}:logits {1, 2} end
    assert.equal(0, models.difference(logits(1), logits(1)))
    assert.is_true(models.difference(logits(1), logits(2)) > 0)
  end)
end)

describe("a clone", function()
  each(function(model)
    local copy = model:freeze():clone()
    assert.equal(0, models.difference(copy:logits(IDS), model:logits(IDS)))
    assert.is_false((core.debug.requires_grad(model:logits(IDS))))
    copy:loss(rlhf.batch.sequences {IDS}):backward()
    local opt = rlhf.optim.adamw(copy:parameters(), {lr = 0.1})
    assert.equal(model:parameters()[1]:name(), copy:parameters()[1]:name())
    assert.is_nil(model:parameters()[1]:grad())
    copy:loss(rlhf.batch.sequences {IDS}):backward()
    opt:step()
    opt:close()
    assert.is_true(models.difference(copy:logits(IDS), model:logits(IDS)) > 1e-3)
  end)
end)

describe("misuse", function()
  local function refused(wanted, f)
    local ok, message = pcall(f)
    assert.is_false(ok)
    assert.matches("^[^:]*model_spec.lua:%d+: ", message)
    assert.matches(wanted, message, 1, true)
  end

  it("raises at the caller's line and says what was wanted", function()
    local model = rlhf.model(GPT2)
    refused("token id 13 at token 2: 0 to 12 wanted", function() model:logits {1, 13} end)
    refused("token id -1 at token 1: 0 to 12 wanted", function() model:hidden {-1} end)
    refused("position 12 at token 13: 0 to 11 wanted", function() model:logprobs {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4} end)
    refused("model:logits: sequence 2: a list of token ids wanted", function() model:logits {{1}, {}} end)
    refused("model:logits: ids, a list of them or a batch wanted, got nil", function() model:logits() end)
    refused("layer: -1 to 2 wanted, got 3", function() model:hidden({1}, {layer = 3}) end)
    refused("temperature: a number above 0 wanted, got 0", function() model:logprobs({1}, {temperature = 0}) end)
    refused("unknown option 'temprature' (did you mean 'temperature'?)", function() model:logprobs({1}, {temprature = 1}) end)
    refused("model:loss: a batch wanted, got table", function() model:loss {{1, 2}} end)
    refused("divide: a number above 0 wanted, got 0", function() model:loss(rlhf.batch.sequences {{1, 2}}, {divide = 0}) end)
    refused("id 99 at 1: 0 to 12 wanted", function() model:loss(rlhf.batch.sequences({{1, 2}}, {labels = {{1, 99}}})) end)
  end)

  local function settings(changes)
    local options = {layers = 1, dim = 8, heads = 2, vocab = 5, context = 4}
    for key, value in pairs(changes) do options[key] = value end
    return function() rlhf.model(options) end
  end

  it("of rlhf.model names the setting", function()
    refused("arch 'bert': 'gpt2' or 'llama' wanted", settings {arch = "bert"})
    refused("layers: a whole number from 1 wanted, got 0", settings {layers = 0})
    refused("dim: a whole number from 1 wanted, got 8.5", settings {dim = 8.5})
    refused("vocab: a whole number from 1 wanted, got ", settings {vocab = 0 / 0})
    refused("dim 1099511627776: 1 to 65536 wanted", settings {dim = 1 << 40})
    refused("dim 8 is no multiple of heads 3: give head_dim", settings {heads = 3})
    refused("heads 2: not a multiple of kv_heads 4", settings {kv_heads = 4})
    refused("head_dim 3: rotary positions want an even one", settings {head_dim = 3})
    refused("seed: a whole number wanted, got 0.5", settings {seed = 0.5})
    refused("unknown option 'layer' (did you mean 'layers'?)", settings {layer = 1})
    refused("not enough memory", settings {layers = 1000, dim = 65536, heads = 64, vocab = 1 << 22})
  end)
end)

describe("a failed allocation", function()
  after_each(function() core.debug.fail_alloc(0) end)

  local function live()
    collectgarbage()
    collectgarbage()
    return rlhf.memory().blocks
  end

  -- Fails the n-th allocation of f for n = 1, 2, ... until f has none left; between, nothing stays behind.
  local function survives(f, sticky)
    f()
    local before = live()
    for n = 1, 5000 do
      core.debug.fail_alloc(n, sticky)
      local ok, message = pcall(f)
      core.debug.fail_alloc(0)
      if not ok then assert.matches("not enough memory", message, 1, true) end
      if n % 16 == 0 or ok then assert.equal(before, live()) end
      if ok then return n end
    end
    error "never ran to its end"
  end

  for _, options in ipairs {GPT2, LLAMA} do
    it("leaves nothing, and the model goes on: " .. options.arch, function()
      local model = rlhf.model(options)
      local b = rlhf.batch.sequences(SEQUENCES)
      local function step()
        for _, p in ipairs(model:parameters()) do
          if p:grad() then p:grad():fill_(0) end
        end
        model:loss(b):backward()
      end
      step()
      local want = gradients(model)
      assert.is_true(survives(step, true) > 20)
      step()
      models.near(gradients(model), want, 1e-6, "gradients afterwards")
      survives(function() model:clone() end, true)
    end)
  end
end)
