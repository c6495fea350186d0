-- lua/rlhf/core.lua and c/bind/preload.c: what OpenBLAS finds in the environment while it is loaded, and
-- that nothing of it is left afterwards; rlhf.info().
local child = require "support.child"
local core = require "rlhf.core"

local function has(isa)
  for _, name in ipairs(core.info().isa_supported) do
    if name == isa then return true end
  end
end

describe("rlhf.info", function()
  it("tells what the library runs on", function()
    local info = core.info()
    assert.matches("^%d+%.%d+%.%d+$", info.version)
    assert.matches("^OpenBLAS %d+%.%d+%.%d+$", info.blas)
    assert.is_true(#info.blas_core > 0)
    assert.is_true(has(info.isa))
    assert.equal(core.threads(), info.threads)
    assert.is_true(info.processors >= 1)
    assert.is_false(info.onednn)
  end)

  it("does not say Prescott where the processor has AVX2", function()
    local info, user = core.info(), os.getenv "OPENBLAS_CORETYPE"
    if not has "avx2" or user then return pending "no AVX2, or the user chose" end
    assert.not_equal("Prescott", info.blas_core)
  end)
end)

describe("loading", function()
  local SHOW = [[
    local names = {"OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "ONEDNN_MAX_CPU_ISA"}
    local function show()
      local t = {}
      for i, name in ipairs(names) do t[i] = tostring(os.getenv(name)) end
      return table.concat(t, " ")
    end
  ]]
  local CLEAN = "env -u OPENBLAS_CORETYPE -u OPENBLAS_NUM_THREADS -u ONEDNN_MAX_CPU_ISA -u RLHF_ISA "

  local function run(code, env) return (child.run(SHOW .. code, {env = CLEAN .. (env or "")})) end

  it("sets variables for the load alone", function()
    local output = run [[
      local preload = require "rlhf.preload"
      preload.set() print(show()) preload.restore() print(show())
      require "rlhf.core" print(show())
      os.execute "env | grep -cE '^(OPENBLAS_CORETYPE|OPENBLAS_NUM_THREADS|ONEDNN_MAX_CPU_ISA)='"
    ]]
    local core_name = has "avx512" and "SkylakeX" or has "avx2" and "Haswell" or "nil"
    assert.equal(core_name .. " 1 nil\nnil nil nil\nnil nil nil\n0\n", output)
  end)

  it("leaves what the user set", function()
    local output = run([[
      local preload = require "rlhf.preload"
      preload.set() print(show()) preload.restore() print(show())
    ]], "OPENBLAS_CORETYPE=Zen OPENBLAS_NUM_THREADS=3 ONEDNN_MAX_CPU_ISA=AVX")
    assert.equal("Zen 3 AVX\nZen 3 AVX\n", output)
  end)

  it("takes a fixed core for each RLHF_ISA", function()
    local code = [[
      require "rlhf.preload".set() print(show()) require "rlhf.preload".restore()
      local info = require "rlhf.core".info() print(info.isa, info.blas_core)
    ]]
    for isa, want in pairs {sse2 = "Core2 1 SSE41\nsse2\tCore2\n", avx2 = "Haswell 1 AVX2\navx2\tHaswell\n"} do
      if has(isa) then assert.equal(want, run(code, "RLHF_ISA=" .. isa)) end
    end
  end)

  it("restores the environment when it fails, and says what there is", function()
    local output = run([[
      print(pcall(require, "rlhf.core"))
      print(show())
    ]], "RLHF_ISA=mmx")
    assert.equal("false\tRLHF_ISA=mmx: this processor has " .. table.concat(core.info().isa_supported, " ") ..
                 "\nnil nil nil\n", output)
  end)

  it("the last of nested loads restores", function()
    local output = run [[
      local p = require "rlhf.preload"
      p.set() p.set() p.restore() print(os.getenv "OPENBLAS_NUM_THREADS") p.restore() p.restore() print(show())
    ]]
    assert.equal("1\nnil nil nil\n", output)
  end)
end)

describe("rlhf", function()
  local rlhf = require "rlhf"

  it("re-exports the core, its operations and modules", function()
    assert.equal(core.tensor, rlhf.tensor)
    assert.equal(core.ops.exp, rlhf.exp)
    assert.equal(core.null, rlhf.null)
    assert.equal(require "rlhf.gradcheck", rlhf.gradcheck)
    assert.equal(require "rlhf.optim", rlhf.optim)
    assert.is_nil(rlhf.no_such_name)
  end)
end)
