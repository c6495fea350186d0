-- Film reviews with ratings, as nsmc.lua wants them: read, grouped by film, parted by film, made into rankings.
-- FOLDER is the NSMC corpus as it is cloned (raw/FILM.json), or holds reviews.jsonl with text, rating and movie in
-- each row. Random choices come from Lua's own generator, which the caller seeds.
local rlhf = require "rlhf"

local M = {}

--- What every review begins with, so that a model has something to read before the first word.
M.HEAD = "평:"

local SHORTEST, SMALLEST, LARGEST = 8, 4, 9 -- letters of a review; reviews of a ranking

local function shuffle(list)
  for i = #list, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end
M.shuffle = shuffle

local function slice(list, first, last) return table.move(list, first, last, 1, {}) end

-- ---- reading ----

-- Reviews whose verdict is clear, as the corpus chose its labels: ratings of 1 to 4 and of 9 and 10.
local function is_clear(review)
  local letters = utf8.len(review.text)
  return letters and letters >= SHORTEST and (review.rating <= 4 or review.rating >= 9)
end

local function read_rows(path, most)
  local list = {}
  for row in rlhf.data.jsonl(path)(1) do
    if #list == most then break end
    list[#list + 1] = {text = row.text, rating = row.rating, film = row.movie}
  end
  return list
end

-- The corpus's own files, one for each film, in an order of chance.
local function read_films(folder, most)
  local list = {}
  for _, name in ipairs(shuffle(assert(rlhf.list_folder(folder)))) do
    if #list >= most then break end
    local rows, message = rlhf.json_decode(assert(rlhf.read_file(folder .. "/" .. name)))
    if not rows then error(("%s/%s: %s"):format(folder, name, message), 0) end
    for _, row in ipairs(rows) do
      list[#list + 1] = {text = row.review, rating = tonumber(row.rating), film = row.movie_id}
    end
  end
  return list
end

--- Reads reviews.
-- @tparam string folder
-- @tparam int most how many
-- @treturn table films: a list of lists of reviews {text, rating, film}
function M.read(folder, most)
  local rows = folder .. "/reviews.jsonl"
  local reviews = rlhf.file_info(rows) and read_rows(rows, most) or read_films(folder .. "/raw", most)
  local films, by_name = {}, {}
  for _, review in ipairs(reviews) do
    if is_clear(review) then
      local film = by_name[review.film]
      if not film then
        film = {}
        films[#films + 1], by_name[review.film] = film, film
      end
      film[#film + 1] = review
    end
  end
  return films
end

--- Parts films at random.
-- @tparam table films
-- @tparam {number,...} shares
-- @tparam int seed
-- @return a list of films for each share
function M.part(films, shares, seed)
  local parts = {}
  for i, source in ipairs {rlhf.data.split(rlhf.data.list(films), shares, {seed = seed})} do
    parts[i] = {}
    for film in source(1) do table.insert(parts[i], film) end
  end
  return table.unpack(parts)
end

--- Whether a review's verdict is good: 9 or 10 stars, against 1 to 4.
function M.is_good(review) return review.rating >= 9 end

--- All reviews of films, one list.
function M.reviews(films)
  local list = {}
  for _, film in ipairs(films) do table.move(film, 1, #film, #list + 1, list) end
  return list
end

-- ---- rankings ----

--- Films of which there are enough reviews to rank.
function M.rankable(films)
  local list = {}
  for _, film in ipairs(films) do
    if #film >= SMALLEST then list[#list + 1] = film end
  end
  return list
end

local function by_stars(review) return -review.rating end
local function by_verdict(review) return M.is_good(review) and 1 or 2 end

local function add_groups(into, reviews, rank)
  local first = 1
  while #reviews - first + 1 >= SMALLEST do
    local n = math.min(LARGEST, #reviews - first + 1)
    local group = {reviews = slice(reviews, first, first + n - 1), ranking = {}}
    for i, review in ipairs(group.reviews) do group.ranking[i] = rank(review) end
    into[#into + 1] = group
    first = first + n
  end
end

--- Groups of 4 to 9 reviews with their ranks, in an order of chance: those of one film by their stars; and, as few films
-- have more than a handful of reviews, all reviews twice more, nine at a time whatever their film. Of these only the
-- verdict counts, good or bad: whether a 9 for one film is less than a 10 for another is a matter of who gave it, and
-- such pairs cost about three points of accuracy where the stars lie far apart.
-- @tparam table films
-- @treturn table a list of {reviews =, ranking =}
function M.groups(films)
  local groups = {}
  for _, film in ipairs(M.rankable(films)) do add_groups(groups, shuffle(slice(film, 1, #film)), by_stars) end
  for _ = 1, 2 do add_groups(groups, shuffle(M.reviews(films)), by_verdict) end
  return shuffle(groups)
end

-- Ids of a review of which a share of the tokens is left out: no single word may decide.
local function thinned(text, tok, share)
  local kept = {}
  for _, id in ipairs(tok:encode(text)) do
    if math.random() >= share then kept[#kept + 1] = id end
  end
  kept[#kept + 1] = tok:eos()
  return kept
end

--- Rankings for `epochs` passes over the films' reviews, with new groups and other tokens left out in each.
-- @tparam table films
-- @tparam tokenizer tok
-- @tparam int epochs
-- @tparam number drop share of a review's tokens that is left out
-- @treturn table rows as rlhf.reward takes them
function M.rankings(films, tok, epochs, drop)
  local rows = {}
  for _ = 1, epochs do
    for _, group in ipairs(M.groups(films)) do
      local row = {instruction = M.HEAD, responses = {}, ranking = group.ranking}
      for i, review in ipairs(group.reviews) do row.responses[i] = thinned(" " .. review.text, tok, drop) end
      rows[#rows + 1] = row
    end
  end
  return rows
end

--- Share of rightly ordered pairs among the reviews of each film.
-- @tparam table films
-- @tparam function score of a review
-- @tparam int least how many stars lie between the two of a pair
-- @treturn number share
-- @treturn int pairs
function M.accuracy(films, score, least)
  local right, total = 0, 0
  for _, film in ipairs(M.rankable(films)) do
    for _, a in ipairs(film) do
      for _, b in ipairs(film) do
        if a.rating - b.rating >= least then
          right, total = right + (score(a) > score(b) and 1 or 0), total + 1
        end
      end
    end
  end
  return right / total, total
end

-- ---- prompts ----

--- The first two words of reviews that go on behind them, each beginning once.
-- @tparam table films
-- @tparam int most how many
-- @treturn {table,...} rows {prompt}
function M.beginnings(films, most)
  local list, seen = {}, {}
  for _, review in ipairs(shuffle(M.reviews(films))) do
    local words = review.text:match "^(%S+ %S+) %S+"
    if words and not seen[words] and #list < most then
      list[#list + 1], seen[words] = {prompt = M.HEAD .. " " .. words}, true
    end
  end
  return list
end

return M
