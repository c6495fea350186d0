-- The main job on real people's judgements: Korean film reviews with ratings from 1 to 10 (the NSMC corpus).
--
--   lua5.4 examples/nsmc.lua FOLDER [out=out/nsmc] [seed=1] [reviews=10000] [updates=120] ...
--
-- FOLDER is the corpus as it is cloned, or has reviews.jsonl (text, rating and movie in each row).
-- A tokenizer and a language model from the reviews; rankings of 4 to 9 reviews by their ratings; a reward model from
-- the rankings; PPO from the first words of reviews. Films are parted before anything is learnt: `main` ones teach the
-- reward model, `other` ones a second one, which PPO never asks, and `held` ones nobody: accuracies, prompts and
-- samples are theirs. Writes report.html and the models into the folder `out`.
collectgarbage "generational"
package.path = (arg[0]:match "^.*/" or "./") .. "?.lua;" .. package.path
local rlhf = require "rlhf"
local corpus = require "nsmc_data"
local ngrams = require "ngrams"
local support = require "support"

local o = {out = "out/nsmc", seed = 1, reviews = 10000, vocab = 1500, dim = 64, layers = 2, lm_epochs = 12,
           rm_epochs = 5, drop = 0.5, updates = 120, batch = 64, prompts = 300, budget = 6.0}
local folder = table.remove(arg, 1)
if not folder then
  io.stderr:write "usage: lua5.4 examples/nsmc.lua FOLDER [KEY=VALUE ...]: FOLDER holds the NSMC corpus\n"
  os.exit(2)
end
support.read_arguments(o, arg)
math.randomseed(o.seed)

local LENGTH = 40 -- tokens of a continuation

local say, run = support.clock(), support.run

-- ---- 1. text: tokenizer and language model ----

local function texts_of(films)
  local list = {}
  for i, review in ipairs(corpus.reviews(films)) do list[i] = {text = corpus.HEAD .. " " .. review.text} end
  return list
end

