-- The world of examples/demo.lua: a little animal park whose keeper answers visitors in English and in Korean.
-- Nine animals with four facts each, the sentences that can be made of them, and how a sentence is read back: by
-- looking it up among all that can be made. What isn't among them isn't understood.
local M = {}

M.languages = {"en", "ko"}
M.kinds = {"eat", "live", "say", "gift"} -- of facts

M.animals = {
  {en = {name = "cat", eat = "fish", live = "a house", say = "meow", gift = "walks without a sound"},
   ko = {name = "고양이", eat = "생선", live = "집", say = "야옹", gift = "소리 없이 걸어요"}},
  {en = {name = "dog", eat = "bones", live = "a yard", say = "woof", gift = "guards the door"},
   ko = {name = "개", eat = "뼈다귀", live = "마당", say = "멍멍", gift = "문을 지켜요"}},
  {en = {name = "duck", eat = "water weed", live = "a pond", say = "quack", gift = "swims well"},
   ko = {name = "오리", eat = "물풀", live = "연못", say = "꽥꽥", gift = "헤엄을 잘 쳐요"}},
  {en = {name = "frog", eat = "flies", live = "a swamp", say = "ribbit", gift = "jumps far"},
   ko = {name = "개구리", eat = "파리", live = "늪", say = "개굴개굴", gift = "멀리 뛰어요"}},
  {en = {name = "owl", eat = "mice", live = "an old tree", say = "hoot", gift = "sees at night"},
   ko = {name = "부엉이", eat = "쥐", live = "나무 구멍", say = "부엉부엉", gift = "밤에도 잘 봐요"}},
  {en = {name = "bee", eat = "nectar", live = "a hive", say = "buzz", gift = "makes honey"},
   ko = {name = "벌", eat = "꽃꿀", live = "벌집", say = "윙윙", gift = "꿀을 만들어요"}},
  {en = {name = "hen", eat = "corn", live = "a coop", say = "cluck", gift = "lays eggs"},
   ko = {name = "닭", eat = "옥수수", live = "닭장", say = "꼬꼬댁", gift = "알을 낳아요"}},
  {en = {name = "horse", eat = "carrots", live = "a stable", say = "neigh", gift = "runs fast"},
   ko = {name = "말", eat = "당근", live = "마구간", say = "히힝", gift = "빨리 달려요"}},
  {en = {name = "bear", eat = "berries", live = "a cave", say = "growl", gift = "sleeps all winter"},
   ko = {name = "곰", eat = "산딸기", live = "동굴", say = "으르렁", gift = "겨울 내내 자요"}},
}

M.names = {
  en = {"Mina", "Tom", "Sara", "Ben", "Lucy", "Max"},
  ko = {"미나", "지훈", "서연", "민준", "하늘", "유진"},
}
M.kind_words = {
  en = {"Come again soon!", "Have a lovely day!"},
  ko = {"또 놀러 오세요!", "좋은 하루 보내세요!"},
}
M.rude_words = {
  en = {"What a silly question.", "Leave me alone."},
  ko = {"그런 것도 몰라요?", "귀찮게 하지 마세요."},
}
M.stray_words = {
  en = {"I had soup for lunch.", "The bus is late today."},
  ko = {"점심에 국수를 먹었어요.", "오늘은 버스가 늦네요."},
}

-- ---- Korean particles ----

--- A word with the particle that its last syllable asks for.
-- @tparam string word Hangul
-- @tparam string closed after a final consonant: "은", "이", "을"
-- @tparam string open after a vowel: "는", "가", "를"
function M.particle(word, closed, open)
  local last = utf8.codepoint(word, utf8.offset(word, -1))
  return word .. ((last - 0xAC00) % 28 ~= 0 and closed or open) -- 28 finals for each pair of initial and vowel, the first: none
end

local particle = M.particle

-- ---- sentences ----

local predicates = {
  en = {eat = function(w) return "eats " .. w end, live = function(w) return "lives in " .. w end,
        say = function(w) return "says " .. w end, gift = function(w) return w end},
  ko = {eat = function(w) return particle(w, "을", "를") .. " 먹어요" end, live = function(w) return w .. "에 살아요" end,
        say = function(w) return w .. " 소리를 내요" end, gift = function(w) return w end},
}
local subjects = {
  en = function(name) return name and "The " .. name .. " " or "It " end,
  ko = function(name) return name and particle(name, "은", "는") .. " " or "" end,
}

--- A sentence that gives `subject` the fact of that kind that `owner` has: true where they are the same.
-- @tparam string language "en" or "ko"
-- @tparam ?table subject an animal; nil: who was spoken of before ("It eats fish.")
-- @tparam table owner an animal
-- @tparam string kind
function M.fact(language, subject, owner, kind)
  return subjects[language](subject and subject[language].name) .. predicates[language][kind](owner[language][kind]) .. "."
end

function M.greeting(language, name)
  return language == "en" and ("Hello, %s!"):format(name) or ("%s 님, 안녕하세요!"):format(name)
end

local questions = {
  en = {about = "Tell me about the %s.", eat = "What does the %s eat?", live = "Where does the %s live?",
        say = "What sound does the %s make?", gift = "What is special about the %s?",
        meet = "Greet the visitor and introduce the %s."},
  ko = {about = "%s 어떤 동물인가요?", eat = "%s 무엇을 먹나요?", live = "%s 어디에 사나요?",
        say = "%s 어떤 소리를 내나요?", gift = "%s 무엇이 특별한가요?", meet = "손님에게 인사하고 %s 소개해 주세요."},
}
M.asks = {"about", "eat", "live", "say", "gift", "meet"} -- kinds of questions

--- The question of a kind about an animal. To "meet" belongs an input, the visitor's name.
function M.question(language, animal, ask)
  local name = animal[language].name
  if language == "ko" and ask == "meet" then name = particle(name, "을", "를")
  elseif language == "ko" then name = particle(name, "은", "는") end
  return questions[language][ask]:format(name)
end

-- ---- reading ----

local known_questions, known_sentences = {}, {en = {}, ko = {}}
for _, language in ipairs(M.languages) do
  local sentences = known_sentences[language]
  for _, owner in ipairs(M.animals) do
    for _, ask in ipairs(M.asks) do
      known_questions[M.question(language, owner, ask)] = {language = language, animal = owner, ask = ask}
    end
    for _, kind in ipairs(M.kinds) do
      for _, subject in ipairs(M.animals) do
        sentences[M.fact(language, subject, owner, kind)] = {fact = kind, subject = subject, owner = owner}
      end
      sentences[M.fact(language, nil, owner, kind)] = {fact = kind, owner = owner}
    end
  end
  for _, name in ipairs(M.names[language]) do sentences[M.greeting(language, name)] = {greets = name} end
  for _, text in ipairs(M.kind_words[language]) do sentences[text] = {kind = true} end
  for _, text in ipairs(M.rude_words[language]) do sentences[text] = {rude = true} end
end

--- What an instruction asks: {language =, animal =, ask =}, or nil.
function M.read_question(text) return known_questions[text] end

--- The sentences of a text, each as {text =} and what it says: `fact` (its kind), `subject` (nil: who was spoken of),
-- `owner`; or `greets`; or `kind`; or `rude`; or nothing, where it isn't understood.
function M.read(language, text)
  local list = {}
  for sentence in text:gmatch "[^.!?]+[.!?]*" do
    sentence = sentence:match "^%s*(.-)%s*$"
    if sentence ~= "" then
      local said = {text = sentence}
      for key, value in pairs(known_sentences[language][sentence] or {}) do said[key] = value end
      list[#list + 1] = said
    end
  end
  return list
end

return M
