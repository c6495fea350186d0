local rlhf = require "rlhf"

-- The gradient of a chain of n additions to its leaf.
local function chain(n)
  local leaf = rlhf.tensor {1}:requires_grad()
  local x = leaf
  for _ = 1, n do
    local y = x + leaf
    if x ~= leaf then x:close() end
    x = y
  end
  return leaf, x
end

describe("deep graphs", function()
  it("go back and are freed without recursion: 100,000 operations", function()
    local leaf, x = chain(100000)
    x:backward()
    assert.equal(100001, leaf:grad():item())
  end)

  it("are freed without having gone back", function()
    local blocks = rlhf.memory().blocks
    do
      local leaf, x = chain(100000)
      x:close()
      leaf:close()
    end
    collectgarbage()
    assert.is_true(rlhf.memory().blocks <= blocks)
  end)

  it("of a million operations #long", function()
    local leaf, x = chain(1000000)
    x:backward()
    assert.equal(1000001, leaf:grad():item())
  end)
end)
