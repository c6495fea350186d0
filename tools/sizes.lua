-- Sizes of files and functions against the limits that we aim at. What is over a limit is listed; a C
-- file over 800 lines or a function over twice its limit fails.
local limits = {
  c = {file = 600, fails = 800, func = 40},
  kernel = {file = 600, fails = 800, func = 80},
  h = {file = 120, fails = 400, func = 40},
  lua = {file = 300, fails = 600, func = 30},
  spec = {file = 300, fails = 600, func = math.huge}, -- a describe block is one function
}

local function kind_of(path)
  if path:find "^spec/" then return "spec" end
  if path:find "^c/ops/kernels/.*%.[ch]$" then return "kernel" end
  return path:match "%.(%w+)$"
end

-- {line, lines, name} of each function that begins and ends in the first column.
local function c_functions(text)
  local found, number, start, name = {}, 0, nil, nil
  for line in text:gmatch "(.-)\n" do
    number = number + 1
    if line:find "^[%a_].*%(.*" and not line:find ";%s*$" then start, name = number, line:match "([%w_]+)%(" end
    if line == "}" and start then
      found[#found + 1] = {start, number - start + 1, name}
      start = nil
    end
  end
  return found
end

-- From luac's listing, which knows where each function begins and ends.
local function lua_functions(path)
  local found = {}
  local pipe = io.popen("luac5.4 -l -p '" .. path .. "' 2>/dev/null")
  for line in pipe:lines() do
    local first, last = line:match "^function <[^:]*:(%d+),(%d+)>"
    if first then found[#found + 1] = {tonumber(first), last - first + 1, "function"} end
  end
  pipe:close()
  return found
end

local failed = false
local function say(over, format, ...)
  print((over and "too long: " or "long: ") .. format:format(...))
  failed = failed or over
end

local function check(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  local limit = limits[kind_of(path)]
  local _, lines = text:gsub("\n", "")
  if lines > limit.file then say(lines > limit.fails, "%s has %d lines (aim: %d)", path, lines, limit.file) end
  for _, f_ in ipairs(path:find "%.lua$" and lua_functions(path) or c_functions(text)) do
    if f_[2] > limit.func then
      say(f_[2] > 2 * limit.func, "%s:%d: %s has %d lines (aim: %d)", path, f_[1], f_[3], f_[2], limit.func)
    end
  end
end

local pipe = assert(io.popen "find c lua spec tools bench -name '*.[ch]' -o -name '*.lua' | sort")
for path in pipe:lines() do check(path) end
pipe:close()
os.exit(not failed)
