--- GPT-2: learned positions, layer norm, one fused q,k,v weight, weights stored [in, out].
local fields = require "rlhf.arch.fields"
local most = fields.most

local M = {model_type = "gpt2", causal = "GPT2LMHeadModel", reward = "GPT2ForSequenceClassification"}

local activations = {gelu_new = "gelu_tanh", gelu_pytorch_tanh = "gelu_tanh", gelu = "gelu", relu = "relu", silu = "silu"}

--- The decoder's settings from config.json.
-- @tparam table c config.json
-- @return settings, or nil and what is wrong: the field, what was wanted, what it has
function M.settings(c)
  local f = fields.of(c)
  local dim, heads = f:whole("n_embd", most.dim), f:whole("n_head", most.heads)
  f:only("scale_attn_by_inverse_layer_idx", false)
  f:only("scale_attn_weights", true)
  local settings = {
    layers = f:whole("n_layer", most.layers), dim = dim, heads = heads, kv_heads = heads,
    head_dim = f:head_size(nil, dim, heads, "n_embd", "n_head"), hidden = f:whole("n_inner", most.hidden, 4 * dim),
    vocab = f:whole("vocab_size", most.vocab), context = f:whole("n_positions", most.context, f:get "n_ctx"),
    norm = "layer", norm_eps = f:number("layer_norm_epsilon", 1e-5), norm_bias = true, position = "learned",
    activation = f:word("activation_function", "gelu_new", activations), gated = false, fused_qkv = true, in_out = true,
    qkv_bias = true, attention_bias = true, mlp_bias = true, tied = f:boolean("tie_word_embeddings", true),
  }
  if f.problem then return nil, f.problem end
  return settings
end

--- config.json for a model made by rlhf.model.
function M.config(s)
  return {
    model_type = "gpt2", activation_function = "gelu_new", n_embd = s.dim, n_head = s.heads, n_layer = s.layers,
    n_positions = s.context, n_inner = s.hidden ~= 4 * s.dim and s.hidden or nil, vocab_size = s.vocab,
    layer_norm_epsilon = s.norm_eps, tie_word_embeddings = s.tied,
    attn_pdrop = 0.0, embd_pdrop = 0.0, resid_pdrop = 0.0,
  }
end

--- Settings that rlhf.model{arch = "gpt2"} adds to what its user gives.
M.defaults = {norm = "layer", norm_eps = 1e-5, norm_bias = true, position = "learned", activation = "gelu_tanh",
              gated = false, fused_qkv = true, in_out = true, qkv_bias = true, attention_bias = true,
              mlp_bias = true, tied = true}

--- Names in a model folder by the decoder's plain names; %d is the layer. Folders may lack `prefix`.
M.prefix = "transformer."
M.names = {
  ["embed.weight"] = "wte.weight", ["position.weight"] = "wpe.weight",
  ["norm.weight"] = "ln_f.weight", ["norm.bias"] = "ln_f.bias",
  ["norm1.weight"] = "h.%d.ln_1.weight", ["norm1.bias"] = "h.%d.ln_1.bias",
  ["qkv.weight"] = "h.%d.attn.c_attn.weight", ["qkv.bias"] = "h.%d.attn.c_attn.bias",
  ["attn.weight"] = "h.%d.attn.c_proj.weight", ["attn.bias"] = "h.%d.attn.c_proj.bias",
  ["norm2.weight"] = "h.%d.ln_2.weight", ["norm2.bias"] = "h.%d.ln_2.bias",
  ["up.weight"] = "h.%d.mlp.c_fc.weight", ["up.bias"] = "h.%d.mlp.c_fc.bias",
  ["down.weight"] = "h.%d.mlp.c_proj.weight", ["down.bias"] = "h.%d.mlp.c_proj.bias",
}

--- Tensors in folders that are no parameters: causal masks.
M.ignored = {"%.attn%.bias$", "%.attn%.masked_bias$"}

return M
