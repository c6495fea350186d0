-- Instruction tuning of tiny models: that it learns, that batches are cut without effect, that it goes on bit for bit.
local core = require "rlhf.core"
local d = require "rlhf.data"
local models = require "rlhf.model"
local optim = require "rlhf.optim"
local batch = require "rlhf.batch"
local sft = require "rlhf.sft"
local support = require "support.data"

local function tiny()
  return models {arch = "llama", layers = 2, dim = 32, heads = 2, vocab = 258, context = 128, seed = 1}
end

local rows = {}
for i = 1, 12 do
  rows[i] = {prompt = ("say %d: "):format(i), completion = ("number %d%s"):format(i, ("!"):rep(i % 4))}
end

local function options(other)
  local o = {model = tiny(), tokenizer = support.bytes, data = d.list(rows), lr = 3e-3, batch_tokens = 80, quiet = true, seed = 5}
  for key, v in pairs(other or {}) do o[key] = v end
  return o
end

local function weights(model)
  local out = {}
  for i, p in ipairs(model:parameters()) do out[i] = p:totable() end
  return out
end

local function largest_difference(a, b)
  if type(a) == "number" then return math.abs(a - b) end
  local most = 0
  for i in ipairs(a) do most = math.max(most, largest_difference(a[i], b[i])) end
  return most
end

local function temporary(f)
  local out = os.tmpname()
  os.remove(out)
  local ok, message = pcall(f, out)
  os.execute(("rm -rf '%s'"):format(out))
  if not ok then error(message, 0) end
end

describe("rlhf.sft", function()
  it("learns, and reports what TRL's users know", function()
    local first
    local t = sft(options {epochs = 25, lr = 1e-2, eval = d.list {rows[1], rows[5]}})
    for _, metrics in t:steps() do first = first or metrics end
    assert.is_true(first.loss > 5 and first.loss < 6) -- log 258 = 5.55 for a model that knows nothing
    assert.is_true(t.last.loss < 2.5, t.last.loss)
    assert.is_true(t.last.eval_loss < 2.5)
    assert.is_true(t.last.mean_token_accuracy > 0.3 and t.last.mean_token_accuracy <= 1)
    assert.equal(25, t.last.epoch)
    assert.is_true(first.grad_norm > 0)
    local per_epoch = 0
    for _, row in ipairs(rows) do per_epoch = per_epoch + #row.prompt + #row.completion + 2 end
    assert.equal(25 * per_epoch, t.last.num_tokens)
  end)

  it("takes a step as its formula says", function()
    -- by hand: loss over all trained tokens, clip, AdamW at rate lr * schedule(0)
    local o = options {data = {rows[2]}, epochs = 1, schedule = "constant", weight_decay = 0.1, clip = 0.5}
    local last = sft(o):run()
    local model, row = tiny(), support.rows(d.instructions({rows[2]}, support.bytes))[1]
    local opt = optim.adamw(model:parameters(), {lr = 3e-3, weight_decay = 0.1})
    local loss = model:loss(batch.sequences({row.ids}, {labels = {row.labels}}))
    loss:backward()
    local norm = opt:clip(0.5)
    opt:step(3e-3)
    assert.equal(loss:item(), last.loss)
    assert.equal(norm, last.grad_norm)
    assert.same(weights(model), weights(o.model))
  end)

  it("gives the same whether a step is one batch or several", function()
    -- rows of unequal trained tokens: a mean of means would differ in the second digit
    local one = options {shuffle = false, batch_tokens = 10000, clip = 0, epochs = 2}
    local many = options {shuffle = false, batch_tokens = 40, accumulate = 100, clip = 0, epochs = 2}
    local a, b = sft(one):run(), sft(many):run()
    assert.is_true(math.abs(a.loss - b.loss) < 1e-5, ("%g, %g"):format(a.loss, b.loss))
    assert.is_true(math.abs(a.grad_norm - b.grad_norm) < 1e-4 * a.grad_norm)
    -- Adam's first steps divide a gradient by its size: rounding shows in full where that is 1e-8
    local third = options {shuffle = false, batch_tokens = 10000, clip = 0, epochs = 2, lr = 1e-4}
    local fourth = options {shuffle = false, batch_tokens = 40, accumulate = 100, clip = 0, epochs = 2, lr = 1e-4}
    sft(third):run()
    sft(fourth):run()
    assert.is_true(largest_difference(weights(third.model), weights(fourth.model)) < 5e-5)
  end)

  it("goes on from a checkpoint bit for bit, in the middle of an epoch and between two", function()
    temporary(function(out)
      local function run(name, other)
        local o = options {epochs = 2, accumulate = 2, output = out .. name, warmup = 0.25}
        for key, v in pairs(other or {}) do o[key] = v end
        return sft(o), o
      end
      local whole, a = run "/whole"
      local last = whole:run()
      assert.equal(4, whole.total_steps)
      for _, stop in ipairs {1, 2} do
        for step in run("/cut", {save_every = 1}):steps() do
          if step == stop then break end
        end
        local other = models {arch = "llama", layers = 2, dim = 32, heads = 2, vocab = 258, context = 128, seed = 77}
        local resumed, b = run("/cut", {resume = true, model = other})
        assert.equal(stop, resumed.done)
        assert.same(last, resumed:run())
        assert.same(weights(a.model), weights(b.model))
      end
    end)
  end)

  it("gives the same bits with one thread and with two", function()
    local before, bits = core.threads(), {}
    for n = 1, 2 do
      core.threads(n)
      local o = options {epochs = 2}
      sft(o):run()
      bits[n] = weights(o.model)
    end
    core.threads(before)
    assert.same(bits[1], bits[2])
  end)

  it("holds a bare iterator's rows, and takes rows that have ids", function()
    local i = 0
    local function iterator()
      i = i + 1
      return rows[i]
    end
    assert.equal(2, sft(options {data = iterator, epochs = 2}):run().epoch)
    local o = options {data = {{ids = {1, 2, 3}}, {ids = {4, 5}, labels = {-100, 5}}}}
    o.tokenizer = nil
    assert.equal(5, sft(o):run().num_tokens)
  end)

  it("tells rows that are left out", function()
    local t = sft(options {data = {{prompt = ("x"):rep(20), completion = "y"}, rows[1]}, max_length = 15})
    assert.matches("1 rows are left out, the first: row 1: no trained token", t.warnings["skipped rows"])
  end)

  it("refuses what it can't do", function()
    assert.error_matches(function() sft(options {schedule = "cosin"}) end, "'cosine', 'linear' or 'constant' wanted")
    assert.error_matches(function() sft(options {epochs = 0}) end, "rlhf.sft: epochs: a whole number from 1 wanted, got 0")
    assert.error_matches(function() sft(options {data = {}}) end, "the data has no rows to train on")
    assert.error_matches(function() sft(options {batchtokens = 3}) end, "did you mean 'batch_tokens'")
    assert.error_matches(function() sft {data = {}} end, "rlhf.sft: option 'model' wanted")
  end)
end)
