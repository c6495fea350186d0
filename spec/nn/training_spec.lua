-- Whole training steps: the same bits with any number of threads, no system calls after the largest batch,
-- and a small model that learns. Rests on models of rlhf.model.
local rlhf = require "rlhf"
local samples = require "support.samples"

local MODELS = {
  {arch = "gpt2", layers = 2, dim = 64, heads = 4, vocab = 300, context = 160, seed = 1},
  {arch = "llama", layers = 2, dim = 64, heads = 4, kv_heads = 2, vocab = 300, context = 160, seed = 1},
}

-- A batch of `n` rows of up to `longest` tokens, each its forerunner's double plus one, modulo 300.
local function draw(random, n, longest)
  local rows = {}
  for r = 1, n do
    rows[r] = {math.floor(random() * 300)}
    for t = 2, 1 + math.floor(random() * (longest - 1)) + 1 do rows[r][t] = (2 * rows[r][t - 1] + 1) % 300 end
  end
  return rlhf.batch.sequences(rows)
end

local function step(model, opt, b)
  local scope <close> = rlhf.scope()
  local loss = model:loss(b)
  loss:backward()
  opt:clip(1)
  assert(opt:step())
  return loss:item()
end

-- Losses and final weights of some steps.
local function train(options, threads, steps)
  rlhf.threads(threads)
  local model, random = rlhf.model(options), samples.generator "threads"
  local opt, losses = rlhf.optim.adamw(model:parameters(), {lr = 3e-3}), {}
  for i = 1, steps do losses[i] = step(model, opt, draw(random, 4, 60)) end
  local weights = {}
  for i, p in ipairs(model:parameters()) do weights[i] = p:totable() end
  opt:close()
  return losses, weights
end

describe("training", function()
  local before = rlhf.threads()
  after_each(function() rlhf.threads(before) end)

  for _, options in ipairs(MODELS) do
    it("gives the same bits with 1 and 2 threads: " .. options.arch, function()
      local one, one_weights = train(options, 1, 100)
      local two, two_weights = train(options, 2, 100)
      assert.same(one, two)
      assert.same(one_weights, two_weights)
      assert.is_true(one[100] < one[1] - 0.5) -- and it has learnt something
    end)
  end

  it("#limits: asks the system for nothing once the largest batch has been seen", function()
    local model, random = rlhf.model(MODELS[2]), samples.generator "ragged"
    local opt = rlhf.optim.adamw(model:parameters(), {lr = 1e-3})
    local longest = {}
    for r = 1, 6 do
      longest[r] = {}
      for t = 1, 121 do longest[r][t] = t end
    end
    local function ragged()
      local b <close> = draw(random, 1 + math.floor(random() * 6), 120) -- goes with the step, not when the collector likes
      step(model, opt, b)
    end
    longest = rlhf.batch.sequences(longest)
    for _ = 1, 20 do
      step(model, opt, longest)
      ragged()
    end
    local calls, peak = rlhf.memory().system_calls, rlhf.memory().peak
    for _ = 1, 200 do ragged() end
    local memory = rlhf.memory()
    assert.equal(calls, memory.system_calls)
    assert.is_true(memory.held <= 1.25 * peak, ("%d bytes held, %d at most in use"):format(memory.held, peak))
    opt:close()
  end)
end)
