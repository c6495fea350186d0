-- Elementwise rows: torch's numbers, values where arithmetic ends, accuracy against double precision,
-- broadcasting there and back, messages, other instruction sets.
local core = require "rlhf.core"
local fixtures = require "support.fixtures"
local rlhf = require "rlhf"
local values = require "support.values"

local inf, nan = math.huge, -(0 / 0)
local SMALLEST = 0x1p-149

local function row_named(name)
  for _, row in ipairs(core.rows) do
    if row.name == name then return row end
  end
end

-- bools stand as 0 and 1 in the file
local function operand(t)
  if t.dtype ~= "bool" then return fixtures.tensor(t) end
  return fixtures.tensor({dtype = "f32", shape = t.shape, data = t.data}):to "bool"
end

local function arguments(case)
  local args, leaves = {}, {}
  for name in row_named(case.op).inputs:gmatch "(%S+):" do
    local t = operand(case.inputs[name])
    if case.grads[name] then t:requires_grad() end
    args[#args + 1], leaves[name] = t, t
  end
  local options = {approximate = case.name:match "^gelu/(tanh)"}
  for name, v in pairs(case.attrs) do options[name] = v end
  args[#args + 1] = options
  return args, leaves
end

describe("ops/elementwise.json", function()
  if not fixtures.folder() then return pending "no reference data: set RLHF_FIXTURES to its folder" end
  for _, case in ipairs(fixtures.json("ops/elementwise.json").cases) do
    it(case.name, function()
      local args, leaves = arguments(case)
      local out = core.ops[case.op](table.unpack(args))
      fixtures.close(out, case.outputs.out, 1e-5, case.name)
      out:backward(fixtures.tensor(case.upstream.out))
      for name, want in pairs(case.grads) do
        fixtures.close(leaves[name]:grad(), want, 1e-5, case.name .. ": gradient of " .. name)
      end
    end)
  end
end)

local function same(got, want)
  for i, w in ipairs(want) do
    local g = got[i]
    assert(g == w or (g ~= g and w ~= w), ("element %d is %s, %s wanted"):format(i, g, w))
  end
  assert.are.equal(#want, #got)
end

-- {op, x, y, options}: exact values, or nan
local ENDS = {
  {"exp", {-inf, -104, 0, 89, inf, nan}, {0, 0, 1, inf, inf, nan}},
  {"exp", {-103.9}, {SMALLEST}},
  {"log", {-1, 0, 1, inf, nan}, {nan, -inf, 0, inf, nan}},
  {"log1p", {-2, -1, 0, inf, nan}, {nan, -inf, 0, inf, nan}},
  {"expm1", {-inf, -100, 0, SMALLEST * 2, 89, inf, nan}, {-1, -1, 0, SMALLEST * 2, inf, inf, nan}},
  {"sqrt", {-1, 0, 4, inf, nan}, {nan, 0, 2, inf, nan}},
  {"rsqrt", {-1, 0, 4, inf, nan}, {nan, inf, 0.5, 0, nan}},
  {"tanh", {-inf, -30, 0, SMALLEST, 30, inf, nan}, {-1, -1, 0, SMALLEST, 1, 1, nan}},
  {"sigmoid", {-inf, -200, 0, 200, inf, nan}, {0, 0, 0.5, 1, 1, nan}},
  {"softplus", {-inf, -200, 200, inf, nan}, {0, 0, 200, inf, nan}},
  {"logsigmoid", {-inf, -200, 200, inf, nan}, {-inf, -200, 0, 0, nan}},
  {"erf", {-inf, -4, 0, 4, inf, nan}, {-1, -1, 0, 1, 1, nan}},
  {"relu", {-inf, -1, 0, 2, inf, nan}, {0, 0, 0, 2, inf, nan}},
  {"abs", {-inf, -1, 0, 2, nan}, {inf, 1, 0, 2, nan}},
  {"gelu", {-1e20, -30, 0, 30, 1e20, nan}, {0, 0, 0, 30, values.f32(1e20), nan}},
  {"gelu", {-1e20, -30, 0, 30, 1e20, nan}, {0, 0, 0, 30, values.f32(1e20), nan}, {approximate = "tanh"}},
  {"clamp", {-inf, -1, 0.5, 3, nan}, {0, 0, 0.5, 1, nan}, {min = 0, max = 1}},
  {"clamp", {-inf, -1, 3}, {-inf, -1, 1}, {max = 1}},
  {"clamp", {-1, 5}, {1, 1}, {min = 2, max = 1}},
  {"pow", {-8, 0, 2, inf, nan}, {-512, 0, 8, inf, nan}, {exponent = 3}},
  {"pow", {-8, -2, 0, 4, inf, nan}, {nan, nan, 0, 2, inf, nan}, {exponent = 0.5}},
  {"pow", {-2, 0, 4, inf, nan}, {0.25, inf, 0.0625, 0, nan}, {exponent = -2}},
  {"pow", {-2, 0, inf, nan}, {1, 1, 1, 1}, {exponent = 0}},
  {"pow", {0.5, 1, 2}, {0, 1, inf}, {exponent = inf}},
  {"rpow", {-inf, -1, 0, 3, 200, inf, nan}, {0, 0.5, 1, 8, inf, inf, nan}, {base = 2}},
  {"rpow", {-1, 0, 2}, {inf, 1, 0}, {base = 0}},
}

describe("where arithmetic ends", function()
  for _, case in ipairs(ENDS) do
    local op, x, y, options = table.unpack(case, 1, 4)
    it(op .. " has its limits at {" .. table.concat(x, ", ") .. "}", function()
      same(values.flat(core.ops[op](rlhf.tensor(x), options or {})), y)
    end)
  end

  local SLOPES = {
    {"relu", {-1, 0, 2}, {0, 0, 1}},
    {"abs", {-1, 0, 2}, {-1, 0, 1}},
    {"gelu", {-1e20, 1e20}, {0, 1}},
    {"gelu", {-1e20, 1e20}, {0, 1}, {approximate = "tanh"}},
    {"clamp", {-2, -1, 0, 1, 2}, {0, 1, 1, 1, 0}, {min = -1, max = 1}},
    {"pow", {-2, 0, 3}, {0, 0, 0}, {exponent = 0}},
    {"pow", {-2, 0, 3}, {-4, 0, 6}, {exponent = 2}},
    {"sqrt", {0}, {inf}},
    {"softplus", {-200, 200}, {0, 1}},
  }
  for _, case in ipairs(SLOPES) do
    local op, x, slope, options = table.unpack(case, 1, 4)
    it(op .. " has its slopes at {" .. table.concat(x, ", ") .. "}", function()
      local leaf = rlhf.tensor(x):requires_grad()
      core.ops[op](leaf, options or {}):backward(rlhf.ones {#x})
      same(values.flat(leaf:grad()), slope)
    end)
  end

  it("maximum and minimum keep nan and share ties in halves", function()
    local a, b = rlhf.tensor({1, 5, 2, nan}):requires_grad(), rlhf.tensor({3, 5, 1, 0}):requires_grad()
    same(values.flat(a:maximum(b)), {3, 5, 2, nan})
    same(values.flat(b:minimum(a)), {1, 5, 1, nan})
    a:maximum(b):backward(rlhf.ones {4})
    same({table.unpack(values.flat(a:grad()), 1, 3)}, {0, 0.5, 1})
    same({table.unpack(values.flat(b:grad()), 1, 3)}, {1, 0.5, 0})
  end)
end)

local function log1p(x) return math.abs(x) < 1e-4 and x - x * x / 2 + x ^ 3 / 3 or math.log(1 + x) end
local function expm1(x) return math.abs(x) < 1e-4 and x + x * x / 2 + x ^ 3 / 6 or math.exp(x) - 1 end

-- relative to the result; 3 units in the last place of a float are 3.6e-7
local ACCURATE = {
  exp = {math.exp, -87, 88}, sigmoid = {function(x) return 1 / (1 + math.exp(-x)) end, -80, 80},
  log = {math.log, 1e-6, 1e6}, log1p = {log1p, -0.99, 50}, expm1 = {expm1, -20, 80},
  softplus = {function(x) return log1p(math.exp(x)) end, -80, 80},
  tanh = {function(x) return expm1(2 * x) / (expm1(2 * x) + 2) end, -8, 8},
}

describe("accuracy", function()
  for op, case in pairs(ACCURATE) do
    it("of " .. op .. " is 3 units in the last place", function()
      local f, from, to = table.unpack(case)
      local x = {1e-10, 1e-5}
      for i = 0, 4000 do x[#x + 1] = values.f32(from + (to - from) * i / 4000) end
      for i, y in ipairs(values.flat(core.ops[op](rlhf.tensor(x)))) do
        local want = f(values.f32(x[i]))
        assert(math.abs(y - want) <= 3.6e-7 * math.abs(want) + 1e-44, ("%s(%.9g) = %.9g, %.9g wanted"):format(op, x[i], y, want))
      end
    end)
  end
end)

describe("two operands", function()
  it("broadcast, also to sizes of 0", function()
    local a, b = rlhf.zeros({0, 3}):requires_grad(), rlhf.tensor({1, 2, 3}):requires_grad()
    local out = a * b
    assert.are.same({0, 3}, out:shape())
    out:backward(rlhf.zeros {0, 3})
    assert.are.same({0, 0, 0}, b:grad():totable())
    assert.are.same({0, 3}, a:grad():shape())
    assert.are.same({2, 0}, (rlhf.zeros {2, 1} - rlhf.zeros {0}):shape())
  end)

  it("take numbers on either side", function()
    local x = rlhf.tensor {1, 2, 4}
    assert.are.same({9, 8, 6}, (10 - x):totable())
    assert.are.same({8, 4, 2}, (8 / x):totable())
    assert.are.same({1, 4, 16}, (x ^ 2):totable())
    assert.are.same({2, 2, 4}, x:maximum(2):totable())
  end)

  it("wrap around as integers", function()
    local i = rlhf.tensor({math.maxinteger, 3}, {dtype = "i64"})
    assert.are.same({math.mininteger, 4}, (i + 1):totable())
    assert.are.same({math.maxinteger * 5, 15}, (i * 5):totable())
    assert.are.same({math.mininteger, -4}, (-1 - i):totable())
  end)

  -- sums of ones are exact, however they are cut: few destinations, many, columns, rows
  for _, case in ipairs {{{70000, 2}, {2}}, {{20, 9000}, {9000}}, {{9000, 20}, {9000, 1}}, {{3, 50000}, {1}},
                         {{40, 5, 60, 7}, {5, 1, 7}}, {{2, 5000, 3, 2}, {5000, 1, 2}}, {{200, 700}, {200, 1}}} do
    local shape, small = table.unpack(case)
    it(("sum gradients of [%s] to [%s]"):format(table.concat(shape, ","), table.concat(small, ",")), function()
      local a, b = rlhf.ones(shape), rlhf.ones(small):requires_grad()
      for pass = 1, 2 do
        (b - a):backward(rlhf.ones(shape))
        local times = values.count(shape) // values.count(small)
        for _, g in ipairs(values.flat(b:grad())) do assert.are.equal(pass * times, g) end
      end
    end)
  end

  it("give the same bits with any number of threads", function()
    local before = rlhf.threads()
    local function run()
      local x = rlhf.randn({300, 700}, {seed = 1}):requires_grad()
      local row, column = rlhf.randn({700}, {seed = 2}):requires_grad(), rlhf.randn({300, 1}, {seed = 3}):requires_grad()
      local out = (x * row):swiglu(column):gelu()
      out:backward(rlhf.randn({300, 700}, {seed = 4}))
      local bits = {}
      for _, t in ipairs {out, x:grad(), row:grad(), column:grad()} do bits[#bits + 1] = values.flat(t) end
      return bits
    end
    rlhf.threads(1)
    local one = run()
    rlhf.threads(2)
    local two = run()
    rlhf.threads(before)
    assert.are.same(one, two)
  end)
end)

describe("messages", function()
  local function says(text, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    assert(message:find(text, 1, true), message)
  end
  local x, i = rlhf.tensor {1, 2}, rlhf.tensor({1, 2}, {dtype = "i64"})
  local mask = rlhf.tensor({true, false}, {dtype = "bool"})

  it("name both shapes", function()
    says("[2] and [3] do not broadcast: sizes 2 and 3", rlhf.add, x, rlhf.tensor {1, 2, 3})
  end)
  it("name both dtypes", function()
    says("i64, but the other operand is f32", rlhf.add, x, i)
    says("f32 wanted, got i64", rlhf.div, i, i)
    says("integer wanted beside i64, got 1.5", rlhf.add, i, 1.5)
  end)
  it("name the option", function()
    says("min, max or both wanted", rlhf.clamp, x)
    says("max: a number wanted, got nan", rlhf.clamp, x, {max = nan})
    says("base: 0 or more wanted, got -2", rlhf.rpow, x, -2)
    says("an integer wanted to fill an i64 tensor, got 1.5", rlhf.masked_fill, i, mask, 1.5)
  end)
end)

-- Prints unary operations over magnitudes from 1e-8 to 80, for this and other sets.
local CHILD = [[
  local core = require "rlhf.core"
  local x = {}
  for i = -80, 19 do local v = 10 ^ (i / 10); x[#x + 1] = v; x[#x + 1] = -v end
  for op in ("exp log sqrt rsqrt tanh sigmoid silu softplus logsigmoid log1p expm1 erf gelu"):gmatch "%S+" do
    for i, v in ipairs(core.ops[op](core.tensor(x)):totable()) do print(op, i, v) end
  end]]

local function run_child(isa)
  local code = os.tmpname()
  local f = assert(io.open(code, "w"))
  f:write(CHILD)
  f:close()
  local pipe = assert(io.popen(("RLHF_ISA=%s LUA_PATH='%s' LUA_CPATH='%s' %s %s"):format(isa, package.path,
    package.cpath, os.getenv "LUA" or "lua5.4", code)))
  local lines = {}
  for name, i, v in pipe:read "a":gmatch "(%S+)\t(%S+)\t(%S+)\n" do lines[name .. i] = tonumber(v) or v end
  pipe:close()
  os.remove(code)
  return lines
end

describe("RLHF_ISA=sse2", function()
  it("gives what the best set gives, within rounding", function()
    if not core.info or core.info().isa == "generic" then return pending "one instruction set" end
    local best, base, n = run_child "", run_child "sse2", 0
    for key, v in pairs(best) do
      local w = base[key]
      assert(v == w or math.abs(v - w) <= 6e-7 * math.abs(w), ("%s: %s and %s"):format(key, v, w))
      n = n + 1
    end
    assert.are.equal(13 * 200, n)
  end)
end)
