-- lua/rlhf/report/scale.lua: domains, round ticks, labels.
local scale = require "rlhf.report.scale"

local function labels(low, high, count, whole) return scale.labels(scale.ticks(low, high, count or 5, whole)) end

describe("ticks", function()
  it("are round, lie within the domain, and are no more than asked for", function()
    assert.same({"0", "0.2", "0.4", "0.6", "0.8", "1.0"}, labels(0, 1))
    assert.same({"50", "100", "150", "200"}, labels(1, 200))
    assert.same({"\u{2212}2", "0", "2", "4", "6"}, labels(-2.5, 7))
    for _, of in ipairs {{0, 1}, {1e-9, 3.3e-9}, {-7, 12345}, {-1e300, 1e300}, {0, 1e-300}, {123456, 123457}, {0.1, 0.3}} do
      for count = 1, 10 do
        local ticks = scale.ticks(of[1], of[2], count)
        assert.is_true(#ticks <= count + 1)
        local step = #ticks > 1 and ticks[2] - ticks[1]
        for i, t in ipairs(ticks) do
          local slack = 1e-6 * (of[2] - of[1])
          assert.is_true(t >= of[1] - slack and t <= of[2] + slack)
          if i > 1 then assert.near(1, (t - ticks[i - 1]) / step, 1e-6) end
        end
        local lead = step and tonumber(("%.3e"):format(step):match "^[^e]+")
        assert.is_true(not lead or lead == 1 or lead == 2 or lead == 5)
      end
    end
  end)

  it("are whole where they count things", function()
    assert.same({"1", "2", "3"}, labels(1, 3, 5, true))
    assert.same({"0", "1"}, labels(0, 1, 5, true))
  end)

  it("have labels that tell them apart, with a common unit", function()
    assert.same({"0", "20k", "40k", "60k"}, labels(0, 60000, 4))
    assert.same({"0", "0.5M", "1.0M"}, labels(0, 1e6, 2))
    assert.same({"0", "0.5e-5", "1.0e-5", "1.5e-5", "2.0e-5"}, labels(0, 2e-5, 4))
    assert.same({"0", "1e15", "2e15"}, labels(0, 2e15, 2))
    assert.same({"0.9995", "1.0000", "1.0005"}, labels(0.9995, 1.0005, 2))
  end)
end)

describe("rounded", function()
  it("widens the domain to its ticks", function()
    local low, high, ticks = scale.rounded(0.39, 0.88, 5)
    assert.near(0.3, low, 1e-12)
    assert.near(0.9, high, 1e-12)
    assert.equal(7, #ticks)
    assert.near(0.3, ticks[1], 1e-12)
    assert.near(0.9, ticks[7], 1e-12)
  end)

  it("leaves one that is round", function()
    local low, high, ticks = scale.rounded(0, 1, 5)
    assert.same({0, 1, 6}, {low, high, #ticks})
  end)
end)

describe("domain", function()
  it("is never empty and never so narrow that labels would be alike", function()
    for _, v in ipairs {0, 3, -3, 1e300, -1e300, 1e-300, 0.1} do
      local low, high = scale.domain(v, v)
      assert.is_true(low <= v and v <= high and low < high)
      local l = scale.labels(scale.ticks(low, high, 5))
      for i = 2, #l do assert.not_equal(l[i - 1], l[i]) end
    end
    local low, high = scale.domain(1e9, 1e9 + 1e-3)
    assert.is_true(high - low >= 1000)
    assert.same({2, 3}, {scale.domain(2, 3)})
    assert.same({0, 1}, {scale.domain(0, 0)})
    assert.same({-6, 0}, {scale.domain(-3, -3)})
  end)

  it("begins at 0 where values come near", function()
    assert.same({0, 8}, {scale.with_zero(1, 8)})
    assert.same({2.1, 2.5}, {scale.with_zero(2.1, 2.5)})
    assert.same({-8, 0}, {scale.with_zero(-8, -1)})
    assert.same({-1, 8}, {scale.with_zero(-1, 8)})
  end)
end)

describe("finite", function()
  it("passes what can be drawn", function()
    assert.equal(2, scale.finite(2))
    assert.equal(0, scale.finite(5e-324))
    for _, v in ipairs {0 / 0, 1 / 0, -1 / 0, 1.1e300, "1", true} do assert.is_nil(scale.finite(v)) end
    assert.is_nil(scale.finite(nil))
  end)
end)
