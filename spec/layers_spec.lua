-- The tree's own rules: who includes and requires whom, where lua.h stands, what the modules export.
local layers = dofile "tools/layers.lua"

local function complaints(path, text) return table.concat(layers.check(path, text), "\n") end

describe("layers", function()
  it("hold in every source", function()
    local found, paths = {}, layers.sources()
    assert.is_true(#paths > 20)
    for _, path in ipairs(paths) do
      for _, what in ipairs(layers.check(path, layers.read(path))) do found[#found + 1] = what end
    end
    assert.equal("", table.concat(found, "\n"))
  end)

  it("see an include to the right", function()
    assert.matches('c/base/pool.c:2: base includes "tensor/tensor.h"',
      complaints("c/base/pool.c", '#include <stdio.h>\n#include "tensor/tensor.h"\n'), 1, true)
    assert.matches("io includes", complaints("c/io/json.c", '#  include "text/bpe.h"'))
    assert.matches("ops includes", complaints("c/ops/row.c", '#include "autograd/node.h"'))
    assert.matches("ops/kernels includes", complaints("c/ops/kernels/norm.c", '#include "ops/row.h"'))
    assert.matches("nn includes", complaints("c/nn/block.h", '#include "bind/bind.h"'))
    assert.equal("", complaints("c/nn/block.c", '#include "autograd/autograd.h"\n#include "base/pool.h"'))
  end)

  it("keep lua.h in bind", function()
    assert.matches("<lua.h> outside", complaints("c/io/json.c", "#include <lua.h>"))
    assert.matches("<lauxlib.h> outside", complaints("c/base/pool.h", "#include <lauxlib.h>"))
    assert.equal("", complaints("c/bind/b_io.c", "#include <lauxlib.h>"))
  end)

  it("want the folder in an include, and a known one", function()
    assert.matches("write the folder", complaints("c/io/json.c", '#include "json.h"'))
    assert.matches("no layer", complaints("c/misc/x.c", '#include "base/pool.h"'))
  end)

  it("keep Lua modules from each other", function()
    assert.matches('requires "rlhf"', complaints("lua/rlhf/optim.lua", 'local r = require "rlhf"'), 1, true)
    assert.matches("requires rlhf.model", complaints("lua/rlhf/optim.lua", "require('rlhf.model')"), 1, true)
    assert.matches("requires rlhf.ppo", complaints("lua/rlhf/sft.lua", 'require "rlhf.ppo"'), 1, true)
    assert.matches("no part of the library", complaints("lua/rlhf/data/jsonl.lua", 'require "lfs"'))
    assert.equal("", complaints("lua/rlhf/ppo.lua", 'require "rlhf.model" require "rlhf.optim"'))
    assert.equal("", complaints("lua/rlhf/init.lua", 'require "rlhf.core"'))
  end)
end)

describe("modules", function()
  it("export luaopen_* and nothing else", function()
    local build = os.getenv "BUILD" or "build"
    for name, wanted in pairs {corelib = "luaopen_rlhf_corelib", preload = "luaopen_rlhf_preload"} do
      local pipe = assert(io.popen(("nm -D --defined-only %s/rlhf/%s.so"):format(build, name)))
      local exported = {}
      for line in pipe:lines() do
        local symbol = line:match "%x+ %a (%S+)$"
        if symbol and symbol:sub(1, 1) ~= "_" then exported[#exported + 1] = symbol end
      end
      pipe:close()
      assert.same({wanted}, exported)
    end
  end)
end)
