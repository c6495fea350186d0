-- The shared loop over a toy: one parameter vector, gradients from a counter-based draw.
local core = require "rlhf.core"
local optim = require "rlhf.optim"
local trainer = require "rlhf.trainer"
local checkpoint = require "rlhf.checkpoint"
local progress = require "rlhf.progress"

local function folder()
  local name = os.tmpname()
  os.remove(name)
  return name
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

-- A trainer over weights w [8]: loss = sum((w - target of step n)^2). `other` overrides.
local function toy(other)
  local w = core.ones {8}:requires_grad()
  local model = {w = w, parameters = function() return {w} end}
  local opt = optim.adamw({w}, {lr = 0.1})
  local kept = {total = 0, sum = core.zeros {8}}
  local spec = {
    name = "toy", options = {lr = 0.1, betas = {0.9, 0.999}}, total_steps = 6, quiet = true,
    models = {model = model}, optimizers = {main = opt},
    step = function(n)
      local target = core.randn({8}, {seed = 1, stream = n})
      local loss = ((w - target) ^ 2):sum()
      loss:backward()
      opt:step()
      kept.total = kept.total + loss:item()
      kept.sum:copy_(kept.sum + target)
      return {loss = loss:item(), learning_rate = 0.1}
    end,
    state = function() return kept end,
    load_state = function(s) kept = {total = s.total, sum = s.sum} end,
  }
  for key, v in pairs(other or {}) do spec[key] = v end
  return trainer.new(spec), w, function() return kept end
end

