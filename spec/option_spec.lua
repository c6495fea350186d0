-- lua/rlhf/option.lua: messages and levels.
local option = require "rlhf.option"

local known = {lr = 0.1, name = "x", betas = {0.9}, total = option.required, out = option.optional, flag = false}

local function user(options)
  local checked = option.check(options, known, "sft")
  return checked
end

describe("option.check", function()
  it("puts defaults in and leaves the user's table alone", function()
    local given = {total = 5, lr = 2}
    assert.same({lr = 2, name = "x", betas = {0.9}, total = 5, flag = false}, user(given))
    assert.same({total = 5, lr = 2}, given)
    assert.equal("y", user({total = 1, out = "y"}).out)
  end)

  local here = debug.getinfo(1, "S").short_src
  local function message(options)
    local _, text = pcall(function()
      local r = user(options)
      return r
    end)
    local line, rest = text:match("^" .. here:gsub("%p", "%%%0") .. ":(%d+): (.*)$")
    assert.equal(22, tonumber(line), text) -- the line that calls `user`
    return rest
  end

  it("names the nearest option at the caller's line", function()
    assert.equal("sft: unknown option 'nmae' (did you mean 'name'?)", message {total = 1, nmae = 1})
    assert.equal("sft: unknown option 'totl' (did you mean 'total'?)", message {totl = 1})
  end)

  it("says what is wrong with a value", function()
    assert.equal("sft: option 'total' wanted", message(nil))
    assert.equal("sft: option 'total' wanted", message {})
    assert.equal("sft: lr: number wanted, got string", message {total = 1, lr = "x"})
    assert.equal("sft: name: string wanted, got number", message {total = 1, name = 1})
    assert.equal("sft: option names are strings, got 1", message {"total"})
    assert.equal("sft: a table of options wanted, got number", message(3))
  end)

  it("takes a level", function()
    local function inner(options)
      local r = option.check(options, {}, "f", 3)
      return r
    end
    local function outer(options) local r = inner(options) return r end
    local ok, text = pcall(function()
      local r = outer {a = 1}
      return r
    end)
    assert.is_false(ok)
    assert.equal("f: unknown option 'a': there are no options", text:match ":51: (.*)$", text)
  end)
end)

describe("option.check_names", function()
  it("accepts known names alone", function()
    option.check_names({a = 1}, {"a", "b"}, "f")
    assert.error_matches(function() option.check_names({c = 1}, {"a", "bc"}, "f") end, "f: unknown option 'c' %(did you mean 'a'%?%)")
  end)
end)
