--- What a run tells while it goes on: the options in force, a line of progress, warnings. On a terminal the
-- line is rewritten in place; elsewhere lines follow each other. All of it goes to standard error.
-- @module rlhf.progress
local core = require "rlhf.core"
local values = require "rlhf.values"

local M = {}

local function four_digits(v) return math.type(v) == "float" and ("%.4g"):format(v) or tostring(v) end

--- Text of an options table, one line for each, sorted.
function M.options(name, options)
  local lines = {name .. ":"}
  for _, entry in ipairs(values.entries(options, four_digits)) do lines[#lines + 1] = ("  %s = %s"):format(entry[1], entry[2]) end
  return table.concat(lines, "\n") .. "\n"
end

-- Seconds as h:mm:ss or m:ss.
local function duration(seconds)
  local s = math.floor(seconds + 0.5)
  if s >= 3600 then return ("%d:%02d:%02d"):format(s // 3600, s // 60 % 60, s % 60) end
  return ("%d:%02d"):format(s // 60, s % 60)
end

--- The line of progress.
-- @tparam string name
-- @tparam int step steps that are done
-- @tparam int total
-- @tparam int since steps of this sitting
-- @tparam number seconds what these took
-- @tparam table metrics
-- @tparam {string,...} keys which of the metrics are shown; those that are absent are left out
-- @treturn string without line break
function M.line(name, step, total, since, seconds, metrics, keys)
  local parts = {("%s %d/%d"):format(name, step, total)}
  if seconds > 0 then
    local rate = since / seconds
    parts[#parts + 1] = rate >= 1 and ("%.1f steps/s"):format(rate) or ("%.1f s/step"):format(1 / rate)
    parts[#parts + 1] = duration((total - step) / rate) .. " left"
  end
  for _, key in ipairs(keys) do
    if metrics[key] ~= nil then parts[#parts + 1] = key .. " " .. values.shown(metrics[key], four_digits) end
  end
  return table.concat(parts, "  ")
end

local Printer = {}
Printer.__index = Printer

--- A printer: `p:line(text, last)`, `p:text(text)`. Quiet ones print nothing.
function M.printer(quiet)
  return setmetatable({quiet = quiet, terminal = not quiet and core.is_terminal(), open = false}, Printer)
end

--- Shows a line of progress: in place on a terminal.
function Printer:line(text)
  if self.quiet then return end
  io.stderr:write(self.terminal and "\r" or "", text, self.terminal and "\27[K" or "\n")
  self.open = self.terminal
end

--- Ends a line that stands open.
function Printer:finish()
  if self.open then io.stderr:write "\n" end
  self.open = false
end

--- Shows text that stays.
function Printer:text(text)
  if self.quiet then return end
  self:finish()
  io.stderr:write(text)
end

return M
