--- Generation: any number of prompts through one session with a cache of keys and values. At most 64
-- sequences are under way at once; the next prompt begins when one ends. A sequence's draws depend on
-- the seed, its stream and the place of the token alone. This module is the function model:generate.
-- @submodule rlhf.model
local core = require "rlhf.core"
local option = require "rlhf.option"

local SLOTS = 64 -- from about here on products are bound by arithmetic, not by reading weights
local WHO = "model:generate: "

local function fail(level, format, ...) error(WHO .. format:format(...), level + 1) end

local known = {
  max_new_tokens = 64, temperature = 1, top_k = 0, top_p = 1, min_p = 0, repetition_penalty = 1, min_new_tokens = 0,
  greedy = option.optional, stop = option.optional, seed = 1, streams = option.optional, on_token = option.optional,
}

local function is_count(v) return math.type(v) == "integer" and v >= 0 end
local function is_share(v) return v >= 0 and v <= 1 end
local function is_factor(v) return v > 0 and v < math.huge end

local rules = {
  {"max_new_tokens", is_count, "a whole number from 0"}, {"min_new_tokens", is_count, "a whole number from 0"},
  {"top_k", is_count, "a whole number from 0"}, {"top_p", is_share, "0 to 1"}, {"min_p", is_share, "0 to 1"},
  {"temperature", is_factor, "a number above 0 (greedy = true takes the likeliest token)"},
  {"repetition_penalty", is_factor, "a number above 0"},
  {"seed", function(v) return math.type(v) == "integer" end, "an integer"},
}

local function check_options(options, level)
  local o = option.check(options, known, "model:generate", level + 1)
  for _, rule in ipairs(rules) do
    local name, holds, wanted = rule[1], rule[2], rule[3]
    if not holds(o[name]) then fail(level + 1, "%s: %s wanted, got %s", name, wanted, o[name]) end
  end
  if o.greedy ~= nil and type(o.greedy) ~= "boolean" then
    fail(level + 1, "greedy: true or false wanted, got %s", type(o.greedy))
  end
  if o.on_token ~= nil and type(o.on_token) ~= "function" then
    fail(level + 1, "on_token: function wanted, got %s", type(o.on_token))
  end
  return o
end

-- A list of prompts; second: it was one prompt.
local function prompts_of(input, model, level)
  if type(input) ~= "table" then fail(level + 1, "prompts: a list of ids, or of such lists, wanted, got %s", type(input)) end
  local one = type(input[1]) == "number"
  local list, vocab = one and {input} or input, model.settings.vocab
  for i, ids in ipairs(list) do
    if type(ids) ~= "table" then fail(level + 1, "prompt %d: a list of ids wanted, got %s", i, type(ids)) end
    if #ids == 0 then fail(level + 1, "prompt %d is empty: at least one token wanted", i) end
    for place, id in ipairs(ids) do
      if math.type(id) ~= "integer" or id < 0 or id >= vocab then
        fail(level + 1, "prompt %d: token %d: an id from 0 to %d wanted, got %s", i, place, vocab - 1, tostring(id))
      end
    end
  end
  return list, one
end

