--- The page: markup of a report's parts, and the document around them. Everything that comes from outside passes
-- text.escape here or in the charts; there is no script, and the policy in the head lets nothing be loaded.
-- @module rlhf.report.page
local chart = require "rlhf.report.chart"
local style = require "rlhf.report.style"
local text = require "rlhf.report.text"
local values = require "rlhf.values"

local M = {}

local LONGEST = 2000 -- characters of a sample's cell

local escape = text.escape

local function element(name, class, inside)
  return ("<%s%s>%s</%s>"):format(name, class and (' class="%s"'):format(class) or "", inside, name)
end

--- Paragraphs; blank lines part them.
-- @tparam string words
-- @treturn string
function M.text(words)
  local out = {}
  for paragraph in (text.clean(words) .. "\n\n"):gmatch "%s*(.-)\n%s*\n" do
    if paragraph ~= "" then out[#out + 1] = element("p", nil, escape(paragraph)) end
  end
  return table.concat(out, "\n")
end

--- Large numbers with their names.
-- @tparam table list of {name, value}
-- @treturn string
function M.figures(list)
  local out = {}
  for i, f in ipairs(list) do
    out[i] = element("div", nil, element("dt", nil, escape(f[1])) .. element("dd", nil, escape(f[2])))
  end
  return element("dl", "figures", table.concat(out))
end

local function value(word, number) return ("%s <b>%s</b>"):format(escape(word), escape(number)) end

local function legend(entries)
  local out = {}
  for i, e in ipairs(entries) do
    out[i] = ('<li><i class="%s"></i>%s</li>'):format(chart.class(i), value(e[1] .. ", " .. e[2], e[3]))
  end
  return element("ul", "legend", table.concat(out))
end

--- A chart with its title, legend and remarks: three boxes, which stand in line with those of the charts beside it.
-- @tparam table card of rlhf.report.chart or rlhf.report.histogram
-- @treturn string
function M.chart(card)
  local aside = card.aside and element("span", "last", value(card.aside[2], card.aside[3])) or ""
  local caption = element("div", "title", element("span", nil, escape(card.title)) .. aside)
  if card.unit ~= "" then caption = caption .. element("div", "unit", escape(card.unit)) end
  if #card.legend > 0 then caption = caption .. legend(card.legend) end
  local below = element("div", "x", escape(card.x))
  if #card.notes > 0 then below = below .. element("p", "note", escape(table.concat(card.notes, " "))) end
  return element("figure", nil, element("figcaption", nil, caption) .. card.svg .. element("div", nil, below))
end

local function cell(v, column)
  local shown = type(v) == "string" and text.cut(text.clean(v), LONGEST) or v == nil and "" or values.shown(v)
  return ('<td data-label="%s" dir="auto">%s</td>'):format(escape(column), escape(shown))
end

--- A table of samples.
-- @tparam table o `title`, `columns`, `rows`
-- @treturn string
function M.samples(o)
  local heads, rows = {}, {}
  for i, column in ipairs(o.columns) do heads[i] = element("th", nil, escape(column)) end
  for r, row in ipairs(o.rows) do
    local cells = {}
    for i, column in ipairs(o.columns) do cells[i] = cell(row[i], column) end
    rows[r] = element("tr", nil, table.concat(cells))
  end
  return element("table", "samples", element("caption", nil, escape(o.title))
    .. element("thead", nil, element("tr", nil, table.concat(heads)))
    .. element("tbody", nil, table.concat(rows, "\n")))
end

--- Options, folded.
-- @tparam string name
-- @tparam table options
-- @tparam table words
-- @treturn string
function M.options(name, options, words)
  local rows = {}
  for i, entry in ipairs(values.entries(options)) do
    rows[i] = element("tr", nil, element("th", nil, escape(entry[1])) .. element("td", nil, escape(entry[2])))
  end
  return element("details", nil, element("summary", nil, ("%s: %s"):format(escape(words.options), escape(name)))
    .. element("table", "options", element("tbody", nil, table.concat(rows, "\n"))))
end

-- ---- the document ----

-- Charts that follow each other stand in one grid.
local function body_of(parts)
  local out, charts = {}, {}
  local function close()
    if #charts > 0 then out[#out + 1] = element("div", "charts", "\n" .. table.concat(charts, "\n") .. "\n") end
    charts = {}
  end
  for _, part in ipairs(parts) do
    if part.chart then
      charts[#charts + 1] = part.html
    else
      close()
      out[#out + 1] = part.html
    end
  end
  close()
  return table.concat(out, "\n")
end

local function contents(sections, words)
  if #sections < 2 then return "" end
  local out = {}
  for i, s in ipairs(sections) do out[i] = ('<li><a href="#s%d">%s</a></li>'):format(i, escape(s.title)) end
  return ('<nav aria-label="%s"><strong>%s</strong><ul>%s</ul></nav>\n'):format(escape(words.contents),
    escape(words.contents), table.concat(out))
end

local head = [[<!DOCTYPE html>
<html lang="%s">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<title>%s</title>
<style>
%s</style>
</head>
]]

--- The document.
-- @tparam table report `title`, `language`, `words`, `intro`: parts before the first section, `sections`: list of {title, parts}
-- @treturn string
function M.document(report)
  local title = escape(report.title)
  local out = {head:format(report.language, title, style), "<body>\n<div class=\"page\">\n"}
  out[#out + 1] = element("header", nil, ("\n<h1>%s</h1>\n%s\n"):format(title, body_of(report.intro))) .. "\n"
  out[#out + 1] = contents(report.sections, report.words) .. "<main>\n"
  for i, s in ipairs(report.sections) do
    out[#out + 1] = ('<section id="s%d">\n<h2>%s</h2>\n%s\n</section>\n'):format(i, escape(s.title), body_of(s.parts))
  end
  out[#out + 1] = "</main>\n</div>\n</body>\n</html>\n"
  return table.concat(out)
end

return M
