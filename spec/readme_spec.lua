-- The Lua in README.md runs as it stands.
describe("README.md", function()
  local f = assert(io.open "README.md")
  local text = f:read "a"
  f:close()
  local count = 0
  for block in text:gmatch "\n```lua\n(.-)\n```" do
    count = count + 1
    it("block " .. count .. " runs", function()
      local printed = {}
      local env = setmetatable({print = function(...) printed[#printed + 1] = {...} end}, {__index = _G})
      assert(load(block, "README.md", "t", env))()
      assert.is_true(#printed > 0)
    end)
  end
  it("has Lua in it", function() assert.is_true(count > 0) end)
end)
