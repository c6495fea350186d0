-- PPO on a model that writes stories, with a reward written in Lua: short words score high. The KL to the model
-- as it was is held below a budget by an adaptive coefficient, which aims at 80 % of it.
-- Usage: lua5.4 examples/stories.lua FOLDER [PROMPTS.jsonl] [UPDATES] [SEED]
-- FOLDER is a model folder with a tokenizer, e.g. a TinyStories model; PROMPTS.jsonl has a `prompt` in each row.
local rlhf = require "rlhf"

local folder, prompts_file, updates, seed = arg[1], arg[2], tonumber(arg[3] or 30), tonumber(arg[4] or 1)
if not folder then
  io.stderr:write "usage: lua5.4 examples/stories.lua FOLDER [PROMPTS.jsonl] [UPDATES] [SEED]\n"
  os.exit(2)
end

local policy, tok = assert(rlhf.load(folder))

local prompts = {"Once upon a time, there was a little girl", "One day, a boy named Tom", "The dog and the cat",
  "Lily went to the park with her mom.", "There was a big red ball.", "Ben and Mia were best friends.",
  "In the forest lived a small bear.", "Mom said it was time for bed."}
if prompts_file then
  prompts = {}
  for line in io.lines(prompts_file) do prompts[#prompts + 1] = rlhf.json_decode(line).prompt end
end

-- The reward: 1 where all words have three letters or fewer, 0 where all have six or more.
local function short_words(sample)
  local letters, words = 0, 0
  for word in sample.response:gmatch "%a+" do
    letters, words = letters + #word, words + 1
  end
  if words == 0 then return 0 end
  return math.max(0, math.min(1, (6 - letters / words) / 3))
end

local BUDGET = 10 -- nats of KL a response

local function samples(title)
  print("\n" .. title)
  for i = 1, 3 do
    local ids = tok:encode(prompts[i])
    local out = policy:generate(ids, {max_new_tokens = 48, seed = 7})
    print(("  %s [%s]"):format(prompts[i], (tok:decode(out, {skip_special = true}):gsub("\n", " "))))
  end
end

samples "before:"
local trainer = rlhf.ppo {
  policy = policy, tokenizer = tok, reward = short_words, prompts = prompts, updates = updates, batch = 32,
  max_new_tokens = 48, seed = seed, lr = 3e-4, kl = {beta = 0.03, target = 0.8 * BUDGET, horizon = 64},
  log_every = 5,
}
local recent, first = {}, nil -- the last five updates: one batch of 32 stories alone is noisy
for _, m in trainer:steps() do
  first = first or m
  recent[#recent + 1] = m
  if #recent > 5 then table.remove(recent, 1) end
end
samples "after:"

local reward, kl = 0, 0
for _, m in ipairs(recent) do
  reward, kl = reward + m["objective/scores"] / #recent, kl + m["objective/kl"] / #recent
end
print(("\nreward %.3f -> %.3f, KL %.2f a response of a budget of %d"):format(first["objective/scores"], reward, kl, BUDGET))
