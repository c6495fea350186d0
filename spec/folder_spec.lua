-- Model folders: out and in again, tied and untied; hostile configs and weights, each with a message that
-- names the file and the field, before anything is allocated by what they say.
local core = require "rlhf.core"
local files = require "support.safetensors_file"
local fixtures = require "support.fixtures"
local models = require "support.models"
local rlhf = require "rlhf"
local safetensors = require "rlhf.safetensors"
local values = require "support.values"

local GPT2 = {arch = "gpt2", layers = 2, dim = 16, heads = 2, vocab = 13, context = 12, seed = 3, deviation = 0.4}
local LLAMA = {arch = "llama", layers = 2, dim = 16, heads = 4, kv_heads = 2, hidden = 24, vocab = 13, context = 12, seed = 4,
               deviation = 0.4}
local IDS = {5, 1, 12, 7, 3}

local folder
before_each(function() folder = files.folder() end)
after_each(function() files.remove(folder) end)

local function path(name) return folder .. "/" .. name end

local function with(options, changes)
  local out = {}
  for key, value in pairs(options) do out[key] = value end
  for key, value in pairs(changes) do out[key] = value end
  return out
end

local function save(options)
  local model = rlhf.model(options)
  assert.is_true(rlhf.save(folder, model))
  return model
end

-- Changes a value of config.json; REMOVE takes the field out.
local REMOVE = {}
local function change(fields)
  local config = assert(core.json_decode(files.slurp(path "config.json")))
  for name, value in pairs(fields) do
    config[name] = value
    if value == REMOVE then config[name] = nil end
  end
  files.write(path "config.json", core.json_encode(config))
end

local function refused(...)
  collectgarbage()
  local peak = rlhf.memory().in_use + 65536
  core.debug.reset_peak()
  local model, message = rlhf.load(folder)
  assert.is_nil(model)
  for _, part in ipairs {folder, ...} do
    assert(message:find(part, 1, true), ("%q should say %q"):format(message, part))
  end
  assert.is_true(rlhf.memory().peak < peak, "allocated by what the files say")
end

