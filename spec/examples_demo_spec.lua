-- The demo's data and its rule; and its short form: the same bits each time, with one thread and with two.
package.path = "examples/?.lua;" .. package.path
local child = require "support.child"
local data = require "demo_data"
local files = require "support.safetensors_file"
local world = require "demo_world"

local LUA = os.getenv "LUA" or "lua5.4"
local COUNTS = {seed = 1, texts = 40, instructions = 200, rankings = 100, held = 40}

describe("demo_data", function()
  it("judges by its rule", function()
    local function stars(text, ask, input)
      return math.floor(5 * data.judge(world.question("en", world.animals[1], ask), input or "", text) + 0.5)
    end
    local cat = world.animals[1]
    local function says(kind, owner) return world.fact("en", cat, owner or cat, kind) end
    local kind_words = world.kind_words.en[1]
    assert.equal(0, stars("", "eat"))
    assert.equal(2, stars(says "eat", "eat"))
    assert.equal(3, stars(says "eat" .. " " .. kind_words, "eat"))
    assert.equal(5, stars(says "eat" .. " " .. says "live" .. " " .. says "say" .. " " .. kind_words, "eat"))
    assert.equal(1, stars(says "live", "eat"))
    assert.equal(0, stars(says("eat", world.animals[2]), "eat"))
    assert.equal(0, stars(says "eat" .. " " .. says "eat", "eat"))
    assert.equal(0, stars(says "eat" .. " The cat", "eat"))
  end)

  it("ranks 4 to 9 answers by the rule, ties alike", function()
    local ks = {}
    for _, row in ipairs(data.make(COUNTS).rankings) do
      ks[#row.responses] = true
      for i, a in ipairs(row.responses) do
        for j, b in ipairs(row.responses) do
          local x, y = data.judge(row.instruction, row.input, a), data.judge(row.instruction, row.input, b)
          assert.equal(x > y, row.ranking[i] < row.ranking[j])
        end
      end
    end
    for k = 4, 9 do assert.is_true(ks[k], k) end
    assert.is_nil(ks[3] or ks[10])
  end)

  it("holds questions back, and makes the same rows of the same seed", function()
    local d, asked = data.make(COUNTS), {}
    for _, rows in ipairs {d.instructions, d.rankings, d.prompts} do
      for _, row in ipairs(rows) do asked[row.instruction] = true end
    end
    for _, rows in ipairs {d.held_rankings, d.held_prompts} do
      assert.equal(COUNTS.held, #rows)
      for _, row in ipairs(rows) do assert.is_nil(asked[row.instruction]) end
    end
    assert.are.same(d, data.make(COUNTS))
  end)

  it("puts Korean particles behind what is before them", function()
    assert.equal("고양이는", world.particle("고양이", "은", "는"))
    assert.equal("곰은", world.particle("곰", "은", "는"))
    assert.equal("벌을", world.particle("벌", "을", "를"))
  end)
end)

describe("examples/demo.lua", function()
  local folder
  before_each(function() folder = files.folder() end)
  after_each(function() files.remove(folder) end)

  it("gives the same bits twice, and with one thread and two", function()
    local texts = {}
    for i, threads in ipairs {1, 1, 2} do
      local output, code = child.shell(("%s examples/demo.lua size=short threads=%d out=%s/%d"):format(LUA, threads, folder, i))
      assert(code == 0, output)
      texts[i] = output:gsub("%[%s*%d+ s%]", ""):gsub(folder .. "/%d", "")
    end
    assert.equal(texts[1], texts[2])
    assert.equal(texts[1], texts[3])
    for i = 2, 3 do
      local differ, code = child.shell(("diff -r %s/1 %s/%d"):format(folder, folder, i))
      assert(code == 0, differ)
    end
    assert.is_true(tonumber(texts[1]:match "(%d+%.%d) %% of held%-back pairs") > 60)
    assert.is_true(tonumber(texts[1]:match "KL (%d+%.%d+) nats") > 0)
    local f <close> = assert(io.open(folder .. "/1/report.html"))
    local html = f:read "a"
    assert.matches("</html>%s*$", html)
    assert.is_true(#html < 1000000)
  end)

  it("says what it wants", function()
    local output, code = child.shell(LUA .. " examples/demo.lua size=tiny")
    assert.not_equal(0, code)
    assert.matches("size=full or size=short wanted, got size=tiny", output, 1, true)
  end)
end)
