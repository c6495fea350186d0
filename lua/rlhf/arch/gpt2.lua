--- GPT-2: learned positions, layer norm, one fused q,k,v weight, weights stored [in, out].
local M = {model_type = "gpt2", causal = "GPT2LMHeadModel", reward = "GPT2ForSequenceClassification"}

local activations = {gelu_new = "gelu_tanh", gelu_pytorch_tanh = "gelu_tanh", gelu = "gelu", relu = "relu", silu = "silu"}

--- The decoder's settings from config.json.
-- @tparam table c config.json
-- @return settings, or nil and what is not supported
function M.settings(c)
  local activation = activations[c.activation_function or "gelu_new"]
  if not activation then return nil, ("activation_function '%s' is not supported"):format(c.activation_function) end
  if c.scale_attn_by_inverse_layer_idx then return nil, "scale_attn_by_inverse_layer_idx is not supported" end
  if c.scale_attn_weights == false then return nil, "scale_attn_weights = false is not supported" end
  return {
    layers = c.n_layer, dim = c.n_embd, heads = c.n_head, kv_heads = c.n_head,
    head_dim = c.n_head and c.n_embd and c.n_embd % c.n_head == 0 and c.n_embd // c.n_head or nil,
    hidden = c.n_inner or c.n_embd and 4 * c.n_embd, vocab = c.vocab_size, context = c.n_positions or c.n_ctx,
    norm = "layer", norm_eps = c.layer_norm_epsilon or 1e-5, norm_bias = true, position = "learned",
    activation = activation, gated = false, fused_qkv = true, in_out = true,
    qkv_bias = true, attention_bias = true, mlp_bias = true,
    tied = c.tie_word_embeddings ~= false,
  }
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
