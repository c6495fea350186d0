--- Rows from JSON lines. The file is read in chunks; untrusted: a line is at most 16 MB, text is strict UTF-8.
-- A byte order mark, CRLF and blank lines are fine.
-- @submodule rlhf.data
local core = require "rlhf.core"
local option = require "rlhf.option"
local source = require "rlhf.data.source"

local CHUNK, LINE_LIMIT = 1 << 16, 16 << 20 -- bytes
local BOM = "\xEF\xBB\xBF"

-- An iterator over lines: text without its line feed, or false for one that is too long; nil at the end.
local function lines_of(f, path)
  local chunk, at = "", 1
  local function refill()
    local text, message = f:read(CHUNK)
    if message then error(("%s: %s"):format(path, message), 0) end
    chunk, at = text or "", 1
    return text ~= nil
  end
  return function()
    local parts, size = {}, 0
    if at > #chunk and not refill() then return nil end
    repeat
      local stop = chunk:find("\n", at, true)
      local part = chunk:sub(at, (stop or #chunk + 1) - 1)
      at = (stop or #chunk) + 1
      size = size + #part
      if size > LINE_LIMIT then parts = {} else parts[#parts + 1] = part end
    until stop or not refill()
    return size <= LINE_LIMIT and table.concat(parts)
  end
end

-- A row, or nil and what is wrong.
local function parse(line)
  if not line then return nil, "line is longer than 16 MB" end
  if line:find("\0", 1, true) then return nil, "line has a NUL byte" end
  local row, message = core.json_decode(line, {limit = LINE_LIMIT})
  if row == nil then return nil, (message:gsub("^line 1 ", "")) end
  if type(row) ~= "table" or core.is_array(row) then
    return nil, "an object wanted, got " .. (core.is_array(row) and "array" or row == core.null and "null" or type(row))
  end
  return row
end

local function rows_of(f, path, skip, self)
  local next_line, number, ended = lines_of(f, path), 0, false
  return function()
    if ended then return nil end -- a stage may ask again behind the end
    for line in next_line do
      number = number + 1
      if number == 1 and line then line = line:gsub("^" .. BOM, "") end
      if not line or line:find "%S" then
        local row, message = parse(line)
        local place = ("%s:%d"):format(path, number)
        if row then return source.mark(row, place) end
        if not skip then error(place .. ": " .. message, 0) end
        source.skip(self, place .. ": " .. message)
      end
    end
    ended = true
    f:close()
  end
end

--- A source over a file of JSON lines, one object each.
-- @function jsonl
-- @tparam string path a regular file
-- @tparam[opt] table options `on_bad_row` = "error" (the iterator raises `train.jsonl:17: ...`) or "skip" (bad lines
--   are left out, and told by source:skipped())
-- @treturn source
-- @raise when the file isn't there
return function(path, options)
  if type(path) ~= "string" then error("data.jsonl: a path wanted, got " .. type(path), 2) end
  local skip = source.skips(option.check(options, {on_bad_row = "error"}, "data.jsonl").on_bad_row, "jsonl")
  local info, message = core.file_info(path)
  if not info then error(message, 2) end
  if info.type ~= "file" then error(path .. ": not a regular file", 2) end
  return source.new(function(_, self)
    local f, problem = io.open(path, "rb")
    if not f then error(problem, 0) end
    return rows_of(f, path, skip, self)
  end)
end
