-- What every operation owes, checked from the rows alone: gradients by finite differences, strided
-- inputs, accumulation, the same bits for any number of threads, the same numbers for any instruction
-- set; and that the check itself would notice a gradient that is 1 % off.
local core = require "rlhf.core"
local gradients = require "support.gradients"
local rlhf = require "rlhf"
local runs = require "support.runs"
local samples = require "support.samples"

local function each_sample(row, f)
  for _, sample in ipairs(runs.samples(row)) do
    local wrong = f(sample)
    if wrong then error(("%s(%s): %s"):format(row.name, sample.text, wrong), 0) end
  end
end

local function differentiable_rows()
  local i = 0
  return function()
    repeat i = i + 1 until not core.rows[i] or core.rows[i].differentiable
    return core.rows[i]
  end
end

local function has_size_0_or_1(row)
  for _, text in ipairs(row.samples) do
    if text:find "[%[,][01][%],]" or text:find "%[%]" then return true end
  end
end

describe("samples", function()
  for _, row in ipairs(core.rows) do
    it("of " .. row.name .. " are there" .. (row.differentiable and ", one with a size of 0 or 1" or ""), function()
      assert.is_true(#row.samples > 0)
      assert.is_true(not row.differentiable or has_size_0_or_1(row))
      each_sample(row, function(sample) runs.run(row, sample) end)
    end)
  end
end)

describe("gradients", function()
  for row in differentiable_rows() do
    it("of " .. row.name, function()
      each_sample(row, function(sample) return gradients.check(row, sample) end)
    end)
    it("of " .. row.name .. " with strided inputs", function()
      each_sample(row, function(sample) return gradients.check(row, sample, {strided = true}) end)
    end)
  end
end)

-- Asked for one by one or all at once, once or twice: the same gradients, doubled.
local function accumulates(row, sample)
  local all, seeds = gradients.backward(row, sample, {})
  local twice = gradients.backward(row, sample, {twice = true}, seeds)
  local want = {}
  for i, g in pairs(all) do
    local alone = gradients.backward(row, sample, {grad = {[i] = true}}, seeds)
    local wrong = runs.difference({[i] = g}, alone, 1e-6)
    if wrong then return "asked for alone: " .. wrong end
    want[i] = {}
    for j, x in ipairs(g) do want[i][j] = 2 * x end
  end
  return runs.difference(want, twice, 1e-6)
end

describe("accumulation", function()
  for row in differentiable_rows() do
    it("in " .. row.name, function()
      each_sample(row, function(sample) return accumulates(row, sample) end)
    end)
  end
end)

describe("strided inputs", function()
  for _, row in ipairs(core.rows) do
    it("of " .. row.name .. " give what contiguous ones give", function()
      each_sample(row, function(sample)
        return runs.difference(runs.run(row, sample), runs.run(row, sample, {strided = true}), 1e-5)
      end)
    end)
  end
end)

-- Rows whose options name sizes, so that no sample can grow.
local NO_LARGE = {split = true}

describe("threads", function()
  local before = rlhf.threads()
  after_each(function() rlhf.threads(before) end)

  for _, row in ipairs(core.rows) do
    it("do not change " .. row.name, function()
      local large = runs.large_sample(row)
      assert.equal(NO_LARGE[row.name] or false, not large, "is there a large sample?")
      local function compare(sample)
        rlhf.threads(1)
        local one = runs.run(row, sample)
        rlhf.threads(2)
        return runs.difference(one, runs.run(row, sample), 0)
      end
      each_sample(row, compare)
      local wrong = large and compare(large)
      if wrong then error(row.name .. " on a large sample: " .. wrong, 0) end
    end)
  end
end)

local function read_child(isa)
  local pipe = assert(io.popen(("RLHF_ISA=%s %s spec/support/isa_child.lua 2>&1"):format(isa, os.getenv "LUA" or "lua5.4")))
  local results, said, last = {}, nil, nil
  for line in pipe:lines() do
    last = line
    local row, i, name, rest = line:match "^([^\t]+)\t(%d+)\t(%w+)\t?(.*)$"
    if row then
      local list = {}
      for v in rest:gmatch "[^\t]+" do list[#list + 1] = tonumber(v) or v end
      local key = row .. " " .. i
      results[key] = results[key] or {}
      results[key][name] = list
    else
      said = said or line
    end
  end
  pipe:close()
  return last == "end" and results or nil, said
end

describe("instruction sets", function()
  local base, no_base = read_child "sse2"
  for _, isa in ipairs {"avx2", "avx512"} do
    local results, why = read_child(isa)
    if not base then
      pending("only one: " .. no_base)
    elseif not results then
      pending(isa .. ": " .. tostring(why):gsub("^.-: ", ""))
    else
      it(isa .. " gives what sse2 gives, within rounding", function()
        for key, lists in pairs(base) do
          local wrong = runs.difference(lists, results[key] or {}, 2e-5)
          if wrong then error(key .. ": " .. wrong, 0) end
        end
      end)
    end
  end
end)

describe("the gradient check", function()
  after_each(function() core.debug.scale_gradient(nil) end)

  local function notices(row)
    for _, text in ipairs(row.samples) do
      if gradients.check(row, samples.parse(text)) then return true end
    end
  end

  for row in differentiable_rows() do
    it("notices a gradient of " .. row.name .. " that is 1 % too large", function()
      core.debug.scale_gradient(row.name, 1.01)
      assert.is_true(notices(row))
    end)
  end
end)
