-- Runs every sample of every row and prints what came out, exactly; spec/ops_spec.lua runs this under
-- each instruction set. Line: ROW, SAMPLE, LIST and the values, separated by tabs.
local runs = require "support.runs"
local core = require "rlhf.core"

local function text_of(v) return type(v) == "number" and ("%a"):format(v) or tostring(v) end

for _, row in ipairs(core.rows) do
  for i, sample in ipairs(runs.samples(row)) do
    for name, list in pairs(runs.run(row, sample)) do
      local line = {row.name, i, name}
      for _, v in ipairs(list) do line[#line + 1] = text_of(v) end
      print(table.concat(line, "\t"))
    end
  end
end
print "end"
