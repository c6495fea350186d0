--- A report of a run: one HTML page with charts, figures and samples, that needs nothing but a browser.
--
--     local report = rlhf.report {title = "Short stories, told better"}
--     report:section "PPO"
--     report:stage(trainer, log)        -- log: a list of the metrics that trainer:steps() gave
--     report:samples {title = "Answers", columns = {"prompt", "before", "after"}, rows = rows}
--     assert(report:save "report.html")
--
-- Charts are SVG in the page, which has no script and loads nothing: it can be kept, mailed and read offline, wide or
-- narrow, by day and by night. What is put in is drawn at once: later changes of it change nothing. The same input gives
-- the same bytes. Text is escaped; half characters show as U+FFFD, control characters as their pictures. What is no
-- finite number is a gap in its line, and counted under the chart. Long series are thinned to a few hundred points that
-- keep their extremes; noisy ones have a running mean. Rests on the files of its folder and on rlhf.option.
--
-- This module is called: `rlhf.report{...}` gives a report. Its methods return it, so that calls can follow each other.
-- @module rlhf.report
local core = require "rlhf.core"
local option = require "rlhf.option"
local chart = require "rlhf.report.chart"
local check = require "rlhf.report.check"
local histogram = require "rlhf.report.histogram"
local page = require "rlhf.report.page"
local stages = require "rlhf.report.stages"
local words = require "rlhf.report.words"

local M = {}
local Report = {}
Report.__index = Report
Report.__name = "rlhf.report"

-- Raises at the line that called the method.
local function must(why, method)
  if why then error(("report:%s: %s"):format(method, why), 3) end
end

local function add(self, html, is_chart)
  local parts = self.parts
  parts[#parts + 1] = {html = html, chart = is_chart}
  return self
end

--- Reports.
-- @type report

--- Begins a section: a heading, under which everything stands that follows. What comes before the first stands under the
-- page's title. From two sections on the page has a list of them.
-- @tparam string title
-- @treturn report itself
function Report:section(title)
  must(check.string(title), "section")
  self.parts = {}
  self.sections[#self.sections + 1] = {title = title, parts = self.parts}
  return self
end

--- Adds paragraphs; blank lines part them.
-- @tparam string text
-- @treturn report itself
function Report:text(text)
  must(check.string(text), "text")
  return add(self, page.text(text))
end

--- Adds a row of large numbers with their names.
-- @tparam table list of {name, value}: a string and a string or number
-- @treturn report itself
function Report:figures(list)
  must(check.figures(list), "figures")
  return add(self, page.figures(list))
end

local function add_lines(self, o)
  o.words = self.words
  return add(self, page.chart(chart.lines(o)), true)
end

--- Adds a line chart. Charts that follow each other stand beside each other where there is room.
-- @tparam table options
--
--   * `title`; `rows`: a list of tables; `keys`: which of their fields are drawn, a line each. A row without the field
--     has no point on that line; a field that is no finite number (above 1e300 counts as infinite) is a gap
--   * `names` = the keys: of the lines; `x` = "step", `y` = "": what the axes show. A row stands at its `step`, where
--     all rows have one that increases (as those of metrics.jsonl), else at its place in the list
--   * `limits`: list of {name =, y =}: dashed lines with their names; `low`, `high`: what the axis reaches at least
--   * `note`: a sentence under the chart
-- @treturn report itself
-- @raise on wrong options
function Report:lines(options)
  local o = option.check(options, {title = option.required, rows = option.required, keys = option.required,
    names = option.optional, x = "step", y = "", limits = option.optional, low = option.optional, high = option.optional,
    note = option.optional}, "report:lines", 2)
  must(check.lines(o), "lines")
  return add_lines(self, o)
end

--- Adds a histogram. Bins are of equal width and closed at the left, the last one at both ends.
-- @tparam table options `title`; `series`: list of {name =, values = list of numbers}; `x` = "": what is counted;
--   `bins` = 20; `low`, `high` = the smallest and the largest value: the axis; values outside are counted under the chart; `note`
-- @treturn report itself
-- @raise on wrong options
function Report:histogram(options)
  local o = option.check(options, {title = option.required, series = option.required, x = "", bins = 20,
    low = option.optional, high = option.optional, note = option.optional}, "report:histogram", 2)
  must(check.histogram(o), "histogram")
  o.words = self.words
  return add(self, page.chart(histogram.draw(o)), true)
end

--- Adds a table of samples, whose texts keep their line breaks; on a narrow screen each row is a card. Texts are cut
-- behind 2,000 characters, and say by how many.
-- @tparam table options `title`, `columns`: list of names, `rows`: list of lists of values, nil for an empty cell
-- @treturn report itself
-- @raise on wrong options
function Report:samples(options)
  local o = option.check(options, {title = option.required, columns = option.required, rows = option.required},
    "report:samples", 2)
  must(check.samples(o), "samples")
  return add(self, page.samples(o))
end

--- Adds a table of options, folded and sorted by name.
-- @tparam string name whose they are
-- @tparam table options any
-- @treturn report itself
function Report:options(name, options)
  must(check.options(name, options), "options")
  return add(self, page.options(name, options, self.words))
end

--- Adds the charts that belong to a trainer, those that its log has numbers for, and its options in force, folded.
-- Trainers named sft, reward and ppo have charts of their own; one of another name has a chart for each of its numbers.
-- @tparam trainer trainer its `name` and `options` are read
-- @tparam {table,...} log metrics of each step, as `for _, metrics in trainer:steps()` gives them
-- @tparam[opt] table options `budget`: the KL that may be spent, a limit in the chart of the KL (ppo)
-- @treturn report itself
-- @raise on what is no trainer, no list of tables, on wrong options
function Report:stage(trainer, log, options)
  local o = option.check(options, {budget = option.optional}, "report:stage", 2)
  must(check.stage(trainer, log, o), "stage")
  local known = trainer.options or {}
  local charts = stages.charts(trainer.name, log, self.language, setmetatable(o, {__index = known}))
  for _, c in ipairs(charts) do add_lines(self, c) end
  if #charts == 0 then add(self, page.text(self.words.no_log)) end
  return next(known) and add(self, page.options(trainer.name, known, self.words)) or self
end

--- The page.
-- @treturn string
function Report:html() return page.document(self) end

--- Writes the page, with the folders above it that are missing: beside its name, then renamed, so that the file is the
-- old one or the new one.
-- @tparam string path
-- @treturn true|nil
-- @treturn ?string the message
function Report:save(path)
  must(check.path(path), "save")
  local folder = path:match "^(.*[^/])/+[^/]*$"
  if folder then
    local ok, message = core.make_folder(folder)
    if not ok then return nil, message end
  end
  return core.write_file(path, self:html())
end

function Report:__tostring() return ("report '%s': %d sections"):format(self.title, #self.sections) end

--- @section end

--- A report, still empty.
-- @function report
-- @tparam table options `title`; `language` = "en": of the page's own words, or "ko"
-- @treturn report
-- @raise on wrong options
function M.make(options)
  local o = option.check(options, {title = option.required, language = "en"}, "rlhf.report", 2)
  if type(o.title) ~= "string" then error("rlhf.report: title: " .. check.string(o.title), 2) end
  if not words[o.language] then
    error(("rlhf.report: language: 'en' or 'ko' wanted, got '%s'"):format(o.language), 2)
  end
  local intro = {}
  return setmetatable({title = o.title, language = o.language, words = words[o.language], intro = intro, parts = intro,
                       sections = {}}, Report)
end

return setmetatable(M, {__call = function(_, options) return M.make(options) end})
