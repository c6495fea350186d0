--- Stages over sources: map, filter, take, shuffle, split; and the cursor by which trainers draw rows.
-- Random choices are counter-based draws of seed and pass alone.
-- @submodule rlhf.data
local core = require "rlhf.core"
local option = require "rlhf.option"
local source = require "rlhf.data.source"

local M = {}

local function check_function(f, name)
  if type(f) ~= "function" then error(("data.%s: a function wanted, got %s"):format(name, type(f)), 3) end
end

-- Uniform numbers in [0, 1) with 48 bits: the n-th depends on seed, stream and n alone.
local function draws(seed, stream)
  local BLOCK = 512
  local block, at, number = nil, 2 * BLOCK, 0
  return function()
    if at >= 2 * BLOCK then
      local t <close> = core.rand({2 * BLOCK}, {seed = seed, stream = stream << 32 | number})
      block, at, number = t:totable(), 0, number + 1
    end
    at = at + 2
    return block[at - 1] + block[at] * 2^-24
  end
end

-- A source of f's results, each at its row's place; a result of nil leaves the row out.
local function mapped(parent, f)
  return source.new(function(pass)
    local rows = parent(pass)
    return function()
      for row in rows do
        local new = f(row)
        if new ~= nil then return source.mark(new, source.where(row)) end
      end
    end
  end, parent)
end

--- Rows changed by a function; a result of nil leaves the row out.
-- @tparam source s
-- @tparam function f row -> row; remembers the row's place
-- @treturn source
function M.map(s, f)
  check_function(f, "map")
  return mapped(source.of(s, "map"), f)
end

--- Rows for which a function gives true.
-- @tparam source s
-- @tparam function f row -> boolean
-- @treturn source
function M.filter(s, f)
  check_function(f, "filter")
  return mapped(source.of(s, "filter"), function(row) return f(row) and row or nil end)
end

--- The first n rows.
-- @tparam source s
-- @tparam int n
-- @treturn source
-- @raise on an n that is no whole number from 0
function M.take(s, n)
  if math.type(n) ~= "integer" or n < 0 then
    error("data.take: a whole number from 0 wanted, got " .. tostring(n), 2)
  end
  local parent = source.of(s, "take")
  return source.new(function(pass)
    local rows, left = parent(pass), n
    return function()
      if left == 0 then return nil end
      left = left - 1
      return rows()
    end
  end, parent)
end

-- Holds at most `room` rows and gives a random one of them, until there are none.
local function shuffled(rows, room, draw)
  local held, full = {}, false
  return function()
    while not full and #held < room do
      local row = rows()
      full = row == nil
      held[#held + 1] = row
    end
    if #held == 0 then return nil end
    local i = 1 + math.floor(draw() * #held)
    local row = held[i]
    held[i] = held[#held]
    held[#held] = nil
    return row
  end
end

--- Rows in random order, another in each pass.
-- @tparam source s
-- @tparam[opt] table options `seed` = 0; `buffer`: hold so many rows and draw from them (default: the whole pass)
-- @treturn source
function M.shuffle(s, options)
  options = option.check(options, {seed = 0, buffer = math.huge}, "data.shuffle")
  if options.buffer < 1 then error("data.shuffle: buffer: 1 or more wanted, got " .. options.buffer, 2) end
  local parent = source.of(s, "shuffle")
  return source.new(function(pass)
    return shuffled(parent(pass), options.buffer, draws(options.seed, pass))
  end, parent)
end

local function check_shares(shares)
  local sum = 0
  if type(shares) ~= "table" or #shares == 0 then error("data.split: a list of shares wanted, as {0.9, 0.1}", 3) end
  for i, share in ipairs(shares) do
    if math.type(share) == nil or not (share > 0 and share <= 1) then
      error(("data.split: share %d: a number above 0 and up to 1 wanted, got %s"):format(i, tostring(share)), 3)
    end
    sum = sum + share
  end
  if math.abs(sum - 1) > 1e-9 then error(("data.split: the shares sum to %g, 1 wanted"):format(sum), 3) end
end

-- Which part a draw falls into.
local function part_of(u, shares)
  for i = 1, #shares - 1 do
    u = u - shares[i]
    if u < 0 then return i end
  end
  return #shares
end

--- Parts that share no row and together have all. Which part a row is in depends on the seed and its place among
-- the rows; always asks for the first pass, so that the parts stay apart: shuffle the parts, not what is split.
-- @tparam source s
-- @tparam {number,...} shares they sum to 1
-- @tparam[opt] table options `seed` = 0
-- @return a source for each share
-- @raise on shares that are not above 0, or do not sum to 1
function M.split(s, shares, options)
  local seed = option.check(options, {seed = 0}, "data.split").seed
  check_shares(shares)
  local parent, parts = source.of(s, "split"), {}
  for i = 1, #shares do
    parts[i] = source.new(function()
      local rows, draw = parent(1), draws(seed, 0)
      return function()
        for row in rows do
          if part_of(draw(), shares) == i then return row end
        end
      end
    end, parent)
  end
  return table.unpack(parts)
end

-- ---- the cursor ----

local Cursor = {}
Cursor.__index = Cursor

--- Draws rows from a source, pass after pass, and goes on from where it stood.
-- @tparam source s
-- @treturn cursor
function M.cursor(s)
  return setmetatable({source = source.of(s, "cursor"), pass = 1, drawn = 0}, Cursor)
end

--- The next row; behind the last row of a pass comes the first of the next pass.
-- @treturn table the row
-- @treturn int its pass
-- @raise when a pass has no rows
function Cursor:next()
  self.rows = self.rows or self.source(self.pass)
  local row = self.rows()
  if row == nil then
    if self.drawn == 0 then error("data: the source has no rows", 2) end
    self.pass, self.drawn = self.pass + 1, 0
    self.rows = self.source(self.pass)
    row = self.rows()
    if row == nil then error(("data: pass %d has no rows"):format(self.pass), 2) end
  end
  self.drawn = self.drawn + 1
  return row, self.pass
end

--- Where the cursor stands.
-- @treturn table `{pass =, drawn =}`, plain numbers
function Cursor:position() return {pass = self.pass, drawn = self.drawn} end

--- Starts a position's pass anew and skips what was drawn.
-- @tparam table position as position() gave it
-- @raise when the pass has fewer rows: the data has changed
function Cursor:seek(position)
  self.pass, self.drawn, self.rows = position.pass, 0, self.source(position.pass)
  for _ = 1, position.drawn do
    if self.rows() == nil then
      error(("data: pass %d has %d rows, the position is behind row %d: the data has changed")
        :format(position.pass, self.drawn, position.drawn), 2)
    end
    self.drawn = self.drawn + 1
  end
end

return M
