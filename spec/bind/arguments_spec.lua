-- c/bind/arguments.c, b_rows.c, b_error.c: how rows are called, and every message when they are called
-- wrongly: the function's own name, the argument's position, the user's line.
local rlhf = require "rlhf"

local HERE = debug.getinfo(1, "S").short_src

-- The message and the line it names ("" where the caller was no Lua function).
local function fails(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  local line, rest = text:match("^" .. HERE:gsub("%p", "%%%0") .. ":(%d+): (.*)$")
  return rest or text, tonumber(line)
end

local x = rlhf.tensor {{1, 2, 3}, {4, 5, 6}}
local ids = rlhf.tensor({0, 1}, {dtype = "i64"})

describe("a wrong argument", function()
  it("is named with the function, whatever that was reached through", function()
    local alias = rlhf.exp
    local list = {f = rlhf.exp}
    local want = "bad argument #1 to 'exp' (rlhf.tensor expected, got FILE*)"
    assert.equal(want, (fails(function() local r = alias(io.stdout) return r end)))
    assert.equal(want, (fails(function() local r = list.f(io.stdout) return r end)))
    assert.equal(want, (fails(function() local r = rlhf.exp(io.stdout) return r end)))
    local text, line = fails(alias, io.stdout)
    assert.equal(want, text)
    assert.is_nil(line)
  end)

  it("is placed at the caller's line", function()
    local _, line = fails(function()
      local r = rlhf.exp(1, 2, 3)
      return r
    end)
    assert.equal(33, line)
    _, line = fails(function()
      local r = x + io.stdout
      return r
    end)
    assert.equal(38, line)
  end)

  it("counts as Lua does in methods", function()
    assert.equal("bad argument #1 to 'matmul' (rlhf.tensor expected, got nil)", (fails(function() x:matmul(nil) end)))
    assert.equal("bad argument #2 to 'matmul' (rlhf.tensor expected, got nil)", (fails(function() rlhf.matmul(x, nil) end)))
    assert.equal("bad argument #2 to 'matmul' (rlhf.tensor expected, got no value)", (fails(rlhf.matmul, x)))
    assert.equal("bad argument #1 to 'exp' (rlhf.tensor expected, got no value)", (fails(function() x.exp() end)))
    local other = setmetatable({}, {__index = {exp = x.exp}})
    assert.equal("calling 'exp' on bad self (rlhf.tensor expected, got table)", (fails(function() other:exp() end)))
  end)

  it("of an operator is named like the row", function()
    assert.equal("bad argument #2 to 'add' (rlhf.tensor expected, got FILE*)", (fails(function() return x + io.stdout end)))
    assert.equal("bad argument #1 to 'add' (rlhf.tensor expected, got string)", (fails(function() return "1" + x end)))
    assert.equal("bad argument #2 to 'mul' (rlhf.tensor expected, got boolean)", (fails(function() return x * true end)))
    assert.matches("^bad argument #2 to 'sub' %(.*%[2,3%].*%[2%]", (fails(function() return x - rlhf.ones(2) end)))
  end)

  it("names light userdata and the like", function()
    assert.equal("bad argument #1 to 'exp' (rlhf.tensor expected, got rlhf.scope)", (fails(function()
      local scope <close> = rlhf.scope()
      rlhf.exp(scope)
    end)))
    assert.equal("bad argument #1 to 'exp' (rlhf.tensor expected, got function)", (fails(rlhf.exp, print)))
  end)

  it("may be a closed tensor", function()
    local c = rlhf.ones(2)
    c:close()
    assert.equal("bad argument #1 to 'exp' (attempt to use a closed tensor)", (fails(rlhf.exp, c)))
    assert.equal("calling 'exp' on bad self (attempt to use a closed tensor)", (fails(function() c:exp() end)))
    assert.equal("bad argument #2 to 'add' (attempt to use a closed tensor)", (fails(function() return x + c end)))
    assert.equal("bad argument #1 to 'cat' (attempt to use a closed tensor)", (fails(rlhf.cat, {x, c})))
  end)

  it("has the wrong type", function()
    assert.equal("bad argument #1 to 'exp' (x: f32 wanted, got i64)", (fails(rlhf.exp, ids)))
  end)
end)

describe("numbers", function()
  it("stand on either side of an operator", function()
    assert.same({{3, 4, 5}, {6, 7, 8}}, (2 + x):totable())
    assert.same({{1, 0, -1}, {-2, -3, -4}}, (2 - x):totable())
    assert.same({{1, 4, 9}, {16, 25, 36}}, (x ^ 2):totable())
    assert.same({{2, 4, 8}, {16, 32, 64}}, (2 ^ x):totable())
    assert.same({{-1, -2, -3}, {-4, -5, -6}}, (-x):totable())
    assert.same({0.5, 0.25}, (1 / rlhf.tensor {2, 4}):totable())
    assert.equal("bad argument #2 to 'pow' (exponent: number wanted, got rlhf.tensor)", (fails(function() return x ^ x end)))
  end)

  it("are integers beside i64", function()
    local y = ids * 3 + 1
    assert.equal("i64", y:dtype())
    assert.same({1, 4}, y:totable())
    assert.matches("^bad argument #2 to 'add' %(%w+: integer wanted beside i64, got 1.5%)$", (fails(function() return ids + 1.5 end)))
  end)
end)

describe("lists of tensors", function()
  it("are checked one by one", function()
    assert.same({1, 1, 0}, rlhf.cat({rlhf.ones(2), rlhf.zeros(1)}):totable())
    assert.equal("bad argument #1 to 'cat' (element 2: rlhf.tensor expected, got number)", (fails(rlhf.cat, {x, 1})))
    assert.equal("bad argument #1 to 'cat' (a list of 1 to 32767 tensors wanted, got 0)", (fails(rlhf.cat, {})))
    assert.equal("bad argument #1 to 'cat' (list of tensors expected, got rlhf.tensor)", (fails(rlhf.cat, x)))
  end)
end)

describe("options", function()
  it("stand by position or by name", function()
    assert.same({5, 7, 9}, x:sum(1):totable())
    assert.same({5, 7, 9}, x:sum({dim = 1}):totable())
    assert.same({5, 7, 9}, x:sum(-2):totable())
    assert.same({{5, 7, 9}}, x:sum(1, true):totable())
    assert.same({{5, 7, 9}}, x:sum(1, {keepdim = true}):totable())
    assert.same({{5, 7, 9}}, x:sum({1}, true):totable())
    assert.equal(21, x:sum({1, 2}):item())
    assert.equal(21, x:sum(1, 2):item())
    assert.equal(21, x:sum({}):item())
    assert.equal(21, x:sum(nil):item())
    assert.same({3, 2}, x:reshape(3, 2):shape())
    assert.same({3, 2}, x:reshape({3, 2}):shape())
    assert.same({6}, x:reshape(-1):shape())
    assert.same({}, x[1][1]:reshape({}):shape())
  end)

  it("are checked", function()
    assert.equal("bad argument #2 to 'sum' (unknown option 'dmi' (did you mean 'dim'?))", (fails(rlhf.sum, x, {dmi = 1})))
    assert.equal("bad argument #2 to 'exp' (unknown option 'dim': there are no options)", (fails(rlhf.exp, x, {dim = 1})))
    assert.equal("bad argument #2 to 'softmax' (dim: integer wanted, got 1.5)", (fails(rlhf.softmax, x, 1.5)))
    assert.equal("bad argument #2 to 'softmax' (dim: integer wanted, got '1')", (fails(rlhf.softmax, x, {dim = "1"})))
    assert.equal("bad argument #2 to 'softmax' (dim counts from 1 (or from the end: -1), got 0)", (fails(rlhf.softmax, x, 0)))
    assert.equal("bad argument #3 to 'sum' (keepdim: true or false wanted, got 1)", (fails(rlhf.sum, x, {1}, 1)))
    assert.equal("bad argument #3 to 'softmax' (too many arguments)", (fails(rlhf.softmax, x, 1, 2)))
    assert.equal("bad argument #2 to 'softmax' (the options table comes last)", (fails(rlhf.softmax, x, {dim = 1}, 2)))
    assert.equal("bad argument #2 to 'sum' (option names are strings, got 3)", (fails(rlhf.sum, x, {[3] = 1})))
    assert.equal("bad argument #2 to 'reshape' (shape wanted)", (fails(rlhf.reshape, x)))
    assert.matches("^bad argument #2 to 'softmax' %(dimension 3 of a tensor with 2%)$", (fails(rlhf.softmax, x, 3)))
    assert.matches("^bad argument #1 to 'softmax' %(dimension 3 of a tensor with 2%)$", (fails(function() x:softmax(3) end)))
  end)
end)

describe("code that runs while arguments are read", function()
  it("may close them: an error, no crash", function()
    local y = rlhf.ones(4)
    local trap = setmetatable({}, {__index = function(_, i)
      y:close()
      return i == 1 and 4 or nil
    end, __len = function() return 1 end})
    assert.equal("bad argument #1 to 'reshape' (attempt to use a closed tensor)", (fails(rlhf.reshape, y, trap)))
    local list = setmetatable({}, {__len = function() return 2 end, __index = function(_, i)
      local t = rlhf.ones(2)
      if i == 2 then collectgarbage() end
      return t
    end})
    assert.same({1, 1, 1, 1}, rlhf.cat(list):totable())
  end)
end)
