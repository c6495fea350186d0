-- Products of plain memory, reached through rlhf.matmul: every size at which another kernel, panel or
-- library call takes over, against sums in double.
local child = require "support.child"
local rlhf = require "rlhf"
local runs = require "support.runs"
local values = require "support.values"

local function random(shape, seed) return rlhf.randn(shape, {seed = seed}) end

-- Largest |c - a b| over `step`-th elements; a [m,k], b [k,n] as nested lists.
local function worst(a, b, c, m, n, k, step)
  local largest = 0
  for e = 0, m * n - 1, step do
    local i, j, sum = e // n + 1, e % n + 1, 0.0
    for p = 1, k do sum = sum + a[i][p] * b[p][j] end
    largest = math.max(largest, math.abs(sum - c[i][j]))
  end
  return largest
end

-- a and b as stored: transposed views of them are what is multiplied where asked.
local function product(m, n, k, trans_a, trans_b)
  local a = trans_a and random({k, m}, 1):transpose(1, 2) or random({m, k}, 1)
  local b = trans_b and random({n, k}, 2):transpose(1, 2) or random({k, n}, 2)
  return a, b, a:matmul(b)
end

local function check(m, n, k, step)
  for t = 0, 3 do
    local a, b, c = product(m, n, k, t & 1 > 0, t & 2 > 0)
    local off = worst(a:totable(), b:totable(), c:totable(), m, n, k, step or 1)
    local allowed = 4e-7 * math.sqrt(k) * 4
    if off > allowed then error(("%dx%dx%d, form %d: off by %g"):format(m, n, k, t, off), 2) end
  end
end

describe("gemm", function()
  it("is right around the sizes of its kernels", function()
    for _, m in ipairs {1, 2, 3, 4, 5, 8, 9, 17} do
      for _, n in ipairs {1, 2, 4, 5, 9, 16, 33} do
        for _, k in ipairs {1, 3, 4, 8, 21} do check(m, n, k) end
      end
    end
  end)

  it("is right across panels, with ragged edges", function()
    check(530, 70, 40, 31)
    check(70, 1030, 40, 61)
    check(9, 9000, 11, 401)
  end)

  it("is right with one side of few rows, in pieces", function()
    check(1, 3500, 90, 7)
    check(3500, 1, 90, 7)
    check(4, 3300, 70, 29)
    check(8, 2500, 130, 29)
  end)

  it("sums nothing when there is nothing to sum: zeros, whatever memory held", function()
    rlhf.full({4, 6}, 7):close() -- a block of the result's size goes back to the pool
    assert.same({{0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}},
                rlhf.zeros{4, 0}:matmul(rlhf.zeros{0, 6}):totable())
    for _, shape in ipairs {{0, 3, 2}, {3, 0, 2}, {0, 0, 0}} do
      local m, n, k = table.unpack(shape)
      assert.same({m, n}, rlhf.zeros{m, k}:matmul(rlhf.zeros{k, n}):shape())
    end
  end)

  it("gives the same bits with 1 and 2 threads", function()
    local before = rlhf.threads()
    finally(function() rlhf.threads(before) end)
    for _, s in ipairs {{600, 300, 200}, {1, 5000, 60}, {5000, 2, 60}, {70, 3000, 50}} do
      local results = {}
      for threads = 1, 2 do
        rlhf.threads(threads)
        local _, _, c = product(s[1], s[2], s[3], false, true)
        results[threads] = {out = values.flat(c)}
      end
      assert.is_nil(runs.difference(results[1], results[2], 0))
    end
  end)

  -- OpenBLAS spins for ever when it cannot map a buffer; so all are mapped when the library is loaded.
  it("#limits: needs no memory of the system after loading, with as many threads as there are", function()
    local output, code = child.run([[
      local rlhf = require "rlhf"
      rlhf.threads(2)
      local x = rlhf.randn({1024, 1024}, {seed = 1})
      rlhf.zeros{1024, 1024}:close()
      local status = assert(io.open "/proc/self/status", "no prlimit"):read "a"
      local id, kilobytes = status:match "\nPid:%s*(%d+)", status:match "VmSize:%s*(%d+)"
      assert(os.execute(("prlimit --pid %d --as=%d"):format(id, (kilobytes + 20000) * 1024)), "no prlimit")
      print(x:matmul(x):shape()[1])
    ]], {seconds = 20})
    if output:find "no prlimit" then return pending "no prlimit" end
    assert.same({0, "1024"}, {code, output:match "(%d+)%s*$"})
  end)

  it("names the core it runs on", function() assert.is_truthy(#rlhf.info().blas_core > 0) end)
end)
