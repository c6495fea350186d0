--- Rows of ranked responses from the formats they come in: each becomes {instruction, input, responses, ranking},
-- and `messages` where it came as a conversation. ranking[i] is the rank of responses[i], smaller is better, equal is
-- a tie, rlhf.null is unranked.
-- @submodule rlhf.data
local core = require "rlhf.core"
local option = require "rlhf.option"
local source = require "rlhf.data.source"
local fields = require "rlhf.data.fields"
local template = require "rlhf.data.template"

local fail, has = fields.fail, fields.has

-- ---- parts of formats ----

-- The prompt of a row: instruction and input, prompt (string or messages), messages.
local function prompt_of(row)
  if has(row, "instruction") then
    return {instruction = fields.text(row, "instruction"), input = fields.optional_text(row, "input")}
  end
  local key = has(row, "messages") and "messages" or has(row, "conversations") and "conversations" or "prompt"
  if key == "prompt" and type(row.prompt) ~= "table" then return {instruction = fields.text(row, "prompt"), input = ""} end
  local messages = fields.messages(row, key)
  return {instruction = template.conversation(messages), input = "", messages = messages}
end

local function texts(row, key)
  local out = {}
  for i in ipairs(fields.list(row, key)) do out[i] = fields.text(row[key], i, ("%s[%d]"):format(key, i)) end
  return out
end

