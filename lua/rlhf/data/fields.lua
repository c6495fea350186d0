--- Checked reading of the fields of a row. A wrong one raises a table {message}, which `guard` turns into nil and
-- the message: converters read as if all were well.
-- @module rlhf.data.fields
local core = require "rlhf.core"

local M = {}

local function type_of(v)
  if v == nil then return "nothing" end
  if v == core.null then return "null" end
  if type(v) ~= "table" then return type(v) end
  return (core.is_array(v) or #v > 0) and "array" or "object"
end

--- Raises what is wrong with a row.
function M.fail(format, ...) error({message = format:format(...)}, 0) end

--- Calls f(...); returns its result, or nil, the message and true. Other errors pass through.
function M.guard(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if type(result) == "table" and result.message then return nil, result.message, true end
  error(result, 0)
end

--- Is a field there and not null?
function M.has(row, key) return row[key] ~= nil and row[key] ~= core.null end

--- A string; `name` stands in the message for nested fields.
function M.text(row, key, name)
  local v = row[key]
  if type(v) == "string" then return v end
  return M.fail('"%s" must be a string, got %s', name or key, type_of(v))
end

--- A string that may be absent or null: then "".
function M.optional_text(row, key) return M.has(row, key) and M.text(row, key) or "" end

--- A list.
function M.list(row, key, name)
  local v = row[key]
  if type(v) == "table" and (core.is_array(v) or #v > 0) then return v end
  return M.fail('"%s" must be an array, got %s', name or key, type_of(v))
end

--- An object.
function M.object(row, key, name)
  local v = row[key]
  if type(v) == "table" and v ~= core.null and not core.is_array(v) then return v end
  return M.fail('"%s" must be an object, got %s', name or key, type_of(v))
end

--- A finite number.
function M.number(row, key, name)
  local v = row[key]
  if type(v) ~= "number" then return M.fail('"%s" must be a number, got %s', name or key, type_of(v)) end
  if v ~= v or v == math.huge or v == -math.huge then return M.fail('"%s" is not finite', name or key) end
  return v
end

--- A number, or null for what is null or missing.
function M.rank(row, key, name)
  if not M.has(row, key) then return core.null end
  return M.number(row, key, name)
end

local roles = {human = "user", user = "user", prompter = "user", gpt = "assistant", assistant = "assistant",
               chatgpt = "assistant", system = "system", tool = "tool", observation = "tool"}

--- A message {role, content} from either spelling: `role`, `content`, or ShareGPT's `from`, `value`.
function M.message(list, i, place)
  local m = M.object(list, i, place)
  local sharegpt = m.role == nil and m.from ~= nil
  local role = M.text(m, sharegpt and "from" or "role", place .. (sharegpt and ".from" or ".role"))
  local content = M.text(m, sharegpt and "value" or "content", place .. (sharegpt and ".value" or ".content"))
  return {role = roles[role] or M.fail('"%s": role "%s" is not known', place, role), content = content}
end

--- A list of messages, at least one.
function M.messages(row, key)
  local out = {}
  for i in ipairs(M.list(row, key)) do out[i] = M.message(row[key], i, ("%s[%d]"):format(key, i)) end
  if #out == 0 then M.fail('"%s" is empty', key) end
  return out
end

return M
