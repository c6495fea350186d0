--- Sources of rows. A source is a restartable object: `source(pass)` (from 1) gives a fresh iterator, a function
-- that returns the next row and nil at the end. Every stage takes a source first and is one, and holds no state
-- of its own between passes: position is (pass, rows drawn), and resuming recreates a source and skips.
-- Rows remember where they stood, in a weak table.
-- @submodule rlhf.data
local M = {}

local Source = {}
Source.__index = Source
Source.__name = "rlhf.data.source"

local places = setmetatable({}, {__mode = "k"}) -- row -> "file:line"

--- Where a row stood.
-- @tparam table row
-- @treturn ?string "file:17"
function M.where(row) return places[row] end

--- Tells where a row stands; returns the row.
-- @local
function M.mark(row, place)
  if type(row) == "table" and place then places[row] = place end
  return row
end

--- A source of our kind.
-- @local
-- @tparam function open called with the pass, and the source itself; returns an iterator
-- @tparam[opt] source parent whose skipped rows count, too
function M.new(open, parent)
  return setmetatable({open = open, parent = parent, bad = {}, count = 0}, Source)
end

--- Starts a pass: `source(pass)`.
-- @function Source:__call
-- @tparam[opt=1] int pass
-- @treturn function the next row, nil at the end; raises where a row is bad
function Source:__call(pass)
  pass = pass or 1
  if math.type(pass) ~= "integer" or pass < 1 then
    error("data: pass: a whole number from 1 wanted, got " .. tostring(pass), 2)
  end
  self.bad, self.count = {}, 0
  return self.open(pass, self)
end

local KEPT = 100 -- messages of skipped rows

--- Rows that this source and those it rests on left out in their last pass.
-- @treturn int how many
-- @treturn {string,...} why, the first hundred of each stage
function Source:skipped()
  local count, messages = 0, {}
  if self.parent and self.parent.skipped then count, messages = self.parent:skipped() end
  table.move(self.bad, 1, #self.bad, #messages + 1, messages)
  return count + self.count, messages
end

--- Counts a row that is left out.
-- @local
function M.skip(self, message)
  self.count = self.count + 1
  if #self.bad < KEPT then self.bad[#self.bad + 1] = message end
end

-- A bare iterator: it can't be started again.
local function bare(f)
  local used = false
  return M.new(function(pass)
    if used or pass > 1 then
      error("data: a bare iterator works for one pass; give a source (d.jsonl, d.list) to go over rows again", 3)
    end
    used = true
    return f
  end)
end

--- A source over a list of rows.
-- @tparam {table,...} rows
-- @treturn source
-- @raise on what is no list
function M.list(rows)
  if type(rows) ~= "table" then error("data.list: a list of rows wanted, got " .. type(rows), 2) end
  return M.new(function()
    local i = 0
    return function()
      i = i + 1
      return rows[i]
    end
  end)
end

--- What a stage's first argument stands for: a source, an object that is called like one, a list, a bare iterator.
-- @local
function M.of(x, name)
  if getmetatable(x) == Source then return x end
  if type(x) == "function" then return bare(x) end
  local meta = type(x) == "table" and getmetatable(x)
  if meta and meta.__call then return M.new(function(pass) return x(pass) end) end
  if type(x) == "table" then return M.list(x) end
  error(("data.%s: a source, a list or an iterator wanted, got %s"):format(name, type(x)), 3)
end

--- Does a stage leave bad rows out? Reads the option `on_bad_row`.
-- @local
function M.skips(value, name)
  if value ~= nil and value ~= "error" and value ~= "skip" then
    error(("data.%s: on_bad_row: 'error' or 'skip' wanted, got %s"):format(name, tostring(value)), 3)
  end
  return value == "skip"
end

--- A stage that turns each row into any number of rows.
-- @local
-- @tparam source parent
-- @tparam function convert gets a row; returns a list of rows, or nil, a message and whether it is an error
--   (a row that is left out by design is none); raised errors pass through
-- @tparam boolean skip leave rows out that are errors
function M.convert(parent, convert, skip)
  return M.new(function(pass, self)
    local rows, ready, at, drawn = parent(pass), {}, 0, 0
    return function()
      while at >= #ready do
        local row = rows()
        if row == nil then return nil end
        drawn, at = drawn + 1, 0
        local list, message, wrong = convert(row)
        local place = places[row] or ("row %d"):format(drawn)
        if not list then
          message = place .. ": " .. message
          if wrong and not skip then error(message, 0) end
          M.skip(self, message)
        end
        ready = list or {}
        for _, new in ipairs(ready) do places[new] = places[row] end
      end
      at = at + 1
      return ready[at]
    end
  end, parent)
end

return M
