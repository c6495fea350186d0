-- What to beat: a linear model of character n-grams, the classic of sentiment. Logistic regression by AdaGrad on
-- n-grams of 1 to 4 characters, weighed by how rare they are (tf-idf), each text's weights to length 1.
-- Rests on nothing; nsmc.lua uses it.
local M = {}

local LONGEST, RATE, DECAY = 4, 0.2, 1e-5

-- Counts of a text's n-grams.
local function grams_of(text)
  local starts, counts = {}, {}
  for at in utf8.codes(text) do starts[#starts + 1] = at end
  starts[#starts + 1] = #text + 1
  for i = 1, #starts - 1 do
    for n = 1, math.min(LONGEST, #starts - i) do
      local gram = text:sub(starts[i], starts[i + n] - 1)
      counts[gram] = (counts[gram] or 0) + 1
    end
  end
  return counts
end

-- Rarity of the n-grams that at least two texts have: log((1 + N) / (1 + n)) + 1; and their places from 1.
local function rarity(bags)
  local among, idf, place, n = {}, {}, {}, 0
  for _, bag in ipairs(bags) do
    for gram in pairs(bag) do among[gram] = (among[gram] or 0) + 1 end
  end
  local grams = {}
  for gram, count in pairs(among) do
    if count >= 2 then grams[#grams + 1] = gram end
  end
  table.sort(grams) -- the same sums in each run
  for _, gram in ipairs(grams) do
    n = n + 1
    idf[gram], place[gram] = math.log((1 + #bags) / (1 + among[gram])) + 1, n
  end
  return idf, place, n
end

-- A bag as places and values: (1 + log count) idf, to length 1.
local function vector(bag, idf, place)
  local places, values, squares = {}, {}, 0
  for gram, count in pairs(bag) do
    local at = place[gram]
    if at then places[#places + 1], values[at] = at, (1 + math.log(count)) * idf[gram] end
  end
  table.sort(places)
  local list = {}
  for i, p in ipairs(places) do
    list[i] = values[p]
    squares = squares + list[i] ^ 2
  end
  local length = math.sqrt(squares)
  for i in ipairs(list) do list[i] = list[i] / length end
  return places, list
end

local function dot(weights, places, values)
  local sum = 0
  for i, p in ipairs(places) do sum = sum + weights[p] * values[i] end
  return sum
end

-- A pass of AdaGrad on the logistic loss: weights, their gradients' squares.
local function pass(model, vectors, good, order)
  local w, g2 = model.weights, model.squares
  for _, i in ipairs(order) do
    local places, values = vectors[i][1], vectors[i][2]
    local p = 1 / (1 + math.exp(-(dot(w, places, values) + model.bias)))
    local error = p - (good[i] and 1 or 0)
    model.bias = model.bias - 0.01 * error
    for k, at in ipairs(places) do
      local g = error * values[k] + DECAY * w[at]
      g2[at] = g2[at] + g * g
      w[at] = w[at] - RATE * g / (math.sqrt(g2[at]) + 1e-8)
    end
  end
end

--- Trains on texts of two kinds.
-- @tparam {string,...} texts UTF-8
-- @tparam {boolean,...} good which of them are the good ones
-- @tparam table order a permutation of their places: the order of learning
-- @tparam[opt=10] int passes
-- @treturn function score of a text: the log-odds that it is good
function M.train(texts, good, order, passes)
  local bags, vectors = {}, {}
  for i, text in ipairs(texts) do bags[i] = grams_of(text) end
  local idf, place, n = rarity(bags)
  for i, bag in ipairs(bags) do vectors[i] = {vector(bag, idf, place)} end
  local model = {weights = {}, squares = {}, bias = 0}
  for i = 1, n do model.weights[i], model.squares[i] = 0.0, 1e-6 end
  for _ = 1, passes or 10 do pass(model, vectors, good, order) end
  return function(text) return dot(model.weights, vector(grams_of(text), idf, place)) + model.bias end
end

return M
