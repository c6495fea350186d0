-- Cases of ops/*.json against rows, for the spec of one source file: values and gradients to 1e-5.
-- Rests on support/fixtures.lua.
local fixtures = require "support.fixtures"

local function leaves_of(case)
  local leaves = {}
  for name, t in pairs(case.inputs) do
    leaves[name] = fixtures.tensor(t)
    if case.grads and case.grads[name] then leaves[name]:requires_grad() end
  end
  return leaves
end

local function check(case, call)
  local leaves = leaves_of(case)
  local out = call(leaves, case.attrs, case.name)
  fixtures.close(out, case.outputs.out, 1e-5, case.name)
  if not case.grads then return end
  out:backward(fixtures.tensor(case.upstream.out))
  for name, want in pairs(case.grads) do
    fixtures.close(leaves[name]:grad(), want, 1e-5, case.name .. ": gradient of " .. name)
  end
end

--- Pairs of a test's name and its function for each case of `file` whose op is in `calls`:
-- op -> f(inputs, attrs, name) -> out. Without reference data one name without a function, which
-- busted shows as pending.
return function(file, calls)
  return coroutine.wrap(function()
    if not fixtures.folder() then coroutine.yield(file .. ": no reference data, set RLHF_FIXTURES to its folder") end
    for _, case in ipairs(fixtures.folder() and fixtures.json(file).cases or {}) do
      local call = calls[case.op]
      if call then coroutine.yield(case.name, function() check(case, call) end) end
    end
  end)
end
