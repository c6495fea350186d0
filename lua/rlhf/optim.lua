--- Optimizers. The loop is the user's: `loss:backward(); opt:clip(1.0); opt:step(lr)`.
-- @module rlhf.optim
local core = require "rlhf.core"
local option = require "rlhf.option"

local M = {}

local defaults = {lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0.01}
local group_known = {"params", "lr", "weight_decay"}

local function check_number(name, value, low, high, level)
  if math.type(value) == nil or value < low or value >= high then
    error(("optim.adamw: %s: a number from %g to below %g wanted, got %s")
      :format(name, low, high, tostring(value)), level + 1)
  end
  return value
end

local function check_options(options, level)
  options = option.check(options, defaults, "optim.adamw", level + 1)
  check_number("lr", options.lr, 0, math.huge, level + 1)
  check_number("eps", options.eps, 0, math.huge, level + 1)
  check_number("weight_decay", options.weight_decay, 0, math.huge, level + 1)
  if type(options.betas) ~= "table" then
    error("optim.adamw: betas: two numbers wanted, got " .. tostring(options.betas), level + 1)
  end
  check_number("betas[1]", options.betas[1], 0, 1, level + 1)
  check_number("betas[2]", options.betas[2], 0, 1, level + 1)
  return options
end

-- A group's own weight_decay holds for all of its parameters; the optimizer's only for matrices.
local function add_group(list, group, options, level)
  option.check_names(group, group_known, "optim.adamw: group", level + 1)
  local lr = check_number("group lr", group.lr or options.lr, 0, math.huge, level + 1)
  local scale = options.lr > 0 and lr / options.lr or 1
  if group.weight_decay then
    check_number("group weight_decay", group.weight_decay, 0, math.huge, level + 1)
  end
  for _, p in ipairs(group.params) do
    local matrix = type(p) == "userdata" and #p:shape() > 1
    list[#list + 1] = {p, lr_scale = scale,
                       weight_decay = group.weight_decay or (matrix and options.weight_decay or 0)}
  end
end

--- AdamW (Loshchilov and Hutter 2019), numerically as torch.optim.AdamW.
-- Gradients and moments lie in flat memory; clipping and the step are one pass each.
-- @tparam table params a list of f32 tensors that require gradients, or a list of groups
--   `{params = list, lr =, weight_decay =}`
-- @tparam[opt] table options `lr` = 1e-3, `betas` = {0.9, 0.999}, `eps` = 1e-8, `weight_decay` = 0.01
--   (decoupled; one-dimensional parameters, biases and norms, aren't decayed unless their group says so)
-- @return an optimizer with the methods
--
--   * `opt:clip(max_norm)`: scales the gradients when their 2-norm is above max_norm; returns the norm before
--   * `opt:step(lr)`: one step at rate lr (by default the option; a group's own rate keeps its ratio to it), and
--     clears the gradients; returns true, or nil and the reason when a gradient isn't finite, with nothing changed
--   * `opt:zero_grad()`: clears the gradients; `opt:lr()`: the option; `opt:close()`: frees gradients and moments
--   * `opt:state()`: moments and number of steps, as a table of tensors and numbers; `opt:load_state(state)` takes it back
-- @raise on parameters that aren't contiguous f32 leaves, on unknown or impossible options
function M.adamw(params, options)
  options = check_options(options, 2)
  if type(params) ~= "table" then
    error("optim.adamw: a list of parameters or groups wanted, got " .. type(params), 2)
  end
  local list = {}
  local groups = type(params[1]) == "table" and params or {{params = params}}
  for _, group in ipairs(groups) do add_group(list, group, options, 2) end
  if #list == 0 then error("optim.adamw: no parameters", 2) end
  return core.adamw(list, options.lr, options.betas[1], options.betas[2], options.eps)
end

return M
