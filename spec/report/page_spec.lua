-- lua/rlhf/report/init.lua and page.lua: the page as a whole, what is hostile in it, what misuse reads.
local markup = require "support.markup"
local rlhf = require "rlhf"
local files = require "support.safetensors_file"

local HOSTILE = "<script>alert('1')</script>\"'><b onx=\"]]> --> &amp; </style></title>\xEA\xB0\0\xFF"
local SHOWN = "<script>alert('1')</script>\"'><b onx=\"]]> --> &amp; </style></title>\u{FFFD}\u{2400}\u{FFFD}"

-- A page with every element, all of whose texts are t.
local function full(t, language)
  local report = rlhf.report {title = t, language = language}
  report:text(t):figures {{t, t}, {t, 3.5}}
  report:section(t):text(t):lines {title = t, x = t, y = t, rows = {{[t] = 1, b = 2}, {[t] = 3}}, keys = {t, "b"}, names = {t, t},
    limits = {{name = t, y = 2}}, note = t}
  report:histogram {title = t, x = t, series = {{name = t, values = {1, 2}}}, note = t}
  report:section(t):samples {title = t, columns = {t, "b"}, rows = {{t, 1}, {nil, true}}}
  report:options(t, {[t] = t, b = {t}, c = {[t] = 1}}):stage({name = t, options = {[t] = t}}, {{[t] = 1}})
  return report
end

local function count(html, name) return #markup.elements(html, name) end