-- stop -> ids (a list and a set) and strings
local function stops_of(stop, model, level)
  local vocab = model.settings.vocab
  local stops = {list = {}, ids = {}, strings = {}, longest = 0}
  if stop ~= nil and type(stop) ~= "table" then
    fail(level + 1, "stop: a list of ids and strings wanted, got %s", type(stop))
  end
  for _, s in ipairs(stop or model:end_ids()) do
    if math.type(s) == "integer" and s >= 0 and s < vocab then
      stops.list[#stops.list + 1], stops.ids[s] = s, true
    elseif type(s) == "string" and s ~= "" then
      stops.strings[#stops.strings + 1] = s
      stops.longest = math.max(stops.longest, #s)
    elseif stop then -- a default outside of the vocabulary never comes up
      fail(level + 1, "stop: ids from 0 to %d and strings wanted, got %s", vocab - 1, s == "" and "an empty string" or tostring(s))
    end
  end
  if #stops.strings > 0 and not model.tokenizer then
    fail(level + 1, "stop: the string '%s' wants a tokenizer, and the model's folder had none (model.tokenizer)", stops.strings[1])
  end
  return stops
end

local function check_streams(streams, n, level)
  if streams == nil then return end
  if type(streams) ~= "table" or #streams ~= n then
    fail(level + 1, "streams: a list of %d wanted, one for each prompt, got %s", n,
         type(streams) == "table" and #streams or type(streams))
  end
  for i, stream in ipairs(streams) do
    if math.type(stream) ~= "integer" then fail(level + 1, "streams: place %d: integer wanted, got %s", i, tostring(stream)) end
  end
end

-- What is known of each sequence. With learned positions prompt and new tokens fill the context at most.
local function sequences_of(prompts, o, model, level)
  local list, context = {}, model.settings.position == "learned" and model.settings.context or math.maxinteger
  for i, prompt in ipairs(prompts) do
    local room = context - #prompt
    if room < 0 then fail(level + 1, "prompt %d: %d tokens, the model's context is %d", i, #prompt, context) end
    list[i] = {i = i, prompt = prompt, ids = {}, stream = o.streams and o.streams[i] or i,
               limit = math.min(room, o.max_new_tokens), at_limit = room < o.max_new_tokens and "context" or "length"}
    if list[i].limit == 0 then list[i].why = list[i].at_limit end
  end
  return list
end

local function find_string(strings, text)
  for _, s in ipairs(strings) do
    if text:find(s, 1, true) then return true end
  end
  return false
end

-- Does the last token complete a stop string? Each token but a few special ones is at least a byte of text, so
-- the tail of as many tokens as the longest string has bytes, and some more, holds it.
local function completes_string(run, ids)
  local strings = run.stops.strings
  if #strings == 0 then return false end
  local tail = table.move(ids, math.max(1, #ids - run.stops.longest - 8), #ids, 1, {})
  local tokenizer = run.model.tokenizer
  if not find_string(strings, tokenizer:decode(tail)) then return false end
  tail[#tail] = nil
  return not find_string(strings, tokenizer:decode(tail))
end

local function why_ended(run, s, id)
  if run.stops.ids[id] then return "stop" end
  if #s.ids > run.options.min_new_tokens and completes_string(run, s.ids) then return "stop" end
  if #s.ids >= s.limit then return s.at_limit end
end

-- A sequence's next token. Once it ended, its slot is free.
local function take(run, s, id)
  s.ids[#s.ids + 1] = id
  s.why = why_ended(run, s, id)
  local on_token = run.options.on_token
  if on_token and on_token(s.i, id, s.why ~= nil) == false then s.why = s.why or "on_token" end
  if not s.why then return end
  run.session:finish(s.slot)
  run.free[#run.free + 1] = s.slot
end

-- Feeds each of these sequences with tokens[i] and takes its next token.
local function advance(run, list, tokens)
  local slots, streams, counts = {}, {}, {}
  for i, s in ipairs(list) do slots[i], streams[i], counts[i] = s.slot, s.stream, #s.ids end
  run.session:feed(slots, tokens)
  for i, id in ipairs(run.session:sample(streams, counts)) do take(run, list[i], id) end
end

-- Sequences that wait get the free slots, in order. Returns them and their prompts.
local function admit(run)
  local list, prompts = {}, {}
  while #run.free > 0 and run.next <= #run.sequences do
    local s = run.sequences[run.next]
    run.next = run.next + 1
    if not s.why then
      s.slot = table.remove(run.free)
      list[#list + 1], prompts[#prompts + 1] = s, s.prompt
    end
  end
  return list, prompts
end

-- Those under way, with the last token of each.
local function going_on(list, into, tokens)
  for _, s in ipairs(list) do
    if not s.why then into[#into + 1], tokens[#tokens + 1] = s, s.ids[#s.ids] end
  end
end

local function run_all(run)
  local active, tokens = {}, {}
  repeat
    local new, prompts = admit(run)
    if #new > 0 then advance(run, new, prompts) end
    if #active > 0 then advance(run, active, tokens) end
    local before = active
    active, tokens = {}, {}
    going_on(before, active, tokens)
    going_on(new, active, tokens)
  until #active == 0 and run.next > #run.sequences
end

local function results(sequences, one)
  local ids, why = {}, {}
  for i, s in ipairs(sequences) do ids[i], why[i] = s.ids, s.why end
  if one then return ids[1], why[1] end
  return ids, why
end

--- Goes on from prompts, token by token: `model:generate(prompts, options)`. Logits are processed in the order
-- of transformers: repetition penalty, min_new_tokens, temperature, top-k, top-p, min-p; other settings of
-- generation_config.json than its end ids are not looked at.
-- @function Model:generate
-- @tparam table prompts a list of ids (counting from 0), or a list of such lists, of any lengths
-- @tparam[opt] table options
--
--   * `max_new_tokens` = 64; `min_new_tokens` = 0: so many come before a stop id or string ends a sequence
--   * `greedy` = false: the likeliest token each time, of equal ones the lowest id
--   * `temperature` = 1, above 0; `top_k` = 0 (none; ties at the last place are all kept); `top_p` = 1 (Holtzman et
--     al. 2019); `min_p` = 0
--   * `repetition_penalty` = 1: divides positive logits of ids that the prompt or the new tokens have, multiplies
--     negative ones (Keskar et al. 2019)
--   * `stop`: ids and strings that end a sequence (a string wherever tokens complete it in the new text); by default
--     the end ids of generation_config.json or config.json; {} for none
--   * `seed` = 1; `streams`: sequence i draws from stream streams[i], by default i: what else is in the batch does
--     not change its draws
--   * `on_token(i, id, done)`: called for each new token of sequence i; its errors propagate, and `false` from it
--     ends the sequence
-- @treturn table the new ids, with the stop id or the tokens that completed a stop string; a list of them for a
--   list of prompts
-- @treturn string|table why each ended: "stop", "length" (max_new_tokens), "context" (learned positions are used up:
--   prompt and new tokens fill it), or "on_token"
-- @raise on wrong prompts or options, on a prompt longer than a context of learned positions, and when logits are
--   infinite or not numbers
local function generate(model, prompts, options)
  model:head() -- raises where there is none
  local o = check_options(options, 2)
  local list, one = prompts_of(prompts, model, 2)
  local stops = stops_of(o.stop, model, 2)
  check_streams(o.streams, #list, 2)
  local run = {model = model, options = o, stops = stops, next = 1, free = {}, sequences = sequences_of(list, o, model, 2)}
  for slot = math.min(SLOTS, #list), 1, -1 do run.free[#run.free + 1] = slot end
  if #list == 0 then return {}, {} end
  local session <close> = core.session(model.decoder, #run.free, {
    temperature = o.temperature, top_k = o.top_k, top_p = o.top_p, min_p = o.min_p, greedy = o.greedy, seed = o.seed,
    repetition_penalty = o.repetition_penalty, min_new_tokens = o.min_new_tokens, stop = stops.list,
  })
  run.session = session
  run_all(run)
  return results(run.sequences, one)
end

return generate
