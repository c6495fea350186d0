-- Every folder of the reference data has a spec that walks over it, spec/fixtures/NAME_spec.lua, or
-- stands here with the reason why not. The walkers find files and cases by themselves.
local fixtures = require "support.fixtures"

local NOT_WALKED = {
  models = "input of the others",
  tokenizers = "input of the others",
  align = "preference losses (DPO, KTO, ORPO, GRPO, ...) are not built",
}

local function has_spec(name)
  local f = io.open("spec/fixtures/" .. name .. "_spec.lua")
  if f then f:close() end
  return f ~= nil
end

describe("fixtures: the set", function()
  if not fixtures.folder() then return pending(fixtures.missing) end
  it("lists models and tokenizers that are there", function()
    local index = fixtures.json "index.json"
    assert.is_true(#index.models > 0 and #index.tokenizers > 0)
    for _, model in ipairs(index.models) do
      assert.is_table(fixtures.json("models/" .. model.name .. "/config.json"), model.name)
    end
    for _, tokenizer in ipairs(index.tokenizers) do
      assert.is_table(fixtures.json("tokenizers/" .. tokenizer.name .. "/tokenizer.json"), tokenizer.name)
    end
  end)

  for _, folder in ipairs(fixtures.list(".", "^[%w_]+$")) do
    if has_spec(folder) then
      it(folder .. " has a walker, and no excuse", function() assert.is_nil(NOT_WALKED[folder]) end)
    else
      pending(folder .. ": " .. (NOT_WALKED[folder] or "a folder nobody knows"))
      it(folder .. " is known", function() assert.is_string(NOT_WALKED[folder]) end)
    end
  end
end)
