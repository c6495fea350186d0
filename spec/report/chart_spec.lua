-- lua/rlhf/report/chart.lua: where lines land, what is told, what odd series become.
local markup = require "support.markup"
local rlhf = require "rlhf"

local function page(options)
  options.title = options.title or "chart"
  local html = rlhf.report {title = "t"}:lines(options):html()
  markup.check(html)
  return html
end

local function rows(list)
  local out = {}
  for i, y in ipairs(list) do out[i] = {y = y} end
  return out
end

local function chart(list, options)
  options = options or {}
  options.rows, options.keys = rows(list), {"y"}
  return page(options)
end

-- The axes' labels: y of each value, x of each value.
local function labels(html)
  local x, y = {}, {}
  for _, e in ipairs(markup.elements(html, "text")) do
    local a = e.attributes
    local v = tonumber((e.text:gsub("\u{2212}", "-")))
    if a["text-anchor"] == "end" and v then y[v] = tonumber(a.y) - 4 end
    if a["text-anchor"] == "middle" and v then x[v] = tonumber(a.x) end
  end
  return x, y
end

local function text_of(html, name, class)
  local out = {}
  for _, e in ipairs(markup.elements(html, name)) do
    if not class or e.attributes.class == class then out[#out + 1] = e.text end
  end
  return out
end

local function circles(html)
  local out = {}
  for i, e in ipairs(markup.elements(html, "circle")) do out[i] = {tonumber(e.attributes.cx), tonumber(e.attributes.cy)} end
  return out
end

describe("a line", function()
  it("lands where the axes say", function()
    local html = chart {0, 10, 20, -10, 40}
    local x, y = labels(html)
    local line = markup.points(html)[1]
    for i, v in ipairs {0, 10, 20, -10, 40} do
      assert.near(x[i], line[i][1], i < 5 and 0.1 or 4) -- the last label is pushed in from the edge
      assert.near(y[v], line[i][2], 0.11)
    end
    assert.is_true(y[40] < y[0])
  end)

  it("takes a row's step for its x", function()
    local html = page {rows = {{step = 100, y = 1}, {step = 300, y = 2}, {step = 400, y = 3}}, keys = {"y"}}
    local line = markup.points(html)[1]
    assert.near(2, (line[2][1] - line[1][1]) / (line[3][1] - line[2][1]), 0.01)
  end)

  it("has a gap where values aren't finite, and says how many", function()
    local html = chart {1, 2, 0 / 0, 3, 4, 1 / 0, 5}
    local lines = markup.points(html)
    assert.equal(2, #lines)
    assert.equal(2, #lines[1])
    assert.equal(2, #lines[2])
    assert.matches("no finite numbers: 2%.", text_of(html, "p", "note")[1])
    local _, y = labels(html)
    assert.near(y[5], circles(html)[1][2], 0.1) -- a value between gaps is a dot
  end)

  it("passes over rows without the field", function()
    local html = page {rows = {{a = 1, b = 2}, {a = 2}, {a = 3, b = 4}}, keys = {"a", "b"}}
    local lines = markup.points(html)
    assert.same({3, 2}, {#lines[1], #lines[2]})
    assert.equal(lines[1][3][1], lines[2][2][1])
  end)

  it("tells its last value, beside the title or in the legend", function()
    assert.same({"last 2.5"}, text_of(chart {1, 2.5, 0 / 0}, "span", "last"))
    local html = page {rows = {{a = 1, b = 2}, {a = 2}}, keys = {"a", "b"}, names = {"one", "two & more"}}
    assert.same({"one, last 2", "two & more, last 2"}, text_of(html, "li"))
    assert.same({}, text_of(html, "span", "last"))
  end)

  it("is told to those who can't see it", function()
    local svg = markup.elements(chart({3, 1, 2}, {title = "KL \"x\"", x = "update"}), "svg")[1]
    assert.equal("img", svg.attributes.role)
    assert.equal('KL "x" (update). y: 1 … 3, last 2', svg.attributes["aria-label"])
  end)

  it("has hints of its values", function()
    local titles = text_of(chart({3, 1, 2}, {x = "update"}), "title")
    assert.same({"t", "update 1\ny 3", "update 2\ny 1", "update 3\ny 2"}, titles)
    local long = {}
    for i = 1, 6000 do long[i] = i end
    titles = text_of(chart(long), "title")
    assert.equal(61, #titles)
    assert.equal("step 1 … 100\ny 1 … 100", titles[2])
  end)
end)

describe("limits", function()
  it("are dashed lines with names, within the axis", function()
    local html = chart({1, 2, 3}, {limits = {{name = "budget", y = 8}, {name = "near", y = 7.9}}})
    local _, y = labels(html)
    local lines, names = {}, {}
    for _, e in ipairs(markup.elements(html, "line")) do
      if e.attributes.class == "limit" then lines[#lines + 1] = tonumber(e.attributes.y1) end
    end
    for _, e in ipairs(markup.elements(html, "text")) do
      if e.attributes.class == "limit" then names[#names + 1] = e end
    end
    assert.near(y[8], lines[1], 0.1)
    assert.same({"budget 8", "near 7.9"}, {names[1].text, names[2].text})
    assert.not_equal(names[1].attributes["text-anchor"], names[2].attributes["text-anchor"]) -- they don't overlap
    assert.is_true(tonumber(names[1].attributes.y) > 10)
  end)
end)

describe("a long series", function()
  it("is thinned, keeps its spikes, and stays small", function()
    local list = {}
    for i = 1, 100000 do list[i] = math.sin(i / 1000) + (i * 7919 % 1000) / 1000 end
    list[31415] = 20
    local html = chart(list)
    local svg = html:match "<svg.*</svg>"
    assert.is_true(#svg < 60000, #svg)
    local lines = markup.points(html)
    assert.same({"pale", "line"}, {lines[1].class, lines[2].class})
    for _, line in ipairs(lines) do assert.is_true(#line <= 302) end
    local _, y = labels(html)
    local top = math.huge
    for _, p in ipairs(lines[1]) do top = math.min(top, p[2]) end
    assert.near(y[20], top, 0.1)
    assert.matches("Bold: running mean of 6667%.", html)
  end)

  it("stays small with many series and values that are no numbers", function()
    local list, keys = {}, {}
    for k = 1, 8 do keys[k] = "k" .. k end
    for i = 1, 20000 do
      list[i] = {}
      for k, key in ipairs(keys) do list[i][key] = (i + k) % 3 == 0 and 0 / 0 or (i * k * 7919) % 1009 end
    end
    assert.is_true(#page {rows = list, keys = keys}:match "<svg.*</svg>" < 200000)
  end)
end)

describe("odd series", function()
  local odd = {
    constant = {3, 3, 3}, zero = {0, 0}, one = {4.2}, empty = {}, gaps = {0 / 0, 1 / 0}, huge = {-1e300, 1e300},
    beyond = {1e308, -1e308, 1}, tiny = {1e-300, 2e-300, 5e-324}, negative = {-5, -6, -7}, near = {1e9, 1e9 + 1e-6},
    tens = {1e-12, 1e12}, integers = {math.maxinteger, math.mininteger}, words = {"a", true, {}, 1},
  }
  for name, list in pairs(odd) do
    it("draws sensibly: " .. name, function()
      local html = chart(list)
      local numbers = 0
      for attribute in html:match("<svg.*</svg>"):gmatch ' [xy]?[cxyr]?[12]?[xy]?="([^"]*)"' do
        assert.is_nil(attribute:lower():find "nan" or attribute:lower():find "inf")
      end
      for _, points in ipairs {circles(html), table.unpack(markup.points(html))} do
        for _, p in ipairs(points) do
          numbers = numbers + 1
          assert.is_true(p[1] >= 0 and p[1] <= 360 and p[2] >= 0 and p[2] <= 206)
        end
      end
      assert.equal(name == "empty" or name == "gaps", numbers == 0)
      assert.equal(numbers == 0, html:find("no values", 1, true) ~= nil)
    end)
  end

  it("put a constant in the middle, above 0", function()
    local _, y = labels(chart {3, 3, 3})
    assert.near((y[0] + y[6]) / 2, markup.points(chart {3, 3, 3})[1][1][2], 0.2)
  end)
end)
