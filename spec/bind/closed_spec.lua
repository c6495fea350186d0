-- Every method and metamethod on things that are no open tensor: closed ones, other values, nothing.
-- The table of methods is found through the module, so that a new one can't be forgotten.
local core = require "rlhf.core"

local registry = debug.getregistry()
local metatable = registry["rlhf.tensor"]

-- Methods by name: what the metatable's __index hands out.
local function methods()
  local found = {}
  for i = 1, 10 do
    local _, value = debug.getupvalue(metatable.__index, i)
    if type(value) == "table" then
      for name, f in pairs(value) do found[name] = f end
    end
  end
  assert(found.close and found.exp and found.totable)
  return found
end

-- What a call needs besides the tensor to get as far as looking at it.
local REST = {copy_ = {core.ones(1)}, fill_ = {1}}
local SAFE_ON_CLOSED = {close = true}

describe("every method", function()
  for name, f in pairs(methods()) do
    it(name .. " raises on a closed tensor and on what is none", function()
      local closed = core.ones(2)
      closed:close()
      local rest = REST[name] or {}
      local ok, message = pcall(f, closed, table.unpack(rest))
      if SAFE_ON_CLOSED[name] then
        assert.is_true(ok)
      else
        assert.is_false(ok)
        assert.matches("closed tensor", message, 1, true)
      end
      for _, wrong in ipairs {io.stdout, "x", {}, print, true, coroutine.create(print)} do
        ok, message = pcall(f, wrong, table.unpack(rest))
        assert.is_false(ok)
        assert.matches("^bad argument #1 to '" .. name, message)
      end
      ok, message = pcall(f)
      assert.is_false(ok)
      assert.matches("^bad argument #1 to '" .. name, message)
    end)
  end
end)

describe("every metamethod", function()
  for event, f in pairs(metatable) do
    it(event .. " survives a closed tensor and what is none", function()
      local closed = core.ones(2)
      closed:close()
      if type(f) ~= "function" then return end
      for _, value in ipairs {closed, io.stdout, "x", {}, 1, true} do
        pcall(f, value, value, value)
        pcall(f, closed, value, value)
        pcall(f, core.ones(1), value, value)
      end
      pcall(f)
    end)
  end

  it("names itself where it raises", function()
    local closed = core.ones(2)
    closed:close()
    assert.error_matches(function() return #closed end, "attempt to use a closed tensor")
    assert.error_matches(function() return closed[1] end, "attempt to use a closed tensor")
    assert.error_matches(function() closed[1] = 2 end, "attempt to use a closed tensor")
    assert.error_matches(function() return closed + 1 end, "bad argument #1 to 'add' %(attempt to use a closed tensor%)")
    assert.error_matches(function() return 1 + closed end, "bad argument #2 to 'add' %(attempt to use a closed tensor%)")
    assert.is_true(closed == closed)
    assert.is_false(closed == core.ones(2))
  end)
end)

describe("every operation", function()
  for _, row in ipairs(core.rows) do
    it(row.name .. " raises on arguments of every wrong kind", function()
      local f = core.ops[row.name]
      for _, wrong in ipairs {io.stdout, "x", print, true, core.scope()} do
        local ok, message = pcall(f, wrong)
        assert.is_false(ok)
        assert.matches("^bad argument #1 to '" .. row.name .. "'", message)
      end
    end)
  end
end)
