-- The decoder's parts against plain operations: one block of each architecture written out with
-- rlhf's small rows, the weights' starts, and a real model's published numbers.
local core = require "rlhf.core"
local models = require "support.models"
local rlhf = require "rlhf"

local IDS = {5, 1, 12, 7, 3}

local function named(model)
  local out = {}
  for _, p in ipairs(model:parameters()) do out[p:name()] = p end
  return out
end

local function linear(x, w, bias, layout) return rlhf.linear(x, w, bias, {layout = layout or "out_in"}) end

-- Causal attention of one head: q, k, v [T, D]
local function one_head(q, k, v)
  local T, D = q:shape()[1], q:shape()[2]
  local mask = {}
  for i = 1, T do
    mask[i] = {}
    for j = 1, T do mask[i][j] = j > i and -1e30 or 0 end
  end
  return (q:matmul(k:transpose(1, 2)) / math.sqrt(D) + rlhf.tensor(mask)):softmax():matmul(v)
end

local function columns(x, first, n) return x:slice(2, first + 1, first + n) end

-- Rotary turn by halves: x [T, D] at positions 0..T-1
local function turn(x, theta)
  local T, D = x:shape()[1], x:shape()[2]
  local cos, sin = {}, {}
  for t = 1, T do
    cos[t], sin[t] = {}, {}
    for i = 1, D // 2 do
      local angle = (t - 1) * theta ^ (-2 * (i - 1) / D)
      cos[t][i], sin[t][i] = math.cos(angle), math.sin(angle)
    end
  end
  cos, sin = rlhf.tensor(cos), rlhf.tensor(sin)
  local a, b = columns(x, 0, D // 2), columns(x, D // 2, D // 2)
  return rlhf.cat({a * cos - b * sin, b * cos + a * sin}, {dim = 2})
end

local function tokens(table_, ids)
  local rows = {}
  for i, id in ipairs(ids) do rows[i] = table_[id + 1]:totable() end
  return rlhf.tensor(rows)
end

local function gpt2_block(w, x, heads)
  local D = x:shape()[2] // heads
  local function layer(name) return w["transformer.h.0." .. name .. ".weight"], w["transformer.h.0." .. name .. ".bias"] end
  local qkv = linear(x:layer_norm(layer "ln_1"), layer "attn.c_attn", select(2, layer "attn.c_attn"), "in_out")
  local outs = {}
  for h = 0, heads - 1 do
    outs[h + 1] = one_head(columns(qkv, h * D, D), columns(qkv, (heads + h) * D, D), columns(qkv, (2 * heads + h) * D, D))
  end
  local weight, bias = layer "attn.c_proj"
  x = x + linear(rlhf.cat(outs, {dim = 2}), weight, bias, "in_out")
  local up, up_bias = layer "mlp.c_fc"
  local down, down_bias = layer "mlp.c_proj"
  local hidden = linear(x:layer_norm(layer "ln_2"), up, up_bias, "in_out"):gelu {approximate = "tanh"}
  return x + linear(hidden, down, down_bias, "in_out")
end

local function llama_block(w, x, heads, groups)
  local D = x:shape()[2] // heads
  local function weight(name) return w["model.layers.0." .. name .. ".weight"] end
  local n = x:rms_norm(weight "input_layernorm", {eps = 1e-5})
  local q, k, v = linear(n, weight "self_attn.q_proj"), linear(n, weight "self_attn.k_proj"), linear(n, weight "self_attn.v_proj")
  local outs = {}
  for h = 0, heads - 1 do
    local g = h * groups // heads
    outs[h + 1] = one_head(turn(columns(q, h * D, D), 10000), turn(columns(k, g * D, D), 10000), columns(v, g * D, D))
  end
  x = x + linear(rlhf.cat(outs, {dim = 2}), weight "self_attn.o_proj")
  n = x:rms_norm(weight "post_attention_layernorm", {eps = 1e-5})
  return x + linear(linear(n, weight "mlp.gate_proj"):silu() * linear(n, weight "mlp.up_proj"), weight "mlp.down_proj")
end

describe("a block by small operations", function()
  -- Norms and biases begin as ones and zeros, which hides what is left out.
  local function unsettle(model)
    rlhf.no_grad(function()
      for i, p in ipairs(model:parameters()) do p:copy_(p + rlhf.randn(p:shape(), {seed = i}) * 0.3) end
    end)
    return model, named(model)
  end

  it("is gpt2's", function()
    local model, w = unsettle(rlhf.model {arch = "gpt2", layers = 1, dim = 16, heads = 2, vocab = 13, context = 12})
    local x = tokens(w["transformer.wte.weight"], IDS) + w["transformer.wpe.weight"]:slice(1, 1, 5)
    models.near(model:hidden(IDS, {layer = 0}), x, 1e-6, "embeddings")
    x = gpt2_block(w, x, 2)
    models.near(model:hidden(IDS, {layer = 1}), x, 1e-4, "block")
    models.near(model:hidden(IDS), x:layer_norm(w["transformer.ln_f.weight"], w["transformer.ln_f.bias"]), 1e-4, "final norm")
  end)

  it("is llama's", function()
    local model, w = unsettle(rlhf.model {arch = "llama", layers = 1, dim = 16, heads = 4, kv_heads = 2, vocab = 13, context = 12})
    local x = llama_block(w, tokens(w["model.embed_tokens.weight"], IDS), 4, 2)
    models.near(model:hidden(IDS, {layer = 1}), x, 1e-4, "block")
    models.near(model:hidden(IDS), x:rms_norm(w["model.norm.weight"], {eps = 1e-5}), 1e-4, "final norm")
  end)
end)

describe("new weights", function()
  it("are normal, smaller into the residual stream; norms begin as 1, biases as 0", function()
    local w = named(rlhf.model {arch = "gpt2", layers = 8, dim = 64, heads = 2, vocab = 200, context = 64})
    local function deviation(name) return math.sqrt((w[name] * w[name]):mean():item()) end
    assert.near(0.02, deviation "transformer.wte.weight", 0.001)
    assert.near(0.02, deviation "transformer.h.3.attn.c_attn.weight", 0.001)
    assert.near(0.02 / 4, deviation "transformer.h.3.attn.c_proj.weight", 0.0004)
    assert.near(0.02 / 4, deviation "transformer.h.7.mlp.c_proj.weight", 0.0003)
    assert.equal(0, w["transformer.h.0.attn.c_attn.bias"]:abs():max():item())
    assert.equal(0, (w["transformer.ln_f.weight"] - 1):abs():max():item())
  end)
end)

describe("stories260K", function()
  local FOLDER = (os.getenv "RLHF_MODELS" or "../shared/models") .. "/stories260K"
  local text = core.read_file(FOLDER .. "/reference.json")
  if not text then return pending("no " .. FOLDER) end

  it("scores texts and continues prompts as the reference says", function()
    local reference = assert(core.json_decode(text))
    local model = assert(rlhf.load(FOLDER, {tokenizer = false}))
    assert.equal(reference.parameters, model:count())
    rlhf.no_grad(function()
      for i, case in ipairs(reference.last_logits) do
        models.near(model:logits(case.ids)[-1], case.logits, 1e-4, "last logits " .. i)
      end
      for i, case in ipairs(reference.score) do
        models.near((model:logprobs(case.ids)), case.logprobs, 1e-4, "score " .. i)
      end
    end)
  end)
end)
