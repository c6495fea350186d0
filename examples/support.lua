-- What demo.lua and nsmc.lua share: arguments, a clock, a trainer's log, and how a policy's answers are judged.
local rlhf = require "rlhf"

local M = {}

--- Puts words like KEY=VALUE over defaults, whose keys are all that may be given.
-- @tparam table options defaults by key; changed
-- @tparam {string,...} words
function M.read_arguments(options, words)
  local keys = {}
  for key in pairs(options) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, word in ipairs(words) do
    local key, value = word:match "^([%w_]+)=(.+)$"
    if not key or options[key] == nil then
      error(("KEY=VALUE wanted, KEY one of %s; got %s"):format(table.concat(keys, ", "), word), 0)
    end
    options[key] = math.tointeger(tonumber(value)) or tonumber(value) or value
  end
end

--- A function that prints as string.format does, behind the seconds since it was made.
function M.clock()
  local begun = os.time()
  return function(...) print(("[%3d s] "):format(os.difftime(os.time(), begun)) .. string.format(...)) end
end

--- Runs a trainer.
-- @treturn {table,...} the metrics of its steps
function M.run(trainer)
  local log = {}
  for _, metrics in trainer:steps() do log[#log + 1] = metrics end
  return log
end

--- Scores of many items, a few at a time, without gradients.
-- @tparam reward_model rm
-- @tparam table items as rm:score takes them
-- @treturn {number,...}
function M.scores(rm, items)
  local list = {}
  for first = 1, #items, 64 do
    local scope <close> = rlhf.scope()
    local some = table.move(items, first, math.min(first + 63, #items), 1, {})
    for _, s in ipairs(rlhf.no_grad(function() return rm:score(some):totable() end)) do list[#list + 1] = s end
  end
  return list
end

-- true counts as 1, false as 0.
local function mean(list)
  local sum = 0
  for _, x in ipairs(list) do sum = sum + (x == true and 1 or x or 0) end
  return sum / #list
end

--- What a policy answers, and what judges say of it.
-- @tparam model policy
-- @tparam tokenizer tok
-- @tparam {table,...} rows with `prompt`, a text
-- @tparam table options `max_new_tokens`, `seed`; `judges`: a list of what roll:score takes; `reference` = nil: a model
-- @treturn table `texts`; `ended`: share of the answers that end; `length`: their mean, in tokens; `scores`: mean of
--   each judge; `kl`: from the reference, if there is one, nats an answer
function M.examine(policy, tok, rows, options)
  local scope <close> = rlhf.scope()
  local ids = {}
  for i, row in ipairs(rows) do ids[i] = tok:encode(row.prompt) end
  local roll = rlhf.ppo.rollout(policy, ids, {max_new_tokens = options.max_new_tokens, seed = options.seed,
    tokenizer = tok, rows = rows})
  local found = {texts = {}, scores = {}, ended = mean(roll.ended), length = mean(roll.lengths)}
  for i, response in ipairs(roll.responses) do found.texts[i] = tok:decode(response, {skip_special = true}) end
  for j, judge in ipairs(options.judges) do found.scores[j] = mean(roll:score(judge).scores) end
  if options.reference then
    roll:reference(options.reference)
    found.kl = rlhf.ppo.kl(roll.logp, roll.ref_logp):sum():item() / #roll
  end
  return found
end

return M
