-- lua/rlhf/report/series.lua: series of a log, thinned and smoothed.
local series = require "rlhf.report.series"

local function of(list)
  local rows = {}
  for i, y in ipairs(list) do rows[i] = {y = y} end
  return series.of(rows, series.places(rows, {"y"}), "y")
end

describe("a series", function()
  it("has points, gaps, and nothing where the field is absent", function()
    local rows = {{y = 1}, {}, {y = 0 / 0}, {y = "nan"}, {y = -2}, {y = 1 / 0}}
    local s = series.of(rows, series.places(rows, {"y"}), "y")
    assert.same({1, 3, 4, 5, 6}, s.x)
    assert.same({1, false, false, -2, false}, s.y)
    assert.same({-2, 1, -2, 2, 3}, {s.low, s.high, s.last, s.count, s.gaps})
    assert.same({{{1, 1}}, {{5, -2}}}, series.runs(s))
  end)

  it("stands at its steps where these increase, else at its places", function()
    assert.same({5, 7, 90}, series.places({{step = 5, y = 1}, {step = 7, y = 1}, {step = 90, y = 1}}, {"y"}))
    assert.same({5, 2, 7}, series.places({{step = 5, y = 1}, {warning = "w"}, {step = 7, y = 2}}, {"y"}))
    assert.same({1, 2}, series.places({{step = 5, y = 1}, {step = 5, y = 1}}, {"y"}))
    assert.same({1, 2}, series.places({{step = 5, y = 1}, {y = 1}}, {"y"}))
    assert.same({1, 2}, series.places({{y = 1}, {step = 0 / 0, y = 1}}, {"y"}))
  end)
end)

describe("thinning", function()
  it("leaves a short series alone", function()
    local s = of {1, 2, 3}
    assert.equal(s, series.thin(s))
  end)

  it("keeps ends and every extreme, in order, in a few hundred points", function()
    local list = {}
    for i = 1, 100000 do list[i] = math.sin(i / 500) end
    list[33333], list[77777] = 9, -9
    local s = of(list)
    local t = series.thin(s)
    assert.is_true(#t.x <= 302)
    local at = {}
    for i, x in ipairs(t.x) do
      assert.equal(list[x], t.y[i])
      assert.is_true(i == 1 or x > t.x[i - 1])
      at[x] = true
    end
    for _, x in ipairs {1, 33333, 77777, 100000} do assert.is_true(at[x]) end
  end)

  it("keeps a gap that is seen, and passes over single ones", function()
    local list = {}
    for i = 1, 30000 do list[i] = (i > 10000 and i <= 12000 or i % 2 == 0) and 0 / 0 or i end
    local runs = series.runs(series.thin(of(list)))
    assert.equal(2, #runs)
    assert.is_true(runs[1][#runs[1]][1] <= 10000 and runs[2][1][1] > 12000)
  end)
end)

describe("the running mean", function()
  it("is the mean of the values around, fewer at the ends", function()
    local list = {}
    for i = 1, 61 do list[i] = i % 2 end
    list[30] = 0 / 0
    local s = of(list)
    assert.is_true(series.noisy(s))
    local m = series.smooth(s) -- 60 values: two on each side
    assert.equal(5, m.window)
    for at, wanted in pairs {[1] = 2 / 3, [2] = 1 / 2, [3] = 3 / 5, [4] = 2 / 5, [29] = 3 / 4, [31] = 3 / 4, [61] = 2 / 3} do
      assert.near(wanted, m.y[at], 1e-12)
    end
    assert.is_false(m.y[30])
  end)

  it("stays within the values, huge or tiny", function()
    for _, unit in ipairs {1e299, 1e-299} do
      local list = {}
      for i = 1, 1000 do list[i] = (i % 2 * 2 - 1) * unit end
      local s = of(list)
      for i, y in ipairs(series.smooth(s).y) do assert.is_true(y >= s.low and y <= s.high, i) end
    end
  end)

  it("is for long series that go up and down", function()
    local smooth, short, flat = {}, {}, {}
    for i = 1, 500 do smooth[i], flat[i] = math.cos(i / 200), 2 end
    for i = 1, 59 do short[i] = i % 2 end
    for _, list in ipairs {smooth, short, flat, {}} do assert.is_false(series.noisy(of(list))) end
  end)
end)
