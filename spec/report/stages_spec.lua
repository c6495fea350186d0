-- lua/rlhf/report/stages.lua: which charts a trainer's log has.
local markup = require "support.markup"
local rlhf = require "rlhf"
local trainer = require "rlhf.trainer"

-- The titles of a stage's charts, and the page.
local function titles(name, log, options, known)
  local html = rlhf.report {title = "t"}:stage({name = name, options = known or {}}, log, options):html()
  local out = {}
  for _, e in ipairs(markup.elements(html, "svg")) do
    out[#out + 1] = e.attributes["aria-label"]:match "^(.-) %("
  end
  return out, html
end

local function log_of(keys, n)
  local log = {}
  for i = 1, n or 3 do
    log[i] = {epoch = i, eps = 1}
    for k, key in ipairs(keys) do log[i][key] = i + k end
  end
  return log
end

describe("stage", function()
  it("sft: loss, accuracy, learning rate, and what else the log has", function()
    local log = log_of {"loss", "mean_token_accuracy", "grad_norm", "learning_rate", "num_tokens"}
    log[3].eval_loss, log[3].eval_mean_token_accuracy = 4, 5
    local list, html = titles("sft", log, nil, {lr = 1e-3})
    assert.same({"Loss", "Token accuracy", "Learning rate", "Gradient norm", "Tokens seen"}, list)
    assert.equal("training, last 4", markup.elements(html, "li")[1].text)
    assert.equal("held back, last 4", markup.elements(html, "li")[2].text)
    assert.equal("Options in force: sft", markup.elements(html, "summary")[1].text)
  end)

  it("reward: loss, accuracy, margin, scores, accuracy by number of answers", function()
    local log = log_of {"loss", "accuracy", "margin", "mean_reward", "min_reward", "max_reward", "accuracy_k4", "accuracy_k9"}
    local list, html = titles("reward", log)
    assert.same({"Ranking loss", "Accuracy", "Margin", "Scores", "Accuracy by number of answers"}, list)
    assert.matches("chance 0.5", html, 1, true)
    local names = {}
    for i, e in ipairs(markup.elements(html, "li")) do names[i] = e.text:match "^[^,]+" end
    assert.same({"mean", "lowest", "highest", "4 answers", "9 answers"}, names)
  end)

  it("reward: no chart by number of answers where all have as many", function()
    assert.same({"Accuracy"}, (titles("reward", log_of {"accuracy", "accuracy_k4"})))
  end)

  it("ppo: reward, KL within its budget, lengths, ends, losses, entropy, clipping", function()
    local log = log_of {"objective/scores", "objective/kl", "objective/kl_coef", "completions/mean_length",
      "completions/ended", "policy/entropy_avg", "loss/policy_avg", "loss/value_avg", "policy/clipfrac_avg", "val/clipfrac_avg"}
    local list, html = titles("ppo", log, {budget = 8}, {["kl.target"] = 6})
    assert.same({"Reward", "KL from the reference", "KL coefficient", "Length of answers", "Answers that end",
      "Entropy of the policy", "Policy loss", "Value loss", "Clip fraction"}, list)
    assert.matches(">budget 8<", html, 1, true)
    assert.matches(">target 6<", html, 1, true)
    local _, without = titles("ppo", log)
    assert.is_nil(without:find ">budget")
  end)

  it("speaks Korean", function()
    local html = rlhf.report {title = "t", language = "ko"}:stage({name = "ppo"}, log_of {"objective/kl"}, {budget = 8}):html()
    assert.matches("기준 모델과의 KL", html)
    assert.matches("예산 8", html)
    assert.matches("마지막", html)
  end)

  it("has a chart of each number of a trainer that it doesn't know", function()
    assert.same({"a", "b"}, (titles("mine", {{b = 1, word = "w", step = 1}, {a = 2, step = 2}})))
  end)

  it("draws no time: the same run gives the same page", function()
    for _, name in ipairs {"sft", "reward", "ppo"} do assert.same({}, (titles(name, log_of {}))) end
  end)

  it("says that nothing was logged", function()
    local _, html = titles("sft", {})
    assert.equal("Nothing was logged.", markup.elements(html, "p")[1].text)
  end)

  it("takes a trainer as it is", function()
    local t = trainer.new {name = "sft", total_steps = 3, quiet = true, options = {lr = 0.1},
                           step = function(n) return {loss = 1 / n} end}
    local log = {}
    for _, metrics in t:steps() do log[#log + 1] = metrics end
    local html = rlhf.report {title = "t"}:stage(t, log):html()
    assert.equal("Loss (step). training: 0.3333 … 1, last 0.3333", markup.elements(html, "svg")[1].attributes["aria-label"])
  end)
end)
