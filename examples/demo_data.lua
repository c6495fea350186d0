-- The data of examples/demo.lua, made by a seed alone: a keeper of a little animal park answers visitors.
--
-- THE RULE that ranks answers gives 0 to 5 stars. An answer is read sentence by sentence.
--   +2  it does what was asked: the true fact that the question wants; any true fact where the visitor wants to be told
--       about the animal; the visitor's own name in a greeting at the beginning where he is to be greeted
--   +1  for each further true fact about the animal, at most two of them
--   +1  for kind words at the end
--   -2  for each sentence that is at fault: untrue, about another animal, rude, a greeting of somebody else, the same as
--       one before it, or not understood: off the topic, broken, in the other language, not brought to its end
-- Below 0 counts as 0; the judge returns a fifth of the stars, 0 to 1. So one true sentence said over and over is
-- worth nothing, and nor is silence.
--
-- Answers are of mixed quality, as texts from the net are: each has a writer, more or less careful. Of every animal one
-- kind of question is held back, in both languages: no instruction, ranking or PPO prompt has it. What it
-- takes to answer it well is in the texts for pretraining, and in answers to other questions.
local rlhf = require "rlhf"
local world = require "demo_world"

local M = {}

-- ---- the rule ----

local function is_true(said, animal)
  return said.fact and said.owner == animal and (said.subject == nil or said.subject == animal)
end

-- What counts as the same: a fact may be told with the animal's name or without.
local function same(said) return said.fact and said.owner.en.name .. " " .. said.fact or said.text end

-- How many sentences are at fault, the true facts by kind, and whether the right visitor is greeted at the beginning.
local function weigh(sentences, asked, name)
  local faults, facts, seen, greeted = 0, {}, {}, false
  for i, said in ipairs(sentences) do
    if seen[same(said)] then faults = faults + 1
    elseif i == 1 and said.greets and said.greets == name then greeted = true
    elseif is_true(said, asked.animal) then facts[said.fact] = true
    elseif not said.kind then faults = faults + 1 end
    seen[same(said)] = true
  end
  return faults, facts, greeted
end

--- The rule above.
-- @tparam string instruction one of the world's questions
-- @tparam ?string input the visitor's name, or ""
-- @tparam string response
-- @treturn number 0 to 1
function M.judge(instruction, input, response)
  local asked = world.read_question(instruction) or error("judge: no question of this world: " .. instruction, 2)
  local sentences = world.read(asked.language, response)
  local faults, facts, greeted = weigh(sentences, asked, input)
  local further = 0
  for _ in pairs(facts) do further = further + 1 end
  local answered = facts[asked.ask] or asked.ask == "about" and further > 0
  if answered then further = further - 1 end
  local stars = math.min(2, further) - 2 * faults
  if answered or greeted then stars = stars + 2 end
  if #sentences > 0 and sentences[#sentences].kind then stars = stars + 1 end
  return math.max(0, stars) / 5
end

-- ---- chance ----

local BLOCK = 4096

-- An endless row of draws that depends on seed and stream alone: dice(n) gives 1 to n, dice() gives [0, 1).
local function new_dice(seed, stream)
  local draws, at, block = {}, BLOCK, 0
  return function(n)
    if at == BLOCK then
      draws, at, block = rlhf.rand({BLOCK}, {seed = seed, stream = stream << 20 | block}):totable(), 0, block + 1
    end
    at = at + 1
    return n and math.floor(draws[at] * n) + 1 or draws[at]
  end
end

