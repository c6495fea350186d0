--- Learning-rate schedules as plain functions: `lr = base * schedule(step)`, steps counting from 0.
-- They give what transformers' schedulers of the same names give. `warmup` and `total` are numbers of steps.
-- @module rlhf.schedule
local option = require "rlhf.option"

local M = {}

local function check(options, name)
  options = option.check(options, {warmup = 0, total = option.required}, "schedule." .. name, 3)
  for _, key in ipairs {"warmup", "total"} do
    local v = options[key]
    if math.type(v) ~= "integer" or v < 0 then
      error(("schedule.%s: %s: a number of steps wanted, got %s"):format(name, key, tostring(v)), 3)
    end
  end
  return options
end

-- step / warmup below warmup, then after(share of the rest that is done, above 1 past the end)
local function with_warmup(options, after)
  local warmup, rest = options.warmup, math.max(1, options.total - options.warmup)
  return function(step)
    if step < warmup then return step / warmup end
    return after((step - warmup) / rest)
  end
end

--- 1 after the warm-up.
-- @tparam[opt] table options `warmup` = 0 (steps), `total` (not needed)
-- @treturn function factor of a step
function M.constant(options)
  local given = options or {}
  return with_warmup(check({warmup = given.warmup, total = given.total or 0}, "constant"),
    function() return 1 end)
end

--- Falls linearly to 0 at `total`.
-- @tparam table options `total` (steps), `warmup` = 0
-- @treturn function factor of a step
function M.linear(options)
  return with_warmup(check(options, "linear"), function(done) return math.max(0, 1 - done) end)
end

--- Falls along half a cosine to 0 at `total`; past it the cosine rises again, as transformers' does.
-- @tparam table options `total` (steps), `warmup` = 0
-- @treturn function factor of a step
function M.cosine(options)
  return with_warmup(check(options, "cosine"),
    function(done) return 0.5 * (1 + math.cos(math.pi * done)) end)
end

return M
