-- The Lua in README.md and README.ko.md runs as it stands, and their transcripts print what they show. Both
-- have the same code: a block is run once.
local files = require "support.safetensors_file"

local function read(path)
  local f = assert(io.open(path))
  local text = f:read "a"
  f:close()
  return text
end

-- {{kind, code}, ...}: the fenced blocks of a page, in order.
local function blocks_of(path)
  local list = {}
  for kind, code in read(path):gmatch "\n```(%l*)\n(.-)\n```" do list[#list + 1] = {kind, code} end
  return list
end

local blocks = blocks_of "README.md"

local folder
before_each(function() folder = files.folder() end)
after_each(function() files.remove(folder) end)

-- What a block sees: print collects, and temporary names lie in the test's own folder.
local function environment()
  local printed, names = {}, 0
  local function tmpname()
    names = names + 1
    return ("%s/%d"):format(folder, names)
  end
  return setmetatable({
    print = function(...) printed[#printed + 1] = {...} end,
    os = setmetatable({tmpname = tmpname}, {__index = os}),
  }, {__index = _G}), printed
end

-- {{line, answer}, ...} of a transcript whose lines begin with "> ".
local function exchanges(block)
  local list = {}
  for line in block:gmatch "[^\n]+" do
    if line:sub(1, 2) == "> " then
      list[#list + 1] = {line:sub(3), ""}
    else
      list[#list][2] = list[#list][2] .. line .. "\n"
    end
  end
  return list
end

local function words(s)
  local list = {}
  for word in s:gmatch "%S+" do list[#list + 1] = word end
  return list
end

-- Word by word; numbers within the rounding of other instruction sets.
local function same(want, got)
  local a, b = words(want), words(got)
  assert.are.equal(#a, #b, got)
  for i = 1, #a do
    local x, y = tonumber(a[i]), tonumber(b[i])
    if x and y then assert.near(x, y, 1e-3) else assert.are.equal(a[i], b[i]) end
  end
end

-- As the interpreter does: an expression's value is printed, a statement prints nothing.
local function typed(line, env)
  local value = load("return " .. line, "=stdin", "t", env)
  if not value then assert(load(line, "=stdin", "t", env))() return "" end
  return tostring(value())
end

local run = {}

function run.lua(code)
  local env, printed = environment()
  assert(load(code, "README.md", "t", env))()
  assert.is_true(#printed > 0)
end

function run.repl(code)
  local env = environment()
  for _, exchange in ipairs(exchanges(code)) do same(exchange[2], typed(exchange[1], env)) end
end

describe("README.md", function()
  local counts = {lua = 0, repl = 0}
  for i, block in ipairs(blocks) do
    local kind, code = block[1], block[2]
    if run[kind] then
      counts[kind] = counts[kind] + 1
      it(("block %d, %s"):format(i, kind), function() run[kind](code) end)
    end
  end
  it("has Lua and a transcript in it", function()
    assert.is_true(counts.lua > 0)
    assert.is_true(counts.repl > 0)
  end)
  it("begins with ten lines", function()
    local _, breaks = blocks[1][2]:gsub("\n", "")
    assert.are.equal(10, breaks + 1)
  end)
end)

-- A comment's words may be translated; code and what it prints are the same, byte for byte.
local function without_comments(block)
  if block[1] ~= "lua" then return block[2] end
  return (block[2]:gsub("%s*%-%-[^\n]*", ""))
end

describe("README.ko.md", function()
  it("has the same code as README.md", function()
    local korean = blocks_of "README.ko.md"
    assert.are.equal(#blocks, #korean)
    for i, block in ipairs(blocks) do
      assert.are.equal(block[1], korean[i][1])
      assert.are.equal(without_comments(block), without_comments(korean[i]))
    end
  end)
  it("has the same commands", function()
    local function commands(path)
      local list = {}
      for line in read(path):gsub("\n```.-\n```", ""):gmatch "\n    ([^\n]*)" do
        list[#list + 1] = line:gsub("%s+#.*", "")
      end
      return list
    end
    assert.are.same(commands "README.md", commands "README.ko.md")
  end)
  it("and the English page name each other", function()
    assert.is_truthy(read("README.md"):find("(README.ko.md)", 1, true))
    assert.is_truthy(read("README.ko.md"):find("(README.md)", 1, true))
  end)
end)
