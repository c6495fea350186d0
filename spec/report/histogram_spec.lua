-- lua/rlhf/report/histogram.lua: counts, edges, bars.
local histogram = require "rlhf.report.histogram"
local markup = require "support.markup"
local rlhf = require "rlhf"

local function page(options)
  options.title = options.title or "histogram"
  local html = rlhf.report {title = "t"}:histogram(options):html()
  markup.check(html)
  return html
end

local function hints(html)
  local out = {}
  for _, e in ipairs(markup.elements(html, "title")) do out[#out + 1] = e.text end
  return table.move(out, 2, #out, 1, {})
end

describe("counts", function()
  it("are of bins closed at the left, the last at both ends", function()
    local counts, outside, mean = histogram.counts({0, 0.25, 0.5, 0.5, 0.75, 1, 1.01, -0.01, 0 / 0}, 0, 1, 4)
    assert.same({1, 1, 2, 2}, counts)
    assert.equal(3, outside)
    assert.near(0.5, mean, 1e-12)
  end)

  it("put values at edges into the bin that begins there", function()
    for bins = 1, 120 do
      local values = {}
      for i = 0, bins - 1 do values[i + 1] = 0.1 + (0.7 - 0.1) * (i / bins) end
      local counts = histogram.counts(values, 0.1, 0.7, bins)
      for i = 1, bins do assert.equal(1, counts[i]) end
    end
    local counts = histogram.counts({0.29}, 0, 1, 100)
    assert.equal(1, counts[30])
  end)

  it("of nothing are zeros", function()
    assert.same({{0, 0}, 0}, {histogram.counts({}, 0, 1, 2)})
  end)
end)

describe("a histogram", function()
  it("draws each series as high as its counts", function()
    local html = page {series = {{name = "a", values = {0.1, 0.1, 0.1, 0.9}}, {name = "b", values = {0.6}}}, bins = 2, low = 0, high = 1}
    local a, b = table.unpack(markup.points(html, "polygon"))
    local ground = a[1][2]
    local unit = (ground - a[2][2]) / 3
    assert.near(174 / 3, unit, 0.1) -- the axis ends at 3, the highest bin
    local function heights(p)
      local out = {}
      for i, at in ipairs(p) do out[i] = math.floor((ground - at[2]) / unit + 0.5) end
      return out
    end
    assert.same({0, 3, 3, 1, 1, 0}, heights(a))
    assert.same({0, 0, 0, 1, 1, 0}, heights(b))
    assert.near(a[3][1], (a[1][1] + a[6][1]) / 2, 0.1)
    assert.same({"0 … 0.5\na 3\nb 0", "0.5 … 1\na 1\nb 1"}, hints(html))
  end)

  it("tells number and mean, and what lies outside", function()
    local html = page {series = {{name = "<a>", values = {1, 2, 6, 0 / 0}}}, low = 0, high = 3}
    assert.equal("<a>, n = 4, mean 3", markup.elements(html, "li")[1].text)
    assert.matches("Outside the axis, or no finite number: 2%.", html)
  end)

  it("reaches from the smallest to the largest where no range is given", function()
    local html = page {series = {{name = "a", values = {5, 9}}, {name = "b", values = {-3, 1 / 0}}}, bins = 3}
    assert.same({"\u{2212}3 … 1\na 0\nb 1", "1 … 5\na 0\nb 0", "5 … 9\na 2\nb 0"}, hints(html))
  end)

  it("draws odd values sensibly", function()
    for _, values in ipairs {{}, {0 / 0}, {7}, {7, 7}, {1e300, -1e300}, {1e-310}, {1e9, 1e9 + 1e-5}} do
      for _, range in ipairs {{}, {low = 3}, {high = -3}, {low = -1e300, high = 1e300}} do
        local html = page {series = {{name = "a", values = values}}, low = range.low, high = range.high}
        assert.is_nil(html:match("<svg.*</svg>"):find '"[^"]*nan[^"]*"')
        local points = markup.points(html, "polygon")[1]
        assert.equal(42, #points)
        for _, p in ipairs(points) do assert.is_true(p[1] >= 0 and p[1] <= 360 and p[2] >= 0 and p[2] <= 206) end
      end
    end
  end)
end)
