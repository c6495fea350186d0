-- Every function that a user can call has a doc comment that names its parameters, and every module its page.
-- Reads the files that config.ld lists, and the core's own table of functions. Prints what lacks.
local core = require "rlhf.core"

-- Functions of the core that the library's own modules wrap.
local INTERNAL = {"adamw", "decoder", "decoder_count", "fail_saves", "gae", "is_terminal", "nearest", "process_logits",
                  "safetensors_open", "safetensors_save", "session", "tokenizer_read", "unscoped", "whiten"}
local PRIVATE = {Run = true} -- classes that don't leave their file

local failed = false
local function complain(format, ...)
  print("undocumented: " .. format:format(...))
  failed = true
end

local function read(path) return assert(core.read_file(path)) end

local config = {}
assert(loadfile("config.ld", "t", config))()

-- A function's doc comment names each parameter; what is @local has no page.
local function check_function(path, line, name, parameters, block)
  if not block then
    if not name:find "[.:]__" then complain("%s:%d: %s", path, line, name) end
  elseif not block:find "@local" then
    for parameter in parameters:gmatch "[%w_.]+" do
      if parameter ~= "_" and not block:find("@t?param[^\n]* " .. parameter:gsub("%.", "%%.") .. "%f[^%w_.]") then
        complain("%s:%d: %s: parameter %s", path, line, name, parameter)
      end
    end
  end
end

local function check_file(path)
  local number, block = 0, nil
  for line in read(path):gmatch "([^\n]*)\n" do
    number = number + 1
    local name, parameters = line:match "^function ([%w_]+[.:][%w_]+)%((.-)%)"
    if name and not PRIVATE[name:match "^%w+"] then check_function(path, number, name, parameters, block) end
    block = line:find "^%-%-%-" and line .. "\n" or block and line:find "^%-%-" and block .. line .. "\n" or nil
  end
end

local pages = {}
for _, path in ipairs(config.file) do
  check_file(path)
  pages[path] = true
end

local init = read "lua/rlhf/init.lua"
for name in init:match("local modules = (%b{})"):gmatch "([%w_]+) = true" do
  if not (pages["lua/rlhf/" .. name .. ".lua"] or pages["lua/rlhf/" .. name .. "/init.lua"]) then
    complain("module rlhf.%s has no page in config.ld", name)
  end
end

for _, name in ipairs(INTERNAL) do pages[name] = true end
for name, value in pairs(core) do
  if type(value) == "function" and not pages[name] and not init:find("@function " .. name .. "\n", 1, true) then
    complain("rlhf.%s (lua/rlhf/init.lua)", name)
  end
end
os.exit(not failed)
