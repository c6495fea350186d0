--- Llama: rotary positions, RMS norm, grouped heads, gated SiLU.
local M = {model_type = "llama", causal = "LlamaForCausalLM", reward = "LlamaForSequenceClassification"}

-- config.json has rope_parameters (transformers 5), or rope_theta and rope_scaling (before it).
local function rope_of(c)
  local rope = {}
  for key, value in pairs(type(c.rope_scaling) == "table" and c.rope_scaling or {}) do rope[key] = value end
  for key, value in pairs(type(c.rope_parameters) == "table" and c.rope_parameters or {}) do rope[key] = value end
  return {
    rope_type = rope.rope_type or rope.type or "default",
    rope_theta = rope.rope_theta or c.rope_theta or 10000.0,
    factor = rope.factor, low_freq_factor = rope.low_freq_factor, high_freq_factor = rope.high_freq_factor,
    original_max_position_embeddings = rope.original_max_position_embeddings,
  }
end

local ropes = {default = true, linear = true, llama3 = true}

--- The decoder's settings from config.json.
-- @tparam table c config.json
-- @return settings, or nil and what is not supported
function M.settings(c)
  if c.hidden_act and c.hidden_act ~= "silu" then
    return nil, ("hidden_act '%s' is not supported, only 'silu'"):format(c.hidden_act)
  end
  local rope = rope_of(c)
  if not ropes[rope.rope_type] then return nil, ("rope_type '%s' is not supported"):format(rope.rope_type) end
  local heads, dim = c.num_attention_heads, c.hidden_size
  return {
    layers = c.num_hidden_layers, dim = dim, heads = heads, kv_heads = c.num_key_value_heads or heads,
    head_dim = c.head_dim or heads and dim and dim % heads == 0 and dim // heads or nil,
    hidden = c.intermediate_size, vocab = c.vocab_size, context = c.max_position_embeddings,
    norm = "rms", norm_eps = c.rms_norm_eps or 1e-6, norm_bias = false, position = "rotary", rope = rope,
    activation = "silu", gated = true, fused_qkv = false, in_out = false,
    qkv_bias = c.attention_bias == true, attention_bias = c.attention_bias == true, mlp_bias = c.mlp_bias == true,
    tied = c.tie_word_embeddings == true,
  }
end

--- config.json for a model made by rlhf.model.
function M.config(s)
  return {
    model_type = "llama", hidden_act = "silu", hidden_size = s.dim, intermediate_size = s.hidden,
    num_attention_heads = s.heads, num_key_value_heads = s.kv_heads, num_hidden_layers = s.layers,
    head_dim = s.head_dim, max_position_embeddings = s.context, vocab_size = s.vocab, rms_norm_eps = s.norm_eps,
    rope_theta = s.rope.rope_theta, tie_word_embeddings = s.tied, attention_bias = false, mlp_bias = false,
    attention_dropout = 0.0,
  }
end

--- Settings that rlhf.model{arch = "llama"} adds to what its user gives.
M.defaults = {norm = "rms", norm_eps = 1e-5, norm_bias = false, position = "rotary", activation = "silu",
              gated = true, fused_qkv = false, in_out = false, qkv_bias = false, attention_bias = false,
              mlp_bias = false, tied = true, rope = {rope_type = "default", rope_theta = 10000.0}}

--- Names in a model folder by the decoder's plain names; %d is the layer. Folders may lack `prefix`.
M.prefix = "model."
M.names = {
  ["embed.weight"] = "embed_tokens.weight", ["norm.weight"] = "norm.weight",
  ["norm1.weight"] = "layers.%d.input_layernorm.weight",
  ["q.weight"] = "layers.%d.self_attn.q_proj.weight", ["q.bias"] = "layers.%d.self_attn.q_proj.bias",
  ["k.weight"] = "layers.%d.self_attn.k_proj.weight", ["k.bias"] = "layers.%d.self_attn.k_proj.bias",
  ["v.weight"] = "layers.%d.self_attn.v_proj.weight", ["v.bias"] = "layers.%d.self_attn.v_proj.bias",
  ["attn.weight"] = "layers.%d.self_attn.o_proj.weight", ["attn.bias"] = "layers.%d.self_attn.o_proj.bias",
  ["norm2.weight"] = "layers.%d.post_attention_layernorm.weight",
  ["gate.weight"] = "layers.%d.mlp.gate_proj.weight", ["gate.bias"] = "layers.%d.mlp.gate_proj.bias",
  ["up.weight"] = "layers.%d.mlp.up_proj.weight", ["up.bias"] = "layers.%d.mlp.up_proj.bias",
  ["down.weight"] = "layers.%d.mlp.down_proj.weight", ["down.bias"] = "layers.%d.mlp.down_proj.bias",
}

--- Tensors in folders that are no parameters: tables that older versions stored.
M.ignored = {"rotary_emb%.inv_freq$"}

return M
