-- The Lua in README.md runs as it stands, and its transcripts print what they show.
local files = require "support.safetensors_file"

local f = assert(io.open "README.md")
local text = f:read "a"
f:close()

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

describe("README.md", function()
  local count, transcripts = 0, 0
  for block in text:gmatch "\n```lua\n(.-)\n```" do
    count = count + 1
    it("block " .. count .. " runs", function()
      local env, printed = environment()
      assert(load(block, "README.md", "t", env))()
      assert.is_true(#printed > 0)
    end)
  end
  for block in text:gmatch "\n```repl\n(.-)\n```" do
    transcripts = transcripts + 1
    it("transcript " .. transcripts .. " prints what it shows", function()
      local env = environment()
      for _, exchange in ipairs(exchanges(block)) do same(exchange[2], typed(exchange[1], env)) end
    end)
  end
  it("has Lua and a transcript in it", function()
    assert.is_true(count > 0)
    assert.is_true(transcripts > 0)
  end)
end)
