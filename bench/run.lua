-- What this machine and build reach: matrix products, the price of a call. A figure without the first
-- line is no evidence. Rests on the library alone; `make bench`.
local rlhf = require "rlhf"

-- Wall clock in seconds, to 10 ms: os.clock counts the CPU time of all threads.
local function now()
  local f = assert(io.open "/proc/uptime")
  local seconds = f:read "n"
  f:close()
  return seconds
end

-- Seconds for one f(), the best of some rounds of at least 0.3 s each.
local function best(f)
  local fastest = math.huge
  for _ = 1, 3 do
    local calls, started = 0, now()
    repeat
      f()
      calls = calls + 1
    until now() - started >= 0.3
    fastest = math.min(fastest, (now() - started) / calls)
  end
  return fastest
end

local function many(n, f) return function() for _ = 1, n do f() end end end

local function matmul_line(size, threads)
  rlhf.threads(threads)
  local a, b = rlhf.randn({size, size}, {seed = 1}), rlhf.randn({size, size}, {seed = 2})
  local seconds = best(function() a:matmul(b):close() end)
  print(("sgemm %d^3, %d thread%s %22.1f GFLOP/s"):format(size, threads, threads > 1 and "s" or " ", 2 * size ^ 3 / seconds / 1e9))
end

local function dispatch_line(what, f)
  local n = 20000
  print(("%-30s %14.0f ns/call"):format(what, best(many(n, f)) / n * 1e9))
end

collectgarbage "generational"
local info = rlhf.info()
local words = {}
for key, value in pairs(info) do
  words[#words + 1] = key .. "=" .. (type(value) == "table" and table.concat(value, ",") or tostring(value))
end
table.sort(words)
print(table.concat(words, " "))

local threads = rlhf.threads()
matmul_line(1024, 1)
if threads > 1 then matmul_line(1024, 2) end
rlhf.threads(threads)

local x = rlhf.tensor {1, 2, 3}
local leaf = rlhf.tensor {1, 2, 3}:requires_grad()
dispatch_line("exp of 3 numbers", function() x:exp():close() end)
dispatch_line("the same, recorded", function() leaf:exp():close() end)
