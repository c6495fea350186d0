--- Rows for instruction tuning: ids, and labels that are -100 where nothing is trained.
-- @submodule rlhf.data
local option = require "rlhf.option"
local source = require "rlhf.data.source"
local fields = require "rlhf.data.fields"
local template = require "rlhf.data.template"

local UNTRAINED = -100

-- {prompt, completion} as message lists: one conversation, of which the completion is trained.
local function joined_messages(row)
  local messages = fields.messages(row, "prompt")
  local from = #messages + 1
  for _, m in ipairs(fields.messages(row, "completion")) do messages[#messages + 1] = m end
  return {messages = messages, trained_from = from}
end

-- Each format: the key that tells it, how it is read, its own template.
local formats = {
  {key = "messages", own = "chat", read = function(row) return {messages = fields.messages(row, "messages")} end},
  {key = "conversations", own = "chat", read = function(row) return {messages = fields.messages(row, "conversations")} end},
  {key = "instruction", own = "alpaca", read = function(row)
    local response = fields.has(row, "output") and "output" or fields.has(row, "response") and "response" or "output"
    return {instruction = fields.text(row, "instruction"), input = fields.optional_text(row, "input"),
            response = fields.text(row, response)}
  end},
  {key = "prompt", own = "plain", read = function(row)
    if type(row.prompt) == "table" then return joined_messages(row), "chat" end
    return {instruction = fields.text(row, "prompt"), input = "", response = fields.text(row, "completion"), joined = true}
  end},
  {key = "text", own = "plain", read = function(row) return {text = fields.text(row, "text")} end},
}

local function keys_of(row)
  local keys = {}
  for key in pairs(row) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return table.concat(keys, ", ")
end

-- What a row says, and the template of its format.
local function read(row)
  for _, format in ipairs(formats) do
    if fields.has(row, format.key) then
      local out, own = format.read(row)
      return out, own or format.own
    end
  end
  return fields.fail("no known format: instruction and output, prompt and completion, messages, or text wanted; the row has %s",
    keys_of(row))
end

local function append(ids, labels, more, trained)
  for _, id in ipairs(more) do
    ids[#ids + 1] = id
    labels[#labels + 1] = trained and id or UNTRAINED
  end
end

local function encode(parts, tok, begin, ending)
  local ids, labels = {}, {}
  append(ids, labels, begin, false)
  for _, part in ipairs(parts) do
    append(ids, labels, tok:encode(part[1], {special = false}), part.trained)
    if part.ends then append(ids, labels, ending, part.trained) end
  end
  return ids, labels
end

-- Is there anything to learn within n places? A sequence's first token is predicted from nothing.
local function has_trained(labels, n)
  for i = 2, n do
    if labels[i] and labels[i] ~= UNTRAINED then return true end
  end
  return false
end

-- What the tokenizer puts before a text, if it is the token that begins one.
local function beginning(tok)
  local first = tok:encode("")[1]
  return first ~= nil and first == tok:bos() and {first} or {}
end

--- Encodes rows for instruction tuning.
-- Reads `{instruction, input, output | response}`, `{prompt, completion}` (strings, or message lists), `{messages}` and
-- ShareGPT's `{conversations}` (the assistant's turns are trained), `{text}` (all of it is trained). The tokenizer's end
-- token, where it has one, is appended and trained. Prompt and response are encoded each by itself.
-- @function instructions
-- @tparam source s
-- @tparam tokenizer tok
-- @tparam[opt] table options
--
--   * `template`: "alpaca", "chat" (turns marked as in hh-rlhf), "plain", or a function of {instruction, input,
--     response} or {messages} that returns the prompt, and the response unless it is the row's. By default alpaca for
--     instructions, chat for messages, plain for prompt and completion
--   * `max_length`: tokens, the rest of a row is cut; rows of which nothing trained is left are left out and counted
--   * `on_bad_row` = "error" or "skip"
-- @treturn source of `{ids =, labels =}`, labels[i] = ids[i] where it is trained, else -100
-- @raise (from the iterator) what is wrong with a row, with file and line, unless it is skipped
return function(s, tok, options)
  options = option.check(options, {template = option.optional, max_length = math.huge, on_bad_row = "error"},
                         "data.instructions")
  if type(tok) ~= "table" or not tok.encode then error("data.instructions: a tokenizer wanted, got " .. type(tok), 2) end
  local skip, chosen = source.skips(options.on_bad_row, "instructions"), template.check(options.template, "data.instructions")
  local begin, ending = beginning(tok), {tok:eos()}
  return source.convert(source.of(s, "instructions"), function(row)
    local parts, message, wrong = fields.guard(function()
      local content, own = read(row)
      return template.parts(content, chosen or own)
    end)
    if not parts then return nil, message, wrong end
    local ids, labels = encode(parts, tok, begin, ending)
    local n = math.min(#ids, options.max_length)
    if not has_trained(labels, n) then return nil, ("no trained token among the first %d"):format(n) end
    return {{ids = table.move(ids, 1, n, 1, {}), labels = table.move(labels, 1, n, 1, {})}}
  end, skip)
end
