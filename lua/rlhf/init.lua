--- RLHF on an ordinary CPU. This module only re-exports: each name is looked up when it is first used.
-- @module rlhf
local core = require "rlhf.core"

-- Names that are modules of their own.
local modules = {gradcheck = true, optim = true, option = true, schedule = true}

local function find(rlhf, name)
  local value
  if modules[name] then
    value = require("rlhf." .. name)
  else
    value = core[name] or core.ops[name]
  end
  rlhf[name] = value
  return value
end

return setmetatable({}, {__index = find})