describe("a page", function()
  it("is well-formed, without script, and loads nothing, whatever is put in", function()
    for _, language in ipairs {"en", "ko"} do
      for _, t in ipairs {"plain", HOSTILE, "", "한국어 텍스트"} do
        local html = full(t, language):html()
        markup.check(html)
        for _, name in ipairs {"script", "link", "img", "iframe", "image", "use", "object", "base", "b onx"} do
          assert.is_nil(html:lower():find("<" .. name .. "[%s/>]"), name)
        end
        for _, pattern in ipairs {"https?://", "@import", "url%(", " on%a+=\"[^\"]*\"[^<]*>", "javascript:"} do
          assert.is_nil(html:find(pattern), pattern)
        end
        assert.matches(('^<!DOCTYPE html>\n<html lang="%s">'):format(language), html)
        assert.equal(1, count(html, "style"))
      end
    end
  end)

  it("shows texts as they are, with a sign for what is no character", function()
    local html = full(HOSTILE):html()
    assert.equal(SHOWN, markup.elements(html, "h1")[1].text)
    assert.equal(SHOWN, markup.elements(html, "h2")[1].text)
    assert.equal(SHOWN, markup.elements(html, "td")[1].text)
    assert.equal(SHOWN, markup.elements(html, "td")[1].attributes["data-label"])
    assert.equal(SHOWN, markup.elements(html, "dd")[1].text)
    assert.equal(SHOWN, markup.elements(html, "p")[1].text)
  end)

  it("is the same bytes for the same input", function()
    assert.equal(full(HOSTILE):html(), full(HOSTILE):html())
    local report = full "x"
    assert.equal(report:html(), report:html())
  end)

  it("has a list of its sections, and charts side by side", function()
    local html = full("x"):html()
    local links = markup.elements(html, "a")
    assert.same({"#s1", "#s2"}, {links[1].attributes.href, links[2].attributes.href})
    local sections = markup.elements(html, "section")
    assert.same({"s1", "s2"}, {sections[1].attributes.id, sections[2].attributes.id})
    local grids = 0
    for _, e in ipairs(markup.elements(html, "div")) do grids = grids + (e.attributes.class == "charts" and 1 or 0) end
    assert.equal(2, grids)
    assert.equal(0, count(rlhf.report {title = "x"}:section("one"):html(), "nav"))
  end)

  it("keeps what was put in, not what became of it", function()
    local rows, options = {{y = 1}}, {a = 1}
    local report = rlhf.report {title = "x"}
    report:lines {title = "l", rows = rows, keys = {"y"}}:options("o", options)
    local before = report:html()
    rows[2], options.b = {y = 9}, 2
    assert.equal(before, report:html())
  end)

  it("parts paragraphs at blank lines", function()
    local p = markup.elements(rlhf.report {title = "x"}:text("\none\ntwo\n \n\nthree\n"):html(), "p")
    assert.same({"one\ntwo", "three", 2}, {p[1].text, p[2].text, #p})
  end)

  it("sorts options, folded", function()
    local html = rlhf.report {title = "x"}:options("ppo", {b = 2, a = {0.5, true}, ["kl.beta"] = 0.05, f = print}):html()
    local names, told = {}, {}
    for i, e in ipairs(markup.elements(html, "th")) do names[i] = e.text end
    for i, e in ipairs(markup.elements(html, "td")) do told[i] = e.text end
    assert.same({"a", "b", "f", "kl.beta"}, names)
    assert.same({"{0.5, true}", "2", "function", "0.05"}, told)
    assert.equal("Options in force: ppo", markup.elements(html, "summary")[1].text)
    assert.is_nil(markup.elements(html, "details")[1].attributes.open)
  end)

  it("has samples with empty cells, and cuts what is too long", function()
    local html = rlhf.report {title = "x"}:samples {title = "s", columns = {"a", "b", "c"},
      rows = {{nil, 2, ("가"):rep(2003)}}}:html()
    local td = markup.elements(html, "td")
    assert.same({"", "2", ("가"):rep(2000) .. "… (+3)"}, {td[1].text, td[2].text, td[3].text})
  end)
end)

describe("save", function()
  local folder
  before_each(function() folder = files.folder() end)
  after_each(function() files.remove(folder) end)

  it("writes the page, with missing folders", function()
    local report = full "x"
    assert.is_true(report:save(folder .. "/a/b/report.html"))
    assert.equal(report:html(), files.slurp(folder .. "/a/b/report.html"))
  end)

  it("returns the world's errors", function()
    files.write(folder .. "/file", "x")
    local ok, message = full("x"):save(folder .. "/file/report.html")
    assert.is_nil(ok)
    assert.matches("^cannot .*/file", message)
    ok, message = full("x"):save(folder)
    assert.is_nil(ok)
    assert.matches(folder, message, 1, true)
  end)
end)

describe("misuse", function()
  local here = debug.getinfo(1, "S").short_src
  local function message(f)
    local ok, text = pcall(f)
    assert.is_false(ok)
    local file, rest = text:match "^(.-):%d+: (.*)$"
    assert.equal(here, file)
    return rest
  end
  local report = rlhf.report {title = "x"}
  local trainer = {name = "ppo", options = {}}

  local cases = {
    ["rlhf.report: option 'title' wanted"] = function() local _ = rlhf.report {} end,
    ["rlhf.report: title: a string wanted, got number"] = function() local _ = rlhf.report {title = 1} end,
    ["rlhf.report: unknown option 'titel' (did you mean 'title'?)"] = function() local _ = rlhf.report {titel = "x"} end,
    ["rlhf.report: language: 'en' or 'ko' wanted, got 'de'"] = function() local _ = rlhf.report {title = "x", language = "de"} end,
    ["report:section: a string wanted, got nil"] = function() report:section() end,
    ["report:text: a string wanted, got table"] = function() report:text {} end,
    ["report:figures: a list wanted, got string"] = function() report:figures "x" end,
    ["report:figures: entry 2: value: a string or a number wanted, got nil"] = function() report:figures {{"a", 1}, {"b"}} end,
    ["report:lines: option 'rows' wanted"] = function() report:lines {title = "x", keys = {"a"}} end,
    ["report:lines: unknown option 'key' (did you mean 'keys'?)"] = function() report:lines {key = {}} end,
    ["report:lines: title: a string wanted, got boolean"] = function() report:lines {title = true, rows = {}, keys = {"a"}} end,
    ["report:lines: rows: entry 1: a table wanted, got number"] = function() report:lines {title = "x", rows = {1}, keys = {"a"}} end,
    ["report:lines: keys: an entry wanted, got none"] = function() report:lines {title = "x", rows = {}, keys = {}} end,
    ["report:lines: names: 2 wanted, one for each key, got 1"] = function()
      report:lines {title = "x", rows = {}, keys = {"a", "b"}, names = {"c"}}
    end,
    ["report:lines: limits: entry 1: y: a finite number wanted, got inf"] = function()
      report:lines {title = "x", rows = {}, keys = {"a"}, limits = {{name = "b", y = 1 / 0}}}
    end,
    ["report:lines: low: a number below high (1) wanted, got 1"] = function()
      report:lines {title = "x", rows = {}, keys = {"a"}, low = 1, high = 1}
    end,
    ["report:histogram: bins: a whole number from 1 to 500 wanted, got 0"] = function()
      report:histogram {title = "x", series = {}, bins = 0}
    end,
    ["report:histogram: series: entry 1: values: entry 2: a number wanted, got string"] = function()
      report:histogram {title = "x", series = {{name = "a", values = {1, "2"}}}}
    end,
    ["report:samples: columns: an entry wanted, got none"] = function() report:samples {title = "x", columns = {}, rows = {}} end,
    ["report:options: name: a string wanted, got nil"] = function() report:options() end,
    ["report:options: a table wanted, got nil"] = function() report:options "x" end,
    ["report:stage: a trainer wanted, got string"] = function() report:stage("ppo", {}) end,
    ["report:stage: log: entry 1: a table wanted, got number"] = function() report:stage(trainer, {1}) end,
    ["report:stage: log: a list wanted, got nil"] = function() report:stage(trainer) end,
    ["report:stage: budget: a finite number wanted, got string"] = function() report:stage(trainer, {}, {budget = "8"}) end,
    ["report:stage: unknown option 'bugdet' (did you mean 'budget'?)"] = function() report:stage(trainer, {}, {bugdet = 8}) end,
    ["report:save: a path is not empty and has no NUL"] = function() report:save "" end,
    ["report:save: a string wanted, got nil"] = function() report:save() end,
  }
  for wanted, f in pairs(cases) do
    it("reads: " .. wanted, function() assert.equal(wanted, message(f)) end)
  end

  it("leaves the report as it was", function()
    local before = report:html()
    for _, f in pairs(cases) do pcall(f) end
    assert.equal(before, report:html())
  end)
end)