describe("saved and loaded", function()
  for name, options in pairs {tied_gpt2 = GPT2, untied_gpt2 = with(GPT2, {tied = false}), tied_llama = LLAMA,
                              untied_llama = with(LLAMA, {tied = false, head_dim = 6, hidden = 20})} do
    it(name .. " gives the same bits", function()
      local model = save(options)
      local again = assert(rlhf.load(folder .. "/"))
      assert.equal(0, models.difference(again:logits(IDS), model:logits(IDS)))
      assert.equal(tostring(model), tostring(again))
      assert.equal(options.tied == false, files.entries(path "model.safetensors")["lm_head.weight"] ~= nil)
      assert.is_true(rlhf.save(path "second", again))
      assert.equal(files.slurp(path "model.safetensors"), files.slurp(path "second/model.safetensors"))
      assert.same(core.json_decode(files.slurp(path "config.json")), core.json_decode(files.slurp(path "second/config.json")))
    end)
  end

  it("writes what transformers reads", function()
    local model = save(GPT2)
    local config = assert(core.json_decode(files.slurp(path "config.json")))
    assert.same({"GPT2LMHeadModel"}, config.architectures)
    assert.equal("gpt2", config.model_type)
    assert.equal("float32", config.dtype)
    local entries, metadata = files.entries(path "model.safetensors")
    assert.equal("pt", metadata.format)
    for _, p in ipairs(model:parameters()) do assert.same(p:shape(), entries[p:name()].shape) end
  end)

  it("keeps what config.json has beside", function()
    save(LLAMA)
    change {pad_token_id = core.null, attention_dropout = 0.25, note = {a = {1, 2}}, torch_dtype = "bfloat16"}
    assert.is_true(rlhf.save(path "second", assert(rlhf.load(folder))))
    local config = assert(core.json_decode(files.slurp(path "second/config.json")))
    assert.equal(core.null, config.pad_token_id)
    assert.equal(0.25, config.attention_dropout)
    assert.same({1, 2}, config.note.a)
    assert.is_nil(config.torch_dtype)
  end)

  it("reads names without prefix, causal masks and tied heads that are stored all the same", function()
    local model = save(GPT2)
    local items = {}
    for i, p in ipairs(model:parameters()) do items[i] = {name = p:name():gsub("^transformer%.", ""), tensor = p} end
    items[#items + 1] = {name = "h.0.attn.bias", tensor = rlhf.ones {1, 1, 12, 12}}
    items[#items + 1] = {name = "lm_head.weight", tensor = model:head()}
    assert(safetensors.save(path "model.safetensors", items))
    assert.equal(0, models.difference(assert(rlhf.load(folder)):logits(IDS), model:logits(IDS)))
  end)

  it("reads bfloat16 weights as f32", function()
    local model, header, data, at = save(GPT2), {}, {}, 0
    for i, p in ipairs(model:parameters()) do
      local cut = {} -- the upper half of each f32, in the file and in the model
      for k, x in ipairs(values.flat(p)) do cut[k] = string.pack("<f", x):sub(3) end
      data[i] = table.concat(cut)
      header[i] = ('"%s":%s'):format(p:name(), files.entry("BF16", p:shape(), at, at + #data[i]))
      at = at + #data[i]
      for k, half in ipairs(cut) do cut[k] = string.unpack("<f", "\0\0" .. half) end
      rlhf.no_grad(function() p:copy_(values.tensor(cut, p:shape())) end)
    end
    files.write(path "model.safetensors", files.file("{" .. table.concat(header, ",") .. "}", table.concat(data)))
    assert.equal(0, models.difference(assert(rlhf.load(folder)):logits(IDS), model:logits(IDS)))
  end)

  it("leaves the folder alone when it can't be written", function()
    files.write(path "file", "x")
    local ok, message = rlhf.save(path "file", rlhf.model(GPT2))
    assert.is_nil(ok)
    assert.matches(path "file", message, 1, true)
  end)
end)

describe("a hostile config", function()
  local HUGE = math.maxinteger
  local llama = {
    {{model_type = REMOVE}, "model_type"}, {{model_type = 7}, "model_type"}, {{model_type = "qwen9"}, "model_type", "qwen9"},
    {{hidden_size = REMOVE}, "hidden_size"}, {{hidden_size = 0}, "hidden_size"}, {{hidden_size = -16}, "hidden_size"},
    {{hidden_size = 16.5}, "hidden_size"}, {{hidden_size = "16"}, "hidden_size"}, {{hidden_size = {16}}, "hidden_size"},
    {{hidden_size = HUGE}, "hidden_size"}, {{hidden_size = 1e300}, "hidden_size"}, {{hidden_size = core.null}, "hidden_size"},
    {{hidden_size = 18, head_dim = REMOVE}, "hidden_size", "num_attention_heads"},
    {{num_hidden_layers = 1000000000}, "num_hidden_layers"}, {{num_hidden_layers = true}, "num_hidden_layers"},
    {{num_hidden_layers = 1000}, "describes", "parameters"}, {{vocab_size = 4000000}, "describes", "parameters"},
    {{num_attention_heads = 0}, "num_attention_heads"}, {{num_key_value_heads = 3}, "num_key_value_heads"},
    {{num_key_value_heads = 8}, "num_key_value_heads"}, {{head_dim = 3}, "head_dim"}, {{head_dim = -4}, "head_dim"},
    {{intermediate_size = 1 << 40}, "intermediate_size"}, {{max_position_embeddings = 0}, "max_position_embeddings"},
    {{vocab_size = -1}, "vocab_size"}, {{rms_norm_eps = -1e-5}, "rms_norm_eps"}, {{rms_norm_eps = "x"}, "rms_norm_eps"},
    {{rms_norm_eps = 2}, "norm_eps"}, {{hidden_act = "gelu"}, "hidden_act", "gelu"}, {{hidden_act = 3}, "hidden_act"},
    {{tie_word_embeddings = 1}, "tie_word_embeddings"}, {{attention_bias = "no"}, "attention_bias"},
    {{rope_theta = 0}, "rope_theta"}, {{rope_scaling = 3}, "rope_scaling"},
    {{rope_scaling = {rope_type = "yarn", factor = 2}}, "rope_type", "yarn"},
    {{rope_scaling = {rope_type = "linear"}}, "factor"}, {{rope_scaling = {type = "linear", factor = -2}}, "factor"},
    {{rope_parameters = {rope_type = "llama3", factor = 8, low_freq_factor = 4, high_freq_factor = 1,
                         original_max_position_embeddings = 8}}, "high_freq_factor"},
    {{rope_parameters = {rope_type = "llama3", factor = 8, low_freq_factor = 1, high_freq_factor = 4}}, "original_max_position_embeddings"},
  }
  local gpt2 = {
    {{n_embd = 17}, "n_embd", "n_head"}, {{n_head = 0}, "n_head"}, {{n_layer = REMOVE}, "n_layer"},
    {{n_positions = REMOVE}, "n_positions"}, {{layer_norm_epsilon = 0}, "layer_norm_epsilon"},
    {{n_inner = -1}, "n_inner"}, {{activation_function = "mish"}, "activation_function", "mish"},
    {{scale_attn_by_inverse_layer_idx = true}, "scale_attn_by_inverse_layer_idx"}, {{scale_attn_weights = false}, "scale_attn_weights"},
  }
  for options, list in pairs {[LLAMA] = llama, [GPT2] = gpt2} do
    for i, case in ipairs(list) do
      it(("%s %d: %s"):format(options.arch, i, table.concat(case, ", ", 2)), function()
        save(options)
        change(case[1])
        refused("config.json", table.unpack(case, 2))
      end)
    end
  end

  it("is refused whatever is in the file", function()
    save(GPT2)
    for _, text in ipairs {"", "[]", "3", "null", "{", '{"model_type": NaN}', '{"n_embd": 1, "n_embd": 2}', ("["):rep(100000)} do
      files.write(path "config.json", text)
      refused "config.json"
    end
    os.remove(path "config.json")
    refused "config.json"
  end)
end)

describe("weights", function()
  local function rewritten(f)
    local model = save(GPT2)
    local items = {}
    for _, p in ipairs(model:parameters()) do items[#items + 1] = {name = p:name(), tensor = p} end
    f(items)
    assert(safetensors.save(path "model.safetensors", items))
  end
  local big = function() return {name = "big", tensor = rlhf.zeros {100000}} end

  it("that are missing, too many or of another shape are named", function()
    rewritten(function(items) items[3].name = "transformer.h.7.what" end)
    refused("tensor 'transformer.h.0.ln_1.weight' is missing")
    rewritten(function(items) items[#items + 1] = {name = "what.weight", tensor = rlhf.ones {3}} end)
    refused("tensor 'what.weight' is no parameter of a gpt2 model")
    rewritten(function(items) items[1].tensor = rlhf.zeros {16, 13} end)
    refused("transformer.wte.weight", "[16,13]", "[13,16]")
    rewritten(function(items) items[1].tensor = rlhf.zeros({13, 16}, {dtype = "i64"}) end)
    refused("transformer.wte.weight", "floats wanted, got I64")
    rewritten(function(items) table.remove(items) items[#items + 1] = big() end)
    refused("tensor 'transformer.ln_f.bias' is missing")
    rewritten(function(items) table.remove(items) end)
    refused("describes 6992 parameters", "6976 numbers")
    os.remove(path "model.safetensors")
    refused("model.safetensors")
  end)

  it("that are no file of their format are refused", function()
    save(GPT2)
    local whole = files.slurp(path "model.safetensors")
    for _, text in ipairs {"", "x", whole:sub(1, #whole - 4), whole .. "x", ("\255"):rep(64)} do
      files.write(path "model.safetensors", text)
      refused("model.safetensors")
    end
  end)
end)

describe("rlhf.load", function()
  it("takes a path and known options", function()
    assert.error_matches(function() rlhf.load(3) end, "rlhf.load: path: string wanted, got number", 1, true)
    assert.error_matches(function() rlhf.load(folder, {tokeniser = 1}) end, "did you mean 'tokenizer'?", 1, true)
    assert.error_matches(function() rlhf.load(folder, {dtype = "f64"}) end, "dtype: 'f32' wanted, got 'f64'", 1, true)
    assert.error_matches(function() rlhf.save(folder, 3) end, "rlhf.save: model: a model wanted, got number", 1, true)
  end)

  it("gives the tokenizer, unless told not to", function()
    if not fixtures.folder() then return pending(fixtures.missing) end
    local from = fixtures.folder() .. "/models/gpt2"
    local model, tokenizer = assert(rlhf.load(from))
    assert.is_true(#tokenizer <= model.settings.vocab)
    assert.equal(1, select("#", rlhf.load(from, {tokenizer = false})))
    assert.is_true(rlhf.save(folder, model, tokenizer))
    local again, same = assert(rlhf.load(folder))
    assert.same(tokenizer:encode "Once upon a time", same:encode "Once upon a time")
    assert.equal(0, models.difference(again:logits(IDS), model:logits(IDS)))
  end)
end)
