-- lua/rlhf/report/text.lua: what goes into markup.
local text = require "rlhf.report.text"

local R = "\u{FFFD}"

describe("text.utf8", function()
  it("replaces each broken character by one sign", function()
    -- the examples of the Unicode standard's chapter 3.9 (maximal subparts), as Python's decode has them
    for given, wanted in pairs {
      ["가\xEA\xB0나"] = "가" .. R .. "나", ["\xEA"] = R, ["\xF0\x9F\x98"] = R, ["\xF0\x9F\x98\xEA\xB0\x80"] = R .. "가",
      ["\xC0\xAF"] = R .. R, ["\xE0\x80\xBF"] = R:rep(3), ["\xED\xA0\x80"] = R:rep(3), ["\xF4\x91\x92\x93"] = R:rep(4),
      ["\xFF\xFE"] = R .. R, ["\x80a\x80"] = R .. "a" .. R, ["a\xC3"] = "a" .. R, ["\xF1\x80\x80\xE1\x80\xC2b"] = R:rep(3) .. "b",
      ["plain 😀"] = "plain 😀", [""] = "",
    } do assert.equal(wanted, text.utf8(given)) end
  end)

  it("ends with valid text whatever the bytes", function()
    local state = 7
    for _ = 1, 2000 do
      local bytes = {}
      for i = 1, 12 do
        state = (state * 1103515245 + 12345) % 2147483648
        bytes[i] = string.char(state // 65536 % 256)
      end
      assert.truthy(utf8.len(text.clean(table.concat(bytes))))
    end
  end)
end)

describe("text.escape", function()
  it("leaves nothing that means something to a browser", function()
    assert.equal("&lt;script&gt;&amp;&quot;&#39;]]&gt;", text.escape "<script>&\"']]>")
  end)

  it("shows control characters, and keeps line breaks", function()
    assert.equal("a\u{2400}b\u{241B}c\u{2421}", text.escape "a\0b\27c\127")
    assert.equal("a\nb\tc\u{240D}", text.escape "a\r\nb\tc\r")
    assert.equal(R .. R, text.escape "\u{85}\u{FFFF}")
  end)

  it("writes numbers as they are told", function()
    assert.equal("1,234,567", text.escape(1234567))
  end)
end)

describe("text.number", function()
  it("tells whole numbers whole and others to four digits", function()
    for given, wanted in pairs {
      [0] = "0", [999] = "999", [1000] = "1,000", [-1234567] = "\u{2212}1,234,567", [0.96412] = "0.9641", [2e-5] = "2e-5",
      [-0.5] = "\u{2212}0.5", [1.5e300] = "1.5e300", [1 / 0] = "inf", [12345.678] = "1.235e4", [3.0] = "3",
    } do assert.equal(wanted, text.number(given)) end
    assert.equal("nan", text.number(0 / 0))
  end)
end)

describe("text.cut", function()
  it("cuts between characters and says how many are left out", function()
    assert.equal("가나다", text.cut("가나다", 3))
    assert.equal("가나… (+1)", text.cut("가나다", 2))
    assert.equal("", text.cut("", 2))
  end)
end)

describe("text.coordinate", function()
  it("has a decimal where it needs one, and no negative zero", function()
    assert.equal("1.5", text.coordinate(1.46))
    assert.equal("12", text.coordinate(12.04))
    assert.equal("0", text.coordinate(-0.01))
    assert.equal("-3", text.coordinate(-3))
  end)
end)