local function pick(dice, list) return list[dice(#list)] end

local function pick_other(dice, list, but)
  local one
  repeat one = pick(dice, list) until one ~= but
  return one
end

local function shuffled(dice, list)
  local out = {}
  for i, x in ipairs(list) do table.insert(out, dice(i), x) end
  return out
end

-- ---- answers ----

-- A sentence about the animal, true if the writer takes care. The animal is named at first, later sometimes.
local function fact_sentence(dice, asked, kind, care, first)
  local subject, owner = asked.animal, asked.animal
  if dice() > 0.2 + 0.8 * care then owner = pick_other(dice, world.animals, owner) end
  if owner ~= subject and dice() < 0.3 then subject = owner end -- true, but of another animal
  if not first and subject == asked.animal and dice() < 0.8 then subject = nil end
  return world.fact(asked.language, subject, owner, kind)
end

-- Which facts an answer has, in order: the asked one first, if the writer has read the question.
local function choose_facts(dice, asked, care)
  local kinds, list = shuffled(dice, world.kinds), {}
  local wanted = 1 + (dice() < 0.3 + 0.5 * care and 1 or 0) + (dice() < 0.2 + 0.6 * care and 1 or 0)
  local read = asked.ask ~= "about" and asked.ask ~= "meet" and dice() < 0.3 + 0.7 * care
  if read then list[1] = asked.ask end
  for _, kind in ipairs(kinds) do
    if #list < wanted and not (read and kind == asked.ask) then list[#list + 1] = kind end
  end
  return list
end

local function ending(dice, language, care)
  local x = dice()
  if x < 0.1 + 0.7 * care then return pick(dice, world.kind_words[language]) end
  return x > 0.75 + 0.25 * care and pick(dice, world.rude_words[language]) or nil
end

local function words_of(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function cut_short(dice, text)
  local words = words_of(text)
  return #words > 1 and table.concat(words, " ", 1, dice(#words - 1)) or text
end

local function any_sentence(dice, language)
  local x, animal = dice(4), pick(dice, world.animals)
  if x == 1 then return pick(dice, world.kind_words[language]) end
  if x == 2 then return world.greeting(language, pick(dice, world.names[language])) end
  return world.fact(language, animal, animal, pick(dice, world.kinds))
end

-- A word is lost, said twice, or stands where another one should.
local function garbled(dice, text, language)
  local words = words_of(text)
  local at, x = dice(#words), dice(3)
  if x == 1 and #words > 1 then table.remove(words, at)
  elseif x == 2 then table.insert(words, at, words[at])
  else table.insert(words, at, pick(dice, words_of(any_sentence(dice, language)))) end
  return table.concat(words, " ")
end

-- An answer by a writer who takes care (0 to 1) and is clumsy (0 to 1).
local function answer(dice, asked, care, clumsy)
  local language, out, kinds = asked.language, {}, choose_facts(dice, asked, care)
  if asked.input ~= "" and dice() < 0.5 + 0.5 * care then
    local right = dice() < 0.5 + 0.5 * care
    out[1] = world.greeting(language, right and asked.input or pick_other(dice, world.names[language], asked.input))
  end
  for i, kind in ipairs(kinds) do out[#out + 1] = fact_sentence(dice, asked, kind, care, i == 1) end
  if dice() < 0.3 * (1 - care) then out[#out + 1] = out[dice(#out)] end
  if dice() < 0.3 * (1 - care) then table.insert(out, dice(#out + 1), pick(dice, world.stray_words[language])) end
  out[#out + 1] = ending(dice, language, care)
  local text = table.concat(out, " ")
  for _ = 1, 2 do
    if dice() < clumsy then text = garbled(dice, text, language) end
  end
  return dice() < 0.2 * (1 - care) and cut_short(dice, text) or text
end

local function some_care(dice) return 0.3 + 0.7 * dice() end

-- ---- rows ----

local function ask(dice, language, animal, kind)
  return {language = language, animal = animal, ask = kind, instruction = world.question(language, animal, kind),
          input = kind == "meet" and pick(dice, world.names[language]) or ""}
end

-- Combinations of animal and kind of question: {animal =, ask =}, those of training and those held back.
local function combinations(seed)
  local train, held = {}, {}
  for i, animal in ipairs(world.animals) do
    for k, kind in ipairs(world.asks) do
      table.insert((i + seed) % #world.asks == k - 1 and held or train, {animal = animal, ask = kind})
    end
  end
  return train, held
end

-- n questions about the combinations, in both languages by turns, each as often as the others.
local function questions(dice, list, n)
  local out = {}
  while #out < n do
    for _, c in ipairs(shuffled(dice, list)) do
      for _, language in ipairs(world.languages) do out[#out + 1] = ask(dice, language, c.animal, c.ask) end
    end
  end
  return table.move(out, 1, n, 1, {})
end

local function instruction_row(dice, asked)
  return {instruction = asked.instruction, input = asked.input, output = answer(dice, asked, some_care(dice), 0.02)}
end

-- Ranks from scores: the best has 1, equal scores have equal ranks.
local function ranks(scores)
  local list = {}
  for i, mine in ipairs(scores) do
    local better = {}
    for _, other in ipairs(scores) do
      if other > mine then better[other] = true end
    end
    list[i] = 1
    for _ in pairs(better) do list[i] = list[i] + 1 end
  end
  return list
end

local function ranking_row(dice, asked)
  local responses, scores = {}, {}
  for i = 1, 3 + dice(6) do
    responses[i] = answer(dice, asked, some_care(dice), 0.1)
    scores[i] = M.judge(asked.instruction, asked.input, responses[i])
  end
  return {instruction = asked.instruction, input = asked.input, responses = responses, ranking = ranks(scores)}
end

-- ---- texts for pretraining: all of them true ----

local function portrait(dice, language, animal)
  local out, kinds = {}, shuffled(dice, world.kinds)
  for i = 1, 1 + dice(3) do
    out[i] = world.fact(language, (i == 1 or dice() < 0.2) and animal or nil, animal, kinds[i])
  end
  return table.concat(out, " ")
end

local tales = {
  en = function(name, animal, other)
    local a, b = animal.en, other.en
    return {
      ("%s came to the park and saw the %s. \"%s!\" said the %s."):format(name, a.name, a.say:gsub("^%l", string.upper), a.name),
      ("The %s eats %s, but the %s eats %s."):format(a.name, a.eat, b.name, b.eat),
      ("%s looked for the %s in %s and found it. It %s."):format(name, a.name, a.live, a.gift),
      ("%s came to the park. \"Hello, %s!\" said the keeper. \"Come and see the %s, %s.\""):format(name, name, a.name, name),
      ("The Korean word for %s is %s."):format(a.name, animal.ko.name),
    }
  end,
  ko = function(name, animal, other)
    local p, a, b = world.particle, animal.ko, other.ko
    return {
      ("%s 님이 공원에 와서 %s 봤어요. \"%s!\" 하고 %s 말했어요."):format(name, p(a.name, "을", "를"), a.say, p(a.name, "이", "가")),
      ("%s %s 먹고, %s %s 먹어요."):format(p(a.name, "은", "는"), p(a.eat, "을", "를"), p(b.name, "은", "는"), p(b.eat, "을", "를")),
      ("%s 님이 %s에서 %s 찾았어요. %s %s."):format(name, a.live, p(a.name, "을", "를"), p(a.name, "은", "는"), a.gift),
      ("%s 님이 공원에 왔어요. \"%s 님, 안녕하세요!\" 하고 사육사가 말했어요. \"%s 님, %s 보러 가요.\""):format(
        name, name, name, p(a.name, "을", "를")),
      ("%s 영어로 %s입니다."):format(p(a.name, "은", "는"), animal.en.name),
    }
  end,
}

local function text_row(dice, i)
  local language, animal = world.languages[i % 2 + 1], pick(dice, world.animals)
  if dice() < 0.5 then return {text = portrait(dice, language, animal)} end
  local other = pick_other(dice, world.animals, animal)
  return {text = pick(dice, tales[language](pick(dice, world.names[language]), animal, other))}
end

-- ---- all of it ----

local function prompt_row(_, asked) return {instruction = asked.instruction, input = asked.input} end

-- A row for each question, made by f with the dice that drew the questions.
local function rows(dice, f, list, n)
  local out = questions(dice, list, n)
  for i, asked in ipairs(out) do out[i] = f(dice, asked) end
  return out
end

local function texts(dice, n)
  local out = {}
  for i = 1, n do out[i] = text_row(dice, i) end
  return out
end

--- Makes the data.
-- @tparam table options `seed`, and how many rows of each: `texts`, `instructions`, `rankings`, `held` (of each kind of
--   what is held back)
-- @treturn table `texts` and `held_texts` ({text}), `instructions` ({instruction, input, output}), `rankings` and
--   `held_rankings` ({instruction, input, responses, ranking}), `prompts` and `held_prompts` ({instruction, input})
function M.make(options)
  local train, held = combinations(options.seed)
  local function dice(stream) return new_dice(options.seed, stream) end
  return {
    texts = texts(dice(1), options.texts), held_texts = texts(dice(2), options.held),
    instructions = rows(dice(3), instruction_row, train, options.instructions),
    rankings = rows(dice(4), ranking_row, train, options.rankings),
    held_rankings = rows(dice(5), ranking_row, held, options.held),
    prompts = rows(dice(6), prompt_row, train, 4 * #train),
    held_prompts = rows(dice(7), prompt_row, held, options.held),
  }
end

return M
