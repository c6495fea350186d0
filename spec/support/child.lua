-- Code that may crash, hang, or wants an environment of its own runs in a child: child.run(code, options)
-- gives what it printed (errors too) and its exit code. options: env = "A=1 B=2", limit = a shell command
-- that goes before it ("ulimit -v 100000"), seconds = 60.
local M = {}

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

M.quote = quote

--- Runs a shell command line with our module paths. Returns output, exit code.
function M.shell(line, options)
  options = options or {}
  local command = ("%s%s LUA_PATH=%s LUA_CPATH=%s timeout %d %s 2>&1; echo \" exit $?\""):format(
    options.limit and options.limit .. "; " or "", options.env or "", quote(package.path), quote(package.cpath),
    options.seconds or 60, line)
  local pipe = assert(io.popen(command))
  local output, code = pipe:read("a"):match "^(.*) exit (%d+)\n$"
  pipe:close()
  return output, tonumber(code)
end

--- Runs Lua code in a fresh interpreter.
function M.run(code, options)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(code)
  f:close()
  local output, exit = M.shell((os.getenv "LUA" or "lua5.4") .. " " .. path, options)
  os.remove(path)
  return (output:gsub(path:gsub("%p", "%%%0"), "script")), exit
end

--- Compiles a C program that embeds Lua. Returns its path, or nil where there is no compiler or library.
function M.host(source)
  local path = os.tmpname()
  local ok = os.execute(("${CC:-cc} -O1 $(pkg-config --cflags lua5.4) -o %s %s $(pkg-config --libs lua5.4) -pthread >/dev/null 2>&1")
    :format(path, source))
  if ok then return path end
  os.remove(path)
end

return M
