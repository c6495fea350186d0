-- examples/nsmc.lua on a few made-up reviews, in both layouts of its folder; and the linear model it compares with.
package.path = "examples/?.lua;" .. package.path
local child = require "support.child"
local core = require "rlhf.core"
local corpus = require "nsmc_data"
local files = require "support.safetensors_file"
local ngrams = require "ngrams"

local LUA = os.getenv "LUA" or "lua5.4"
local GOOD = {"정말 재미있는 영화였어요 최고", "배우들 연기가 좋았고 감동이에요", "또 보고 싶은 멋진 영화 최고"}
local BAD = {"정말 지루한 영화였어요 별로", "배우들 연기가 나빴고 실망이에요", "다시 보기 싫은 최악의 영화"}

-- Reviews i = 1 to n: six for each film, good and bad by turns.
local function review(i)
  local good = i % 2 == 0
  return {text = (good and GOOD or BAD)[i % 3 + 1] .. " " .. i, rating = good and 9 + i % 4 // 2 or 1 + i % 4, movie = tostring(i // 6)}
end

local folder
before_each(function() folder = files.folder() end)
after_each(function() files.remove(folder) end)

local function write_rows(n)
  local lines = {}
  for i = 1, n do lines[i] = core.json_encode(review(i)) end
  files.write(folder .. "/reviews.jsonl", table.concat(lines, "\n") .. "\n")
end

describe("nsmc_data", function()
  it("reads the corpus's own files, and leaves out what is short or of a middling rating", function()
    assert(core.make_folder(folder .. "/raw"))
    files.write(folder .. "/raw/7.json", core.json_encode(core.array {
      {review = "아주 좋은 영화입니다", rating = "10", movie_id = "7"}, {review = "그럭저럭 볼만한 영화", rating = "6", movie_id = "7"},
      {review = "나빠요", rating = "1", movie_id = "7"}, {review = "정말 나쁜 영화입니다", rating = "2", movie_id = "7"}}))
    local films = corpus.read(folder, 100)
    assert.equal(1, #films)
    assert.are.same({{text = "아주 좋은 영화입니다", rating = 10, film = "7"}, {text = "정말 나쁜 영화입니다", rating = 2, film = "7"}}, films[1])
  end)

  it("makes groups of 4 to 9: those of one film by stars, all reviews twice by verdict", function()
    write_rows(120)
    local films = corpus.read(folder, 1000)
    local seen, of_one_film = 0, 0
    for _, group in ipairs(corpus.groups(films)) do
      local reviews, one_film = group.reviews, true
      assert.is_true(#reviews >= 4 and #reviews <= 9)
      assert.equal(#reviews, #group.ranking)
      seen = seen + #reviews
      for _, r in ipairs(reviews) do one_film = one_film and r.film == reviews[1].film end
      if one_film then of_one_film = of_one_film + 1 end
      for i, a in ipairs(reviews) do
        for j, b in ipairs(reviews) do
          local better = one_film and a.rating > b.rating or not one_film and corpus.is_good(a) and not corpus.is_good(b)
          assert.equal(better, group.ranking[i] < group.ranking[j])
        end
      end
    end
    assert.equal(#corpus.rankable(films), of_one_film)
    assert.is_true(seen > 2 * #corpus.reviews(films))
  end)

  it("counts pairs that are far enough apart", function()
    local films = {{{rating = 10}, {rating = 9}, {rating = 1}, {rating = 4}}}
    local share, pairs_of = corpus.accuracy(films, function(r) return r.rating end, 5)
    assert.equal(1, share)
    assert.equal(4, pairs_of)
    assert.equal(6, select(2, corpus.accuracy(films, function() return 0 end, 1)))
    assert.equal(0, (corpus.accuracy(films, function() return 0 end, 1)))
  end)
end)

it("ngrams tell good from bad", function()
  local texts, good, order = {}, {}, {}
  for i = 1, 60 do texts[i], good[i], order[i] = review(i).text, i % 2 == 0, i end
  local score = ngrams.train(texts, good, order)
  assert.is_true(score "최고 멋진 영화" > score "최악의 지루한 영화")
end)

describe("examples/nsmc.lua", function()
  it("goes from ratings to a report", function()
    write_rows(400)
    local output, code = child.shell(("%s examples/nsmc.lua %s out=%s/out vocab=300 dim=16 layers=1 "
      .. "lm_epochs=1 rm_epochs=1 updates=2 batch=8 prompts=8"):format(LUA, folder, folder))
    assert(code == 0, output)
    assert.matches("pairs 5 or more stars apart %d+%.%d %% of %d+", output)
    assert.matches("reward model %d%.%d+ %-> %d%.%d+, second reward model %d%.%d+ %-> %d%.%d+", output)
    for _, name in ipairs {"language_model", "reward_model", "second_reward_model", "ppo"} do
      assert(core.file_info(("%s/out/%s/config.json"):format(folder, name)), name)
    end
    local html = assert(core.read_file(folder .. "/out/report.html"))
    assert.matches("</html>%s*$", html)
  end)

  it("says how it is called", function()
    local output, code = child.shell(LUA .. " examples/nsmc.lua")
    assert.equal(2, code)
    assert.matches("usage: lua5.4 examples/nsmc.lua FOLDER", output, 1, true)
  end)
end)
