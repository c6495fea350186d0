-- Helpers of the data specs: rows of a source as a list, files of lines that vanish, a tokenizer of bytes.
local M = {}

function M.rows(s, pass)
  local out = {}
  for row in s(pass or 1) do out[#out + 1] = row end
  return out
end

--- Calls f with the path of a file that has the text.
function M.with_file(text, f)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local ok, message = pcall(f, path)
  os.remove(path)
  if not ok then error(message, 0) end
end

--- Ids are bytes; 256 begins, 257 ends.
M.bytes = {
  encode = function(_, text, options)
    local ids = {table.unpack({text:byte(1, -1)})}
    if not options or options.special ~= false then table.insert(ids, 1, 256) end
    return ids
  end,
  bos = function() return 256 end,
  eos = function() return 257 end,
  save = function() return true end,
}

--- The text of ids, [ and ] for begin and end; with labels only what is trained.
function M.text(row, trained)
  local out = {}
  for i, id in ipairs(row.ids) do
    if not trained or row.labels[i] ~= -100 then
      out[#out + 1] = id == 256 and "[" or id == 257 and "]" or string.char(id)
    end
  end
  return table.concat(out)
end

--- A file of the shared data sets, or nil.
function M.shared(name)
  local path = "../shared/data/" .. name
  local f = io.open(path, "rb")
  if not f then return nil end
  f:close()
  return path
end

return M