local function ranks(row, key, n)
  local list, out = fields.list(row, key), {}
  for i = 1, math.max(n, #list) do out[i] = fields.rank(list, i, ("%s[%d]"):format(key, i)) end
  if #list ~= n then fail('"%s" has %d entries for %d responses', key, #list, n) end
  return out
end

-- 0 where indices count from 0, 1 where from 1.
local function base_of(flat, n)
  local low, high = math.huge, -math.huge
  for _, i in ipairs(flat) do low, high = math.min(low, i), math.max(high, i) end
  if low == 0 and high < n then return 0 end
  if high == n and low > 0 then return 1 end
  return fail('"order": indices %d to %d of %d responses: they count neither from 0 nor from 1 for certain', low, high, n)
end

-- A best-first list of indices, from 0 or from 1; a list within it is a tie. What isn't in it is unranked.
local function order(row, n)
  local list, flat, at = fields.list(row, "order"), {}, {}
  for place, entry in ipairs(list) do
    for _, i in ipairs(type(entry) == "table" and entry or {entry}) do
      if math.type(i) ~= "integer" then fail('"order[%d]" must be an integer, got %s', place, type(i)) end
      if at[i] then fail('"order" has index %d twice', i) end
      at[i], flat[#flat + 1] = place, i
    end
  end
  if #flat == 0 then fail '"order" is empty' end
  local out, base = {}, base_of(flat, n)
  for i = 1, n do out[i] = at[i - 1 + base] or core.null end
  return out
end

-- Ranks from scores of which the larger is better: 1 + how many are above.
local function from_scores(scores)
  local out = {}
  for i, s in ipairs(scores) do
    local rank = 1
    for _, other in ipairs(scores) do
      if other ~= core.null and s ~= core.null and other > s then rank = rank + 1 end
    end
    out[i] = s == core.null and s or rank
  end
  return out
end

local function with(prompt, responses, ranking)
  if #responses < 2 then fail("2 or more responses wanted, got %d", #responses) end
  prompt.responses, prompt.ranking = responses, ranking
  return {prompt}
end

-- ---- formats ----

local function native(row)
  local responses = texts(row, "responses")
  if has(row, "ranking") and has(row, "order") then fail '"ranking" and "order" are both there: one wanted' end
  local ranking = has(row, "order") and order(row, #responses) or ranks(row, "ranking", #responses)
  return with(prompt_of(row), responses, ranking)
end

local function numbered(row)
  local responses = {}
  while row["completion_" .. #responses] ~= nil do
    responses[#responses + 1] = fields.text(row, "completion_" .. #responses)
  end
  return with(prompt_of(row), responses, ranks(row, "ranking", #responses))
end

local function completions(row)
  local responses = texts(row, "completions")
  return with(prompt_of(row), responses, ranks(row, "ranks", #responses))
end

local function ultrafeedback(row)
  local responses, scores = {}, {}
  for i in ipairs(row.completions) do
    local place = ("completions[%d]"):format(i)
    local c = fields.object(row.completions, i, place)
    responses[i] = fields.text(c, "response", place .. ".response")
    scores[i] = fields.rank(c, "overall_score", place .. ".overall_score")
  end
  return with(prompt_of(row), responses, from_scores(scores))
end

local function nectar(row)
  local responses, ranking = {}, {}
  for i in ipairs(fields.list(row, "answers")) do
    local place = ("answers[%d]"):format(i)
    local a = fields.object(row.answers, i, place)
    responses[i] = fields.text(a, "answer", place .. ".answer")
    ranking[i] = fields.rank(a, "rank", place .. ".rank")
  end
  return with(prompt_of(row), responses, ranking)
end

-- ---- chosen and rejected ----

local MARK = "\n\nAssistant:"

-- Where the prompt ends that two transcripts share: behind the last mark of their common beginning.
local function shared_prompt(a, b)
  local same = 0
  while same < #a and a:byte(same + 1) == b:byte(same + 1) do same = same + 1 end
  local common, stop = a:sub(1, same), nil
  local _, at = common:find(MARK, 1, true)
  while at do
    stop = at
    _, at = common:find(MARK, at + 1, true)
  end
  return stop or fail '"chosen" and "rejected" share no prompt that ends in "\\n\\nAssistant:"'
end

-- Message lists that hold the prompt, too: the common turns are it.
local function shared_messages(row)
  local a, b = fields.messages(row, "chosen"), fields.messages(row, "rejected")
  local n = 0
  while n < #a - 1 and n < #b - 1 and a[n + 1].role == b[n + 1].role and a[n + 1].content == b[n + 1].content do n = n + 1 end
  if n ~= #a - 1 or n ~= #b - 1 then fail '"chosen" and "rejected" must differ in their last message alone' end
  return table.move(a, 1, n, 1, {}), a[n + 1].content, b[n + 1].content
end

-- The reply in a field: a string, one message, or a list of which the last is it.
local function reply(row, key)
  local v = row[key]
  if type(v) ~= "table" then return fields.text(row, key) end
  if core.is_array(v) or #v > 0 then
    local messages = fields.messages(row, key)
    return messages[#messages].content
  end
  return fields.message(row, key, key).content
end

local function preference(row)
  local explicit = has(row, "prompt") or has(row, "instruction") or has(row, "conversations")
  if explicit then return with(prompt_of(row), {reply(row, "chosen"), reply(row, "rejected")}, {1, 2}) end
  if type(row.chosen) == "table" then
    local messages, chosen, rejected = shared_messages(row)
    if #messages == 0 then fail '"chosen" and "rejected" have no prompt: "prompt" is missing' end
    return with({instruction = template.conversation(messages), input = "", messages = messages}, {chosen, rejected}, {1, 2})
  end
  local a, b = fields.text(row, "chosen"), fields.text(row, "rejected")
  local stop = shared_prompt(a, b)
  return with({instruction = a:sub(1, stop), input = ""}, {a:sub(stop + 1), b:sub(stop + 1)}, {1, 2})
end

-- ---- OpenAssistant's trees ----

local MAX_DEPTH = 200 -- far above what the data has

local function replies_of(node, place)
  if not has(node, "replies") then return {} end
  return fields.list(node, "replies", place .. ".replies")
end

-- A row for each prompter's node with two or more ranked replies. `before`: the conversation down to the node.
local function walk(node, before, rows, place)
  if #before > MAX_DEPTH then fail('"%s" is nested too deep', place:sub(1, 40)) end
  local role = fields.text(node, "role", place .. ".role")
  local said = {role = role == "prompter" and "user" or "assistant", content = fields.text(node, "text", place .. ".text")}
  local messages = table.move(before, 1, #before, 1, {})
  messages[#messages + 1] = said
  local responses, ranking = {}, {}
  for i, child in ipairs(replies_of(node, place)) do
    local at = ("%s.replies[%d]"):format(place, i)
    fields.object(node.replies, i, at)
    if said.role == "user" and child.role == "assistant" and has(child, "rank") and child.deleted ~= true then
      responses[#responses + 1] = fields.text(child, "text", at .. ".text")
      ranking[#ranking + 1] = fields.number(child, "rank", at .. ".rank")
    end
  end
  if #responses > 1 then
    rows[#rows + 1] = {instruction = template.conversation(messages), input = "", messages = messages,
                       responses = responses, ranking = ranking}
  end
  for i, child in ipairs(replies_of(node, place)) do walk(child, messages, rows, ("%s.replies[%d]"):format(place, i)) end
end

local function tree(row)
  local rows = {}
  walk(row.prompt, {}, rows, "prompt")
  return rows
end

-- The format of a row, by its keys.
local function convert(row)
  if has(row, "responses") then return native(row) end
  if row.completion_0 ~= nil then return numbered(row) end
  if has(row, "answers") then return nectar(row) end
  if has(row, "completions") then
    local first = fields.list(row, "completions")[1]
    return (type(first) == "table" and ultrafeedback or completions)(row)
  end
  if row.chosen ~= nil or row.rejected ~= nil then return preference(row) end
  if type(row.prompt) == "table" and (row.prompt.replies or row.prompt.role == "prompter") then return tree(row) end
  return fail 'no known format of rankings: "responses", "completions", "completion_0", "answers", "chosen" or a tree wanted'
end

--- Reads ranked responses.
-- Formats: `{instruction, input, responses, ranking}` (or a best-first list of indices under `order`); `completion_0`...
-- and `ranking`; `completions` and `ranks`; trees of OpenAssistant (any number of rows each); Nectar's `answers`;
-- UltraFeedback's `overall_score`; `chosen` and `rejected` with `prompt`, as hh-rlhf's transcripts, as ShareGPT's
-- `conversations`, as message lists.
-- @function rankings
-- @tparam source s
-- @tparam[opt] table options `on_bad_row` = "error" or "skip"
-- @treturn source of `{instruction, input, responses, ranking}`; `messages` where the prompt is a conversation.
--   `ranking[i]` is the rank of `responses[i]`: smaller is better, equal is a tie, `rlhf.null` is unranked
-- @raise (from the iterator) what is wrong with a row, with file and line, unless it is skipped
return function(s, options)
  options = option.check(options, {on_bad_row = "error"}, "data.rankings")
  local skip = source.skips(options.on_bad_row, "rankings")
  return source.convert(source.of(s, "rankings"), function(row) return fields.guard(convert, row) end, skip)
end
