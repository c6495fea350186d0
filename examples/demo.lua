-- The main job on data that this project wrote itself, in English and Korean: a tokenizer, a language model, instruction
-- tuning, a reward model from rankings of 4 to 9 answers, PPO, and a report of it all.
--
--   make demo        or   lua5.4 examples/demo.lua [out=out/demo] [seed=1] [size=full] [threads=2]
--
-- A keeper of a little animal park answers visitors. demo_data.lua says by which RULE answers are ranked; PPO never sees
-- it, only the reward model, so that the rule can judge both at the end. Of every animal one kind of question is held
-- back; all figures are of these. size=short is the same in seconds, for tests.
collectgarbage "generational"
package.path = (arg[0]:match "^.*/" or "./") .. "?.lua;" .. package.path
local rlhf = require "rlhf"
local data = require "demo_data"
local support = require "support"

local sizes = {
  full = {texts = 5000, instructions = 6000, rankings = 15000, held = 180, vocab = 1000, dim = 64, layers = 2, lm_epochs = 6,
          sft_epochs = 5, reward_epochs = 3, updates = 80, batch = 64, repeats = 2},
  short = {texts = 800, instructions = 1000, rankings = 500, held = 36, vocab = 700, dim = 32, layers = 2, lm_epochs = 2,
           sft_epochs = 4, reward_epochs = 3, updates = 6, batch = 32, repeats = 1},
}
local given = {out = "out/demo", seed = 1, size = "full", threads = rlhf.threads()}
support.read_arguments(given, arg)
local o = sizes[given.size] or error("size=full or size=short wanted, got size=" .. given.size, 0)
rlhf.threads(given.threads)

local BUDGET, LENGTH = 8.0, 48 -- nats of KL an answer; tokens of an answer
local SHOWN = 8               -- samples of each stage

local say, run = support.clock(), support.run

-- ---- what is asked, and how answers are judged ----

-- A question as the model reads it.
local function with_prompt(row)
  return {prompt = rlhf.data.prompt(row, "plain"), instruction = row.instruction, input = row.input}
end

local function rule(sample) return data.judge(sample.row.instruction, sample.row.input, sample.response) end

