-- lua/rlhf/values.lua: options as text, the same in each run.
local values = require "rlhf.values"

describe("values", function()
  local function told(t)
    local out = {}
    for i, e in ipairs(values.entries(t)) do out[i] = e[1] .. "=" .. e[2] end
    return table.concat(out, "; ")
  end

  it("are sorted and hold no address", function()
    assert.equal("a=2e-5; b=true; f=function; list={0.9, 0.999, n = 1}; t={x = {y = 1}}; z=word",
      told {z = "word", a = 2e-5, b = true, f = print, list = {0.9, 0.999, n = 1}, t = {x = {y = 1}}})
    local object = setmetatable({}, {__tostring = function() return "llama: 12 parameters" end})
    local silent = setmetatable({}, {__name = "thing"})
    local broken = setmetatable({}, {__tostring = function() error "no" end})
    assert.equal("b=table; m=llama: 12 parameters; s=thing", told {m = object, s = silent, b = broken})
  end)

  it("end in a table that holds itself", function()
    local t = {}
    t.t = t
    assert.matches("^t={t = {t = {t = {t = {…}}}}}$", told(t))
  end)

  it("take keys that are no strings", function()
    assert.equal("1=a; 2=b; true=c", told {"a", "b", [true] = "c"})
  end)
end)