describe("trainer", function()
  local made = {}
  local function temporary()
    made[#made + 1] = folder()
    return made[#made]
  end
  after_each(function()
    for _, f in ipairs(made) do os.execute(("rm -rf '%s'"):format(f)) end
    made = {}
  end)

  it("runs to the end and gives the last metrics", function()
    local t = toy()
    local last = t:run()
    assert.equal(6, t.done)
    assert.is_number(last.loss)
    assert.equal(last, t:run()) -- nothing is left to do
    assert.equal("toy trainer: 6 of 6 steps done", tostring(t))
  end)

  it("iterates, can be left and taken up again", function()
    local seen, t = {}, toy()
    for step in t:steps() do
      seen[#seen + 1] = step
      if step == 2 then break end
    end
    for step in t:steps() do seen[#seen + 1] = step end
    assert.same({1, 2, 3, 4, 5, 6}, seen)
  end)

  it("writes a line of metrics for each step and closes the file when left", function()
    local out = temporary()
    local t = toy {output = out}
    for step in t:steps() do
      if step == 2 then break end
    end
    assert.is_nil(t.log)
    t:run()
    local steps = {}
    for line in read(out .. "/metrics.jsonl"):gmatch "[^\n]+" do
      local entry = assert(core.json_decode(line))
      assert.is_number(entry.loss)
      steps[#steps + 1] = entry.step
    end
    assert.same({1, 2, 3, 4, 5, 6}, steps)
  end)

  it("goes on bit for bit from a checkpoint, tensors and plain values", function()
    local whole, w, kept = toy()
    whole:run()
    local out = temporary()
    local first = toy {output = out, save_every = 3}
    for step in first:steps() do
      if step == 5 then break end -- the checkpoint is of step 3
    end
    local second, w2, kept2 = toy {output = out, resume = true}
    assert.equal(3, second.done)
    second:run()
    assert.same(w:totable(), w2:totable())
    assert.equal(kept().total, kept2().total)
    assert.same(kept().sum:totable(), kept2().sum:totable())
    assert.equal(whole.last.loss, second.last.loss)
    local _, lines = read(out .. "/metrics.jsonl"):gsub("\n", "")
    assert.equal(6, lines) -- steps 4 and 5 of the first sitting stand there once
    local third = toy {output = out, resume = true}
    assert.equal(second.last.loss, third:run().loss)
  end)

  it("leaves the old checkpoint when a save fails", function()
    local out = temporary()
    local t = toy {output = out, save_every = 2}
    local ok, message = pcall(function()
      for step in t:steps() do
        if step == 3 then core.fail_saves(1, true) end
      end
    end)
    core.fail_saves(0)
    assert.is_false(ok)
    assert.matches("^toy: .*cannot write", message)
    assert.equal(2, toy({output = out, resume = true}).done)
  end)

  it("tells an incomplete checkpoint and another trainer's", function()
    local out = temporary()
    toy({output = out}):run()
    local _, message = pcall(toy, {output = out, resume = true, name = "other"})
    assert.matches("other: .*made by 'toy', this is 'other'", message)
    os.remove(out .. "/checkpoint/step-6.safetensors")
    _, message = pcall(toy, {output = out, resume = true})
    assert.matches("incomplete checkpoint", message)
    assert.is_true(checkpoint.exists(out .. "/checkpoint"))
  end)

  it("begins at the beginning where there is no checkpoint", function()
    assert.equal(0, toy({output = temporary(), resume = true}).done)
  end)

  it("passes over skipped steps and gives up after ten in a row", function()
    local t = toy {total_steps = 40, step = function(n)
      if n == 2 or n > 4 then return nil, "gradient is not finite" end
      return {loss = n}
    end}
    local seen = {}
    local ok, message = pcall(function()
      for step in t:steps() do seen[#seen + 1] = step end
    end)
    assert.is_false(ok)
    assert.same({1, 3, 4}, seen)
    assert.equal("toy: 10 steps in a row were skipped, the last because: gradient is not finite", message)
    assert.equal(11, t.skipped)
    assert.matches("step 2 is skipped: gradient", t.warnings.skipped)
  end)

  it("passes a step's error through and can go on", function()
    local failed
    local t = toy {step = function(n)
      if n == 3 and not failed then
        failed = true
        error("reward: no such file", 0)
      end
      return {loss = n}
    end}
    local ok, message = pcall(t.run, t)
    assert.is_false(ok)
    assert.equal("reward: no such file", message)
    assert.equal(6, t:run().loss)
  end)

  it("writes metrics that are not finite as words", function()
    local out = temporary()
    toy({output = out, total_steps = 1, step = function() return {loss = 0 / 0, x = math.huge} end}):run()
    local entry = core.json_decode(read(out .. "/metrics.jsonl"))
    assert.matches("nan", entry.loss)
    assert.equal("inf", entry.x)
  end)

  it("warns once for each key", function()
    local t = toy()
    t:warn("kl", "one")
    t:warn("kl", "two")
    assert.same({kl = "one"}, t.warnings)
  end)

  it("refuses wrong options", function()
    assert.has_error(function() trainer.new {name = "toy", total_steps = 3} end, "rlhf.trainer: option 'step' wanted")
    assert.error_matches(function() toy {total_steps = 0} end, "toy: total_steps: a whole number from 1 wanted, got 0")
    assert.error_matches(function() toy {resume = true} end, "toy: resume: wants an output folder")
    assert.error_matches(function() toy {sav_every = 1} end, "did you mean 'save_every'")
  end)
end)

describe("progress", function()
  it("shows rate, time left and chosen metrics", function()
    assert.equal("sft 20/100  2.0 steps/s  0:40 left  loss 1.235",
      progress.line("sft", 20, 100, 10, 5, {loss = 1.23456, x = 1}, {"loss", "missing"}))
    assert.equal("sft 1/9000  4.0 s/step  9:59:56 left", progress.line("sft", 1, 9000, 1, 4, {}, {}))
  end)

  it("shows options sorted", function()
    assert.equal("sft:\n  betas = {0.9, 0.999}\n  lr = 2e-05\n  model = x\n",
      progress.options("sft", {lr = 2e-5, betas = {0.9, 0.999}, model = "x"}))
  end)
end)
