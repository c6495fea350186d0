--- How a row becomes text. A template turns a row into parts {text, trained = boolean}, in order; the parts are
-- encoded one by one, so that what is trained begins at a token. `ends` on a part: the end token follows it.
-- @submodule rlhf.data
local fields = require "rlhf.data.fields"

local M = {}

-- The two prompts of the Alpaca data set (github.com/tatsu-lab/stanford_alpaca): a data format.
local ALPACA_INPUT = "Below is an instruction that describes a task, paired with an input that provides further context. "
  .. "Write a response that appropriately completes the request.\n\n"
  .. "### Instruction:\n%s\n\n### Input:\n%s\n\n### Response:"
local ALPACA = "Below is an instruction that describes a task. "
  .. "Write a response that appropriately completes the request.\n\n"
  .. "### Instruction:\n%s\n\n### Response:"

local names = {user = "Human", assistant = "Assistant", system = "System", tool = "Tool"}

local function turn(message) return ("\n\n%s: %s"):format(names[message.role], message.content) end

--- A conversation as text, turns marked as in hh-rlhf; a single user's turn stands as it is.
-- @local
function M.conversation(messages)
  if #messages == 1 and messages[1].role == "user" then return messages[1].content end
  local parts = {}
  for i, message in ipairs(messages) do parts[i] = turn(message) end
  return table.concat(parts)
end

local function alpaca(row)
  if row.input == "" then return ALPACA:format(row.instruction) end
  return ALPACA_INPUT:format(row.instruction, row.input)
end

local function plain(row)
  if row.joined then return row.instruction end -- prompt and completion are meant to stand side by side
  return row.instruction .. "\n" .. (row.input ~= "" and row.input .. "\n" or "")
end

-- Turns of a row without messages.
local function messages_of(row)
  if row.messages then return row.messages end
  local content = row.instruction .. (row.input ~= "" and "\n\n" .. row.input or "")
  return {{role = "user", content = content}, row.response and {role = "assistant", content = row.response}}
end

-- Each assistant's turn is trained, behind an untrained marker, and ended. `from`: the first message that counts.
local function chat_parts(row)
  local parts, from = {}, row.trained_from or 1
  for i, message in ipairs(messages_of(row)) do
    if message.role == "assistant" then
      parts[#parts + 1] = {"\n\nAssistant:", trained = false}
      parts[#parts + 1] = {" " .. message.content, trained = i >= from, ends = true}
    else
      parts[#parts + 1] = {turn(message), trained = false}
    end
  end
  return parts
end

local prompts = {alpaca = alpaca, plain = plain}

--- Checks a template's name.
-- @local
function M.check(template, name)
  if template == nil or type(template) == "function" or template == "chat" or prompts[template] then return template end
  error(("%s: template: 'alpaca', 'chat', 'plain' or a function wanted, got %s"):format(name, tostring(template)), 3)
end

--- The parts of a row {instruction, input, response}, {messages} or {text}.
-- @local
-- @param row as rlhf.data.instructions reads it
-- @param template name or function: gets the row, returns prompt and response (by default the row's)
function M.parts(row, template)
  if row.text then return {{row.text, trained = true, ends = true}} end
  if template == "chat" then return chat_parts(row) end
  local prompt, response
  if type(template) == "function" then
    prompt, response = template(row)
    if type(prompt) ~= "string" then error("data: the template must return a string, got " .. type(prompt), 0) end
  elseif row.messages then
    return fields.fail("template '%s' wants an instruction, the row has messages", template)
  else
    prompt = prompts[template](row)
  end
  return {{prompt, trained = false}, {response or row.response, trained = true, ends = true}}
end

--- The text before the response, for generation: of a row {instruction, input}, {prompt} or {messages}.
-- @tparam table row
-- @tparam[opt="alpaca"] string|function template "alpaca" (Taori et al. 2023), "chat", "plain", or a function of the row
--   that returns the text
-- @treturn string
-- @raise on a row without any of these, and on an unknown template
function M.prompt(row, template)
  M.check(template, "data.prompt")
  if type(row) ~= "table" or type(row.prompt or row.instruction or row.messages and "") ~= "string" then
    error("data.prompt: a row with instruction, prompt or messages wanted", 2)
  end
  local r = {instruction = row.prompt or row.instruction, input = row.input or "", messages = row.messages,
             joined = row.prompt ~= nil}
  if type(template) == "function" then return (template(row)) end
  if template == "chat" then
    local parts = {}
    for i, message in ipairs(messages_of(r)) do parts[i] = turn(message) end
    return table.concat(parts) .. "\n\nAssistant:"
  end
  return prompts[template or "alpaca"](r)
end

return M