-- What a policy answers to the held-back questions, each asked several times; the rule's mean score and, where there
-- is a reward model, its own.
local function examine(policy, tok, rows, reference, rm)
  local asked = {}
  for _ = 1, o.repeats do table.move(rows, 1, #rows, #asked + 1, asked) end
  local found = support.examine(policy, tok, asked, {max_new_tokens = LENGTH, seed = 99, judges = {rule, rm}, reference = reference})
  found.rule, found.reward = found.scores[1], found.scores[2]
  return found
end

local function show(title, rows, found)
  print(("        %s: the rule gives %.2f of 1; %.0f %% of answers end"):format(title, found.rule, 100 * found.ended))
  for i = 1, 4 do print(("          %s -> %s"):format((rows[i].prompt:gsub("\n", " ")), found.texts[i])) end
end

-- ---- the stages ----

local function train_tokenizer(d)
  local texts = {}
  for _, row in ipairs(d.texts) do texts[#texts + 1] = row.text end
  for _, row in ipairs(d.instructions) do texts[#texts + 1] = rlhf.data.prompt(row, "plain") .. row.output end
  return rlhf.tokenizer.train {text = texts, vocab_size = o.vocab, eos = "<end>"}
end

local function pretrain(d, tok)
  local model = rlhf.model {layers = o.layers, dim = o.dim, heads = 4, vocab = #tok, context = 128, seed = given.seed}
  local trainer = rlhf.sft {model = model, tokenizer = tok, data = d.texts, eval = d.held_texts, epochs = o.lm_epochs,
    batch_tokens = 2048, lr = 4e-3, warmup = 0.1, seed = given.seed, quiet = true}
  return model, trainer, run(trainer)
end

local function tune(model, d, tok)
  local trainer = rlhf.sft {model = model, tokenizer = tok, data = d.instructions, template = "plain",
    epochs = o.sft_epochs, batch_tokens = 2048, lr = 3e-3, warmup = 0.1, seed = given.seed, quiet = true}
  return trainer, run(trainer)
end

-- On the tuned model's trunk: it has read such answers already. To find faults in answers to questions that it was never
-- asked takes many rankings rather than many passes. `center` keeps scores about 0.5, where the sigmoid tells better
-- from good.
local function train_reward_model(policy, d, tok)
  local rm = rlhf.reward_model(policy:clone(), {tokenizer = tok, template = "plain", seed = given.seed})
  local trainer = rlhf.reward {model = rm, data = d.rankings, eval = d.held_rankings, epochs = o.reward_epochs, lr = 1.5e-3,
    warmup = 10, weight_decay = 0.1, center = 0.01, seed = given.seed, quiet = true}
  return rm, trainer, run(trainer)
end

-- The critic begins with a head of zeros, so it learns faster than the policy. The controller moves beta by at most 4 %
-- an update, so that the KL does not shoot past its budget while it is still small.
local function improve(policy, rm, tok, prompts)
  local trainer = rlhf.ppo {policy = policy, tokenizer = tok, reward = rm, prompts = prompts, updates = o.updates,
    batch = o.batch, minibatches = 2, max_new_tokens = LENGTH, lr = 5e-4, schedule = "linear", critic_lr = 2e-3,
    seed = given.seed, quiet = true, kl = {beta = 0.02, target = 0.8 * BUDGET, horizon = 320}}
  return trainer, run(trainer)
end

-- ---- the report ----

local function add_ranking(report, row)
  local rows = {}
  for i, response in ipairs(row.responses) do
    rows[i] = {tostring(row.ranking[i]), response, ("%.1f"):format(data.judge(row.instruction, row.input, response))}
  end
  table.sort(rows, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] < b[2] end)
  report:samples {title = row.instruction .. " " .. row.input, columns = {"rank", "answer", "the rule"}, rows = rows}
end

-- Scores of held-back answers by what the rule says of them.
local function add_scores(report, rm, rankings)
  local good, bad = {name = "the rule: 0.6 and more", values = {}}, {name = "the rule: below 0.6", values = {}}
  for _, row in ipairs(rankings) do
    local items = {}
    for i, response in ipairs(row.responses) do
      items[i] = {instruction = row.instruction, input = row.input, response = response}
    end
    for i, s in ipairs(support.scores(rm, items)) do
      table.insert((data.judge(row.instruction, row.input, row.responses[i]) >= 0.6 and good or bad).values, s)
    end
  end
  report:histogram {title = "Scores of held-back answers", x = "score", series = {good, bad}, bins = 20, low = 0, high = 1}
end

local function add_samples(report, rows, stages)
  local list = {}
  for i = 1, SHOWN do
    list[i] = {(rows[i].prompt:gsub("\n", " "))}
    for k, found in ipairs(stages) do list[i][k + 1] = found.texts[i] end
  end
  report:samples {title = "Held-back questions", columns = {"question", "pretrained", "tuned", "after PPO"}, rows = list}
end

local function write_report(made, figures)
  local report = rlhf.report {title = "A keeper learns to answer"}
  report:text("From a tokenizer to PPO, on data made by a rule that PPO never sees. All figures are of questions held back.")
  report:figures(figures)
  add_samples(report, made.rows, made.stages)
  report:section "Data":text("One ranking of those held back. The rule: "
    .. "stars for what was asked, further true facts and kind words, less for each fault.")
  add_ranking(report, made.d.held_rankings[1])
  for _, stage in ipairs(made.trained) do report:section(stage[1]):stage(stage[2], stage[3], stage[4]) end
  report:section "Scores"
  add_scores(report, made.rm, made.d.held_rankings)
  return report
end

local function main()
  local d = data.make {seed = given.seed, texts = o.texts, instructions = o.instructions, rankings = o.rankings, held = o.held}
  local rows = {}
  for i, row in ipairs(d.held_prompts) do rows[i] = with_prompt(row) end
  local tok = train_tokenizer(d)
  local model, lm, lm_log = pretrain(d, tok)
  say("1. %s; %s", tok, model)
  local untuned = examine(model, tok, rows)
  show("pretrained", rows, untuned)

  local tuner, sft_log = tune(model, d, tok)
  local tuned = examine(model, tok, rows)
  say("2. instruction tuning: loss %.3f", sft_log[#sft_log].loss)
  show("tuned", rows, tuned)

  local rm, ranker, rm_log = train_reward_model(model, d, tok)
  local accuracy = rm_log[#rm_log].eval_accuracy
  say("3. reward model: %.1f %% of held-back pairs in order", 100 * accuracy)

  local policy, prompts = model:clone(), {}
  for i, row in ipairs(d.prompts) do prompts[i] = with_prompt(row) end
  local before = examine(policy, tok, rows, model, rm)
  local ppo, ppo_log = improve(policy, rm, tok, prompts)
  local after = examine(policy, tok, rows, model, rm)
  say("4. PPO")
  show("after PPO", rows, after)
  print(("        reward %.3f -> %.3f; the rule %.3f -> %.3f; KL %.2f nats of a budget of %g"):format(
    before.reward, after.reward, before.rule, after.rule, after.kl, BUDGET))
  print(("        ended %.2f -> %.2f; tokens %.1f -> %.1f"):format(before.ended, after.ended, before.length, after.length))

  local report = write_report({d = d, rm = rm, rows = rows, stages = {untuned, tuned, after}, trained = {
    {"1. Language model", lm, lm_log}, {"2. Instruction tuning", tuner, sft_log}, {"3. Reward model", ranker, rm_log},
    {"4. PPO", ppo, ppo_log, {budget = BUDGET}}}}, {
    {"held-back pairs in order", ("%.1f %%"):format(100 * accuracy)},
    {"mean reward", ("%.2f → %.2f"):format(before.reward, after.reward)},
    {"the rule, unseen", ("%.2f → %.2f"):format(before.rule, after.rule)},
    {"KL, budget " .. BUDGET, ("%.1f nats"):format(after.kl)}})
  assert(rlhf.save(given.out .. "/sft", model, tok))
  assert(rlhf.save(given.out .. "/policy", policy, tok))
  assert(rlhf.save(given.out .. "/reward_model", rm, tok))
  assert(report:save(given.out .. "/report.html"))
  say("report: %s/report.html", given.out)
end

main()
