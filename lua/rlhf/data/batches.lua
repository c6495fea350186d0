--- Batches of encoded rows within a budget of tokens, in order.
-- @submodule rlhf.data
local option = require "rlhf.option"
local source = require "rlhf.data.source"

--- Lists of rows whose ids are at most `tokens` in all; a row that is longer makes a batch of its own.
-- @function batches
-- @tparam source s rows with `ids`
-- @tparam[opt] table options `tokens` = 4096
-- @treturn source of lists of rows
return function(s, options)
  local budget = option.check(options, {tokens = 4096}, "data.batches").tokens
  if budget < 1 then error("data.batches: tokens: 1 or more wanted, got " .. budget, 2) end
  local parent = source.of(s, "batches")
  return source.new(function(pass)
    local rows, waiting = parent(pass), nil
    return function()
      local list, tokens = {}, 0
      while true do
        local row = waiting or rows()
        waiting = nil
        if row == nil then break end
        if type(row.ids) ~= "table" then error((source.where(row) or "a row") .. ": data.batches: ids are missing", 0) end
        if #list > 0 and tokens + #row.ids > budget then
          waiting = row
          break
        end
        list[#list + 1] = row
        tokens = tokens + #row.ids
      end
      if #list > 0 then return source.mark(list, source.where(list[1])) end
    end
  end, parent)
end
