-- Builds safetensors files byte by byte and takes them apart, without the library's own code.
-- M.write("a.safetensors", M.file('{"x":...}', data)); M.entries(path) -> {name = {dtype, shape, data}}.
local json = require "rlhf.core".json_decode

local M = {}

--- A new folder, removed by M.remove.
function M.folder()
  local name = os.tmpname()
  os.remove(name)
  assert(os.execute("mkdir '" .. name .. "'"))
  return name
end

function M.remove(folder) assert(os.execute("rm -rf '" .. folder .. "'")) end

function M.write(path, text)
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  assert(f:close())
  return path
end

function M.slurp(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

--- The bytes of a file: header length, header, data.
function M.file(header, data) return string.pack("<s8", header) .. (data or "") end

--- One tensor's header entry.
function M.entry(dtype, shape, first, last)
  return ('{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'):format(dtype, table.concat(shape, ","), first, last)
end

--- A whole file of one tensor 'x'.
function M.single(dtype, shape, data)
  return M.file('{"x":' .. M.entry(dtype, shape, 0, #data) .. "}", data)
end

--- Everything a file holds: {name = {dtype, shape, data = bytes, first = offset}}, metadata, length of the header.
function M.entries(path)
  local text = M.slurp(path)
  local header, at = string.unpack("<s8", text)
  local entries = assert(json(header))
  local metadata = entries.__metadata__
  entries.__metadata__ = nil
  for _, e in pairs(entries) do
    e.first, e.last = e.data_offsets[1], e.data_offsets[2]
    e.data = text:sub(at + e.first, at + e.last - 1)
  end
  return entries, metadata, #header
end

--- How many files this process has open; nil where the system doesn't tell (a chroot without /proc).
function M.open_files()
  local list = require "rlhf.core".list_folder "/proc/self/fd"
  return list and #list
end

return M
