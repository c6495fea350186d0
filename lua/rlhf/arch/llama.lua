--- Llama: rotary positions, RMS norm, grouped heads, gated SiLU.
local fields = require "rlhf.arch.fields"
local most = fields.most

local M = {model_type = "llama", causal = "LlamaForCausalLM", reward = "LlamaForSequenceClassification"}

local rope_types = {default = "default", linear = "linear", llama3 = "llama3"}

-- What each kind asks for beside rope_theta.
local rope_numbers = {default = {}, linear = {"factor"}, llama3 = {"factor", "low_freq_factor", "high_freq_factor"}}

-- config.json has rope_parameters (transformers 5), or rope_theta and rope_scaling (before it).
local function rope_of(f)
  local all = {rope_theta = f:get "rope_theta"}
  for _, name in ipairs {"rope_scaling", "rope_parameters"} do
    for key, value in pairs(f:object(name)) do all[key] = value end
  end
  local r = fields.of(all)
  local rope = {rope_theta = r:number("rope_theta", 10000.0),
                rope_type = r:word("rope_type", r:get("type", "default"), rope_types)}
  for _, name in ipairs(rope_numbers[rope.rope_type] or {}) do rope[name] = r:number(name) end
  if rope.rope_type == "llama3" then
    rope.original_max_position_embeddings = r:whole("original_max_position_embeddings", most.context)
    if rope.high_freq_factor <= rope.low_freq_factor then
      r:refuse("high_freq_factor", "more than low_freq_factor wanted", rope.high_freq_factor)
    end
  end
  f.problem = f.problem or r.problem
  return rope
end

--- The decoder's settings from config.json.
-- @tparam table c config.json
-- @return settings, or nil and what is wrong: the field, what was wanted, what it has
function M.settings(c)
  local f = fields.of(c)
  local heads, dim = f:whole("num_attention_heads", most.heads), f:whole("hidden_size", most.dim)
  local bias = f:boolean("attention_bias", false)
  local settings = {
    layers = f:whole("num_hidden_layers", most.layers), dim = dim, heads = heads,
    kv_heads = f:whole("num_key_value_heads", most.heads, heads),
    head_dim = f:head_size("head_dim", dim, heads, "hidden_size", "num_attention_heads"),
    hidden = f:whole("intermediate_size", most.hidden), vocab = f:whole("vocab_size", most.vocab),
    context = f:whole("max_position_embeddings", most.context),
    norm = "rms", norm_eps = f:number("rms_norm_eps", 1e-6), norm_bias = false, position = "rotary", rope = rope_of(f),
    activation = f:word("hidden_act", "silu", {silu = "silu"}), gated = true, fused_qkv = false, in_out = false,
    qkv_bias = bias, attention_bias = bias, mlp_bias = f:boolean("mlp_bias", false),
    tied = f:boolean("tie_word_embeddings", false),
  }
  if settings.heads % settings.kv_heads ~= 0 then
    f:refuse("num_key_value_heads", ("a divisor of num_attention_heads %d wanted"):format(heads), settings.kv_heads)
  end
  if f.problem then return nil, f.problem end
  return settings
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
