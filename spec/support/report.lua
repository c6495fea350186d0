-- busted's output handler for tools/run_specs.lua: prints what failed, what is pending and why, and as
-- the last line of the file's run "%report PASSED FAILED".
local LINES = 12 -- of one message; a module that is not found lists every path

local function message_of(entry)
  local message = entry.message or ""
  if type(message) ~= "string" then message = require "pl.pretty".write(message) end
  return message
end

local function print_entry(kind, entry)
  local trace = entry.trace
  local where = trace and trace.short_src and (" (%s:%s)"):format(trace.short_src, trace.currentline) or ""
  print(kind .. " " .. entry.name .. where)
  local lines = 0
  for line in message_of(entry):gmatch "[^\n]+" do
    lines = lines + 1
    if lines > LINES then return print "    ..." end
    print("    " .. line)
  end
end

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  function handler.suiteEnd()
    for _, entry in ipairs(handler.failures) do print_entry("FAILED", entry) end
    for _, entry in ipairs(handler.errors) do print_entry("ERROR", entry) end
    for _, entry in ipairs(handler.pendings) do print_entry("PENDING", entry) end
    print(("%%report %d %d"):format(handler.successesCount, handler.failuresCount + handler.errorsCount))
    io.stdout:flush()
    return nil, true
  end

  busted.subscribe({"suite", "end"}, handler.suiteEnd)
  return handler
end
