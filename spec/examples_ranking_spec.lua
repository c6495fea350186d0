-- examples/collect.lua and examples/rank.lua in processes of their own, end to end.
local core = require "rlhf.core"
local d = require "rlhf.data"
local support = require "support.data"

local MODEL, PROMPTS = "../shared/models/stories260K", "../shared/data/tinystories/prompts.jsonl"
local lua = os.getenv "LUA" or "lua5.4"

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  return pipe:close(), text
end

local function rank(responses, rankings, name, typed)
  return run(("printf '%s' | %s examples/rank.lua %s %s %s"):format(typed, lua, responses, rankings, name))
end

local function temporary()
  local path = os.tmpname()
  os.remove(path)
  return path
end

describe("examples/collect.lua", function()
  it("samples responses to prompts, and passes over those it has", function()
    if not core.file_info(MODEL) or not core.file_info(PROMPTS) then return pending "no ../shared/models" end
    local out = temporary()
    for n = 2, 3 do
      local ok, text = run(("%s examples/collect.lua %s %s %s 4 %d 8"):format(lua, MODEL, PROMPTS, out, n == 2 and 2 or 1))
      assert.is_true(ok, text)
      local rows = support.rows(d.jsonl(out))
      assert.equal(n, #rows)
      for _, row in ipairs(rows) do assert.equal(4, #row.responses) end
    end
    local rows = support.rows(d.jsonl(out))
    assert.not_equal(rows[1].instruction, rows[3].instruction)
    os.remove(out)
  end)

  it("tells how it is used", function()
    local ok, text = run(lua .. " examples/collect.lua a b c 10")
    assert.is_nil(ok)
    assert.matches("usage: .*K, 4 to 9", text)
  end)
end)

describe("examples/rank.lua", function()
  it("takes rankings, goes on where it stopped, tells agreement", function()
    local rankings = temporary()
    local line = '{"instruction":"p%d","input":"","responses":["w\\u001b[2J","x","y","z"]}\n'
    support.with_file(line:format(1) .. line:format(2), function(responses)
      local ok, text = rank(responses, rankings, "ann", "1 > 2\\n2 > 1 = 4 > 3\\nquit\\n")
      assert.is_true(ok, text)
      assert.matches("not understood: 3 is missing", text, 1, true)
      assert.is_nil(text:find "\27")
      ok, text = rank(responses, rankings, "ann", "1 > 2 > 3 > 4\\n")
      assert.is_true(ok, text)
      assert.is_nil(text:find("1 of 2", 1, true))
      ok, text = rank(responses, rankings, "bob", "2 > 1 = 4 > 3\\n4 > 3 > 2 > 1\\n")
      assert.is_true(ok, text)
      assert.matches("2 prompts were ranked by two or more people: they agree on 5 of 11 pairs (45 %)", text, 1, true)
    end)
    local rows = support.rows(d.rankings(d.jsonl(rankings)))
    os.remove(rankings)
    assert.equal(4, #rows)
    assert.equal(5, #d.pairs(rows[1]))
  end)
end)
