local rlhf = require "rlhf"
local fixtures = require "support.fixtures"
local safetensors = require "rlhf.safetensors"

local function base(seed) return rlhf.model {layers = 2, dim = 16, heads = 2, vocab = 40, context = 32, seed = seed or 1} end

local items = {{3, 4, 5, 6}, {7, 8}, {9, 10, 11}}

local function close(want, got, tolerance)
  for i, w in ipairs(want) do assert.near(w, got[i], tolerance or 1e-5) end
end

describe("reward_model", function()
  it("scores what its head makes of the pooled hidden states", function()
    local trunk = base()
    local picked = {
      last = function(h) return h[-1] end, [2] = function(h) return h[2] end, [-2] = function(h) return h[-2] end,
      mean = function(h) return h:mean(1) end, max = function(h) return (h:max(1)) end,
    }
    for pooling, pick in pairs(picked) do
      local rm = rlhf.reward_model(trunk, {pooling = pooling, activation = "none"})
      local want = {}
      for i, h in ipairs(trunk:hidden(items)) do
        want[i] = rlhf.linear(pick(h):reshape {1, -1}, rm.head[1].weight, rm.head[1].bias):item()
      end
      close(want, rm:score(items):totable())
    end
  end)

  it("puts scores between 0 and 1, and tells the logits on demand", function()
    local rm = rlhf.reward_model(base(), {hidden = 8})
    local scores, logits = rm:score(items):totable(), rm:score(items, {logit = true}):totable()
    for i, z in ipairs(logits) do assert.near(1 / (1 + math.exp(-z)), scores[i], 1e-6) end
  end)

  it("scores a tree's responses as the separate sequences", function()
    for _, pooling in ipairs {"last", "mean", "max"} do
      local rm = rlhf.reward_model(base(), {pooling = pooling})
      local prompt, responses = {3, 4, 5}, {{6, 7}, {8}, {9, 10, 11}}
      local separate = {}
      for i, r in ipairs(responses) do separate[i] = table.move(r, 1, #r, 4, {3, 4, 5}) end
      local tree = rlhf.batch.trees {{prompt = prompt, responses = responses}}
      close(rm:score(separate):totable(), rm:score_batch(tree, {1, 2, 3}):totable())
    end
  end)

  it("is differentiable down to the embedding", function()
    local rm = rlhf.reward_model(base(), {hidden = 8})
    rm:score(items):sum():backward()
    for _, p in ipairs(rm:parameters()) do assert.is_truthy(p:grad(), p:name()) end
  end)

  it("comes back from its folder with its head and settings", function()
    local folder = os.tmpname()
    os.remove(folder)
    for _, options in ipairs {{}, {pooling = "mean", hidden = 8, activation = "none"}, {pooling = -2}} do
      local rm = rlhf.reward_model(base(), options)
      assert(rm:save(folder))
      local again = assert(rlhf.reward_model.load(folder))
      assert.are.same(rm:score(items):totable(), again:score(items):totable())
    end
    os.execute(("rm -r '%s'"):format(folder))
  end)

  it("is not loaded without its head", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(rlhf.save(folder, base()))
    local rm, message = rlhf.reward_model.load(folder)
    assert.is_nil(rm)
    assert.matches("no tensor 'score.weight': a reward model without its head would give random scores", message, 1, true)
    os.execute(("rm -r '%s'"):format(folder))
  end)

  it("names what is wrong", function()
    local function message(...) return select(2, pcall(rlhf.reward_model, ...)) end
    assert.matches("pooling: 'last', 'mean', 'max' or a token's place wanted, got first", message(base(), {pooling = "first"}), 1, true)
    assert.matches("activation: 'sigmoid' or 'none' wanted, got 'relu'", message(base(), {activation = "relu"}), 1, true)
    local rm = rlhf.reward_model(base())
    assert.matches("template: 'alpaca', 'chat', 'plain' or a function wanted, got jinja", message(base(), {template = "jinja"}), 1, true)
    assert.matches("item 1: ids or {prompt =, response =} wanted", select(2, pcall(rm.score, rm, {{response = "b"}})), 1, true)
    assert.matches("item 1 holds text, but there is no tokenizer",
      select(2, pcall(rm.score, rm, {{prompt = "a", response = "b"}})), 1, true)
  end)

  it("tells misuse of score at the line that called it", function()
    local rm = rlhf.reward_model(base())
    local function call(wrong)
      rm:score(wrong)
      return rm
    end
    for _, wrong in ipairs {{{response = "b"}}, {7}, {{prompt = "a", response = "b"}}} do
      assert.matches("^%S*reward_model_spec.lua:%d+: reward model: item 1", select(2, pcall(call, wrong)))
    end
  end)
end)

describe("fixtures: reward models", function()
  if not fixtures.folder() then return it("are there", function() pending(fixtures.missing) end) end
  for _, entry in ipairs(fixtures.json "index.json".models) do
    if entry.kind == "reward" then
      it(entry.name .. " scores as the reference does", function()
        local rm = assert(rlhf.reward_model.load(fixtures.folder() .. "/models/" .. entry.name))
        local reader = assert(safetensors.open(fixtures.folder() .. "/forward/" .. entry.name .. ".safetensors"))
        for name, case in pairs(fixtures.json("forward/" .. entry.name .. ".json").cases) do
          local function read(field) return assert(reader:read(name .. "." .. field)) end
          local mask = read "attention_mask"
          local b = rlhf.batch.from_padded(read "input_ids", mask, {positions = read "position_ids"})
          local leaves, rows, want = {}, {}, {}
          for r, row in ipairs(mask:totable()) do
            leaves[r] = r - 1
            for t, m in ipairs(row) do
              if m == 1 then
                rows[#rows + 1] = #rows
                want[#want + 1] = read "token_scores":totable()[r][t][1]
              end
            end
          end
          local tolerance = math.max(1e-5, 10 * case.noise.scores)
          fixtures.close(rm:score_batch(b, leaves), read "scores":reshape {-1}, tolerance, name .. ": scores")
          fixtures.close(rm:token_values(b, rows), rlhf.tensor(want), math.max(1e-5, 10 * case.noise.token_scores), name .. ": token scores")
        end
      end)
    end
  end
end)