local function train_language_model(films, held)
  local rows, texts = texts_of(films), {}
  for i, row in ipairs(rows) do texts[i] = row.text end
  local tok = rlhf.tokenizer.train {text = texts, vocab_size = o.vocab, eos = "<end>"}
  local model = rlhf.model {layers = o.layers, dim = o.dim, heads = 4, vocab = #tok, context = 192, seed = o.seed}
  say("%s\n        %s", tok, model)
  local trainer = rlhf.sft {model = model, tokenizer = tok, data = rows, eval = texts_of(held), epochs = o.lm_epochs,
    batch_tokens = 1024, lr = 3e-3, warmup = 20, weight_decay = 0.1, seed = o.seed, quiet = true}
  local log = run(trainer)
  say("language model: loss %.3f, on held-back films %.3f nats a token", log[#log].loss, log[#log].eval_loss)
  return model, tok, trainer, log
end

-- ---- 2. rankings to reward models ----

local function train_reward_model(films, model, tok)
  local rm = rlhf.reward_model(model:clone(), {tokenizer = tok, seed = o.seed})
  local rankings = corpus.rankings(films, tok, o.rm_epochs, o.drop)
  local trainer = rlhf.reward {model = rm, data = rankings, prompts = 16, lr = 2e-3, warmup = 20, weight_decay = 0.1, center = 0.01,
    seed = o.seed, quiet = true}
  return rm, trainer, run(trainer)
end

-- A function that scores a film's reviews, all of which are scored at once.
local function scorer(rm, films)
  local reviews, items, scores = corpus.reviews(films), {}, {}
  for i, review in ipairs(reviews) do items[i] = {prompt = corpus.HEAD, response = " " .. review.text} end
  for i, s in ipairs(support.scores(rm, items)) do scores[reviews[i]] = s end
  return function(review) return scores[review] end
end

local function train_ngrams(films)
  local texts, good, order = {}, {}, {}
  for i, review in ipairs(corpus.reviews(films)) do
    texts[i], good[i], order[i] = review.text, corpus.is_good(review), i
  end
  local score = ngrams.train(texts, good, corpus.shuffle(order))
  return function(review) return score(review.text) end
end

local function compare(name, films, score)
  local far, far_pairs = corpus.accuracy(films, score, 5)
  local all, all_pairs = corpus.accuracy(films, score, 1)
  say("%-28s pairs 5 or more stars apart %.1f %% of %d, all pairs %.1f %% of %d", name, 100 * far, far_pairs, 100 * all, all_pairs)
  return {name, ("%.1f %%"):format(100 * far), ("%.1f %%"):format(100 * all)}
end

-- ---- 3. PPO ----

-- In small steps: at three times the rate the KL shoots far past its budget before beta has grown (here a little, for a
-- while), and what comes back into it are the shortest of kind reviews.
local function improve(policy, rm, tok, prompts)
  local trainer = rlhf.ppo {
    policy = policy, tokenizer = tok, reward = rm, prompts = prompts, updates = o.updates, batch = o.batch,
    max_new_tokens = LENGTH, lr = 1e-4, minibatches = 2, kl = {beta = 0.05, target = 0.8 * o.budget, horizon = 256}, seed = o.seed,
    log_every = 10, output = o.out .. "/ppo",
  }
  return trainer, run(trainer)
end

-- ---- 4. the report ----

local function samples(report, prompts, before, after)
  local rows = {}
  for i = 1, math.min(12, #prompts) do
    rows[i] = {prompts[i].prompt, before.texts[i], after.texts[i]}
    if i <= 6 then print(("  %s\n    before:%s\n    after: %s"):format(table.unpack(rows[i]))) end
  end
  report:samples {title = "Reviews of held-back films, begun by people", columns = {"first words", "before PPO", "after PPO"}, rows = rows}
end

local function histogram(report, films, score)
  local good, bad = {}, {}
  for _, review in ipairs(corpus.reviews(films)) do table.insert(corpus.is_good(review) and good or bad, score(review)) end
  report:histogram {title = "Scores of held-back reviews", x = "score", low = 0, high = 1, bins = 20,
    series = {{name = "rated 9 or 10", values = good}, {name = "rated 1 to 4", values = bad}}}
end

local function main()
  local main_films, other_films, held = corpus.part(corpus.read(folder, o.reviews), {0.65, 0.2, 0.15}, o.seed)
  say("films: %d to learn from, %d for the second reward model, %d held back", #main_films, #other_films, #held)
  local report = rlhf.report {title = "Film reviews: from ratings to a kinder reviewer"}

  local known = table.move(other_films, 1, #other_films, #main_films + 1, {table.unpack(main_films)})
  local model, tok, lm_trainer, lm_log = train_language_model(known, held)
  local rm, rm_trainer, rm_log = train_reward_model(main_films, model, tok)
  local second = train_reward_model(other_films, model, tok)
  local score = scorer(rm, held)
  local accuracies = {
    compare("reward model", held, score), compare("second reward model", held, scorer(second, held)),
    compare("linear model of n-grams", held, train_ngrams(main_films)),
  }

  assert(rlhf.save(o.out .. "/language_model", model, tok))
  assert(rlhf.save(o.out .. "/reward_model", rm, tok))
  assert(rlhf.save(o.out .. "/second_reward_model", second, tok))

  local prompts = corpus.beginnings(held, 4 * o.prompts)
  local test = table.move(prompts, 1, math.min(o.prompts, #prompts // 2), 1, {})
  local train = table.move(prompts, #test + 1, #prompts, 1, {})
  local policy = model:clone()
  local judged = {max_new_tokens = LENGTH, seed = o.seed + 7, judges = {rm, second}, reference = model}
  local before = support.examine(policy, tok, test, judged)
  local ppo_trainer, ppo_log = improve(policy, rm, tok, train)
  local after = support.examine(policy, tok, test, judged)
  say("reward model %.3f -> %.3f, second reward model %.3f -> %.3f", before.scores[1], after.scores[1], before.scores[2], after.scores[2])
  say("KL %.2f of a budget of %g; ended %.0f %% -> %.0f %%; tokens %.1f -> %.1f", after.kl, o.budget, 100 * before.ended,
    100 * after.ended, before.length, after.length)

  report:figures {{"pairs 5 stars apart, ordered rightly", accuracies[1][2]},
    {"reward of continuations", ("%.2f → %.2f"):format(before.scores[1], after.scores[1])},
    {"by a second reward model", ("%.2f → %.2f"):format(before.scores[2], after.scores[2])},
    {"KL from the language model", ("%.1f nats"):format(after.kl)}}
  samples(report, test, before, after)
  report:section "1. Language model":stage(lm_trainer, lm_log)
  report:section "2. Reward model":stage(rm_trainer, rm_log)
  report:samples {title = "Pairs of held-back reviews ordered rightly", columns = {"who", "5 or more stars apart", "all"}, rows = accuracies}
  histogram(report, held, score)
  report:section "3. PPO":stage(ppo_trainer, ppo_log, {budget = o.budget})
  report:options("the whole run", o)
  assert(report:save(o.out .. "/report.html"))
  say("the report: %s/report.html", o.out)
end

main()
