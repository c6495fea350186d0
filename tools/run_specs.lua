-- Runs every spec file in a busted of its own, so that a crash costs one file, and adds up what they
-- report. The last line is "N passed, N failed"; the exit code is 0 only when something passed and
-- nothing failed. Rests on spec/support/report.lua.
-- Usage: run_specs.lua [--lint] [busted's options] FILE|FOLDER...
local LIMIT = 300 -- seconds for one file: a hanging spec is a failed one

local options, roots, lint = {}, {}, false
for _, a in ipairs(arg) do
  if a == "--lint" then lint = true
  elseif a:sub(1, 1) == "-" then options[#options + 1] = a
  else roots[#roots + 1] = a end
end

local function quoted(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

-- Wall clock, to a tenth of a second where the system tells (Lua's own clock counts this process).
local function now()
  local f = io.open "/proc/uptime"
  if not f then return os.time() end
  local seconds = f:read "n"
  f:close()
  return seconds
end

local function spec_files()
  local files, list = {}, {}
  for i, root in ipairs(roots) do list[i] = quoted(root) end
  local pipe = assert(io.popen("find " .. table.concat(list, " ") .. " -name '*_spec.lua' | sort"))
  for line in pipe:lines() do files[#files + 1] = line end
  pipe:close()
  return files
end

local function how_it_ended(kind, code)
  if kind == "exit" and code == 124 then return "took longer than " .. LIMIT .. " s" end
  if kind == "exit" and code > 128 then kind, code = "signal", code - 128 end
  return "ended with " .. kind .. " " .. code
end

-- Lines but the report's own go through. Returns passed, failed.
local function run(file)
  local command = ("timeout -k 5 %d %s %s --ignore-lua --cpath=%s -o spec/support/report.lua %s %s 2>&1"):format(
    LIMIT, os.getenv "LUA" or "lua5.4", os.getenv "BUSTED" or "busted", quoted((os.getenv "BUILD" or "build") .. "/?.so"),
    table.concat(options, " "), quoted(file))
  local started = now()
  local pipe = assert(io.popen(command))
  local passed, failed
  for line in pipe:lines() do
    local p, f = line:match "^%%report (%d+) (%d+)$"
    if p then passed, failed = tonumber(p), tonumber(f) else print(line) end
  end
  local _, kind, code = pipe:close()
  if not passed then
    print("CRASHED " .. file .. ": " .. how_it_ended(kind, code))
    return 0, 1
  end
  if code ~= 0 and failed == 0 then -- a leak or an error found after the last test
    print("FAILED " .. file .. ": " .. how_it_ended(kind, code))
    failed = 1
  end
  print(("%-40s %4d passed %3d failed %6.1f s"):format(file, passed, failed, now() - started))
  return passed, failed
end

local function run_lint()
  local ok = os.execute "sh tools/lint.sh"
  if not ok then print "FAILED lint" end
  return ok and 1 or 0, ok and 0 or 1
end

if #roots == 0 then error "no spec files named" end
local passed, failed = 0, 0
local function add(p, f) passed, failed = passed + p, failed + f end
if lint then add(run_lint()) end
for _, file in ipairs(spec_files()) do add(run(file)) end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0)
