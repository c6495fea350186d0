-- Formats of instruction tuning, with a tokenizer of bytes: what is said, and what of it is trained.
local d = require "rlhf.data"
local support = require "support.data"

local function encode(row, options)
  local list = support.rows(d.instructions({row}, support.bytes, options))
  return list[1] and support.text(list[1]), list[1] and support.text(list[1], true), list[1]
end

describe("data.instructions", function()
  it("reads the Alpaca format, with and without input", function()
    local text, trained = encode {instruction = "Add", input = "1 2", output = "3"}
    assert.equal("[Below is an instruction that describes a task, paired with an input that provides further context. "
      .. "Write a response that appropriately completes the request.\n\n### Instruction:\nAdd\n\n### Input:\n1 2\n\n"
      .. "### Response:3]", text)
    assert.equal("3]", trained)
    text, trained = encode {instruction = "100% Hi", input = "", response = "Yo"}
    assert.equal("[Below is an instruction that describes a task. Write a response that appropriately completes the "
      .. "request.\n\n### Instruction:\n100% Hi\n\n### Response:Yo]", text)
    assert.equal("Yo]", trained)
  end)

  it("reads prompt and completion side by side", function()
    local text, trained, row = encode {prompt = "ab", completion = "cd"}
    assert.equal("[abcd]", text)
    assert.equal("cd]", trained)
    assert.same({-100, -100, -100, 99, 100, 257}, row.labels)
  end)

  it("trains the assistant's turns of messages alone", function()
    local text, trained = encode {messages = {
      {role = "system", content = "S"}, {role = "user", content = "a"}, {role = "assistant", content = "b"},
      {role = "user", content = "c"}, {role = "assistant", content = "d"}}}
    assert.equal("[\n\nSystem: S\n\nHuman: a\n\nAssistant: b]\n\nHuman: c\n\nAssistant: d]", text)
    assert.equal(" b] d]", trained)
    local _, t2 = encode {conversations = {{from = "human", value = "a"}, {from = "gpt", value = "b"}}}
    assert.equal(" b]", t2)
    local _, t3 = encode {
      prompt = {{role = "user", content = "a"}, {role = "assistant", content = "b"}, {role = "user", content = "c"}},
      completion = {{role = "assistant", content = "d"}}}
    assert.equal(" d]", t3)
  end)

  it("trains all of a text", function()
    local text, trained = encode {text = "abc"}
    assert.same({"[abc]", "abc]"}, {text, trained})
  end)

  it("takes other templates", function()
    local row = {instruction = "I", input = "J", output = "R"}
    assert.equal("[\n\nHuman: I\n\nJ\n\nAssistant: R]", (encode(row, {template = "chat"})))
    assert.equal("[I\nJ\nR]", (encode(row, {template = "plain"})))
    local text, trained = encode(row, {template = function(r) return "<" .. r.instruction .. ">" end})
    assert.same({"[<I>R]", "R]"}, {text, trained})
    text, trained = encode(row, {template = function(r) return r.input, r.response:lower() end})
    assert.same({"[Jr]", "r]"}, {text, trained})
    assert.error_matches(function() encode(row, {template = "alpacca"}) end, "'alpaca', 'chat', 'plain' or a function")
  end)

  it("cuts rows, and leaves those out of which nothing trained is left", function()
    local list = {{prompt = "abc", completion = "def"}, {prompt = "abcdef", completion = "g"}}
    local s = d.instructions(list, support.bytes, {max_length = 5})
    local rows = support.rows(s)
    assert.equal(1, #rows)
    assert.equal("[abcd", support.text(rows[1]))
    local count, messages = s:skipped()
    assert.equal(1, count)
    assert.equal("row 2: no trained token among the first 5", messages[1])
  end)

  it("names file, line and field of what is wrong", function()
    local bad = {
      ['{"instruction":"a"}'] = '"output" must be a string, got nothing',
      ['{"instruction":3,"output":"b"}'] = '"instruction" must be a string, got number',
      ['{"prompt":"a","completion":null}'] = '"completion" must be a string, got null',
      ['{"messages":"a"}'] = '"messages" must be an array, got string',
      ['{"messages":[]}'] = '"messages" is empty',
      ['{"messages":[{"role":"user"}]}'] = '"messages[1].content" must be a string, got nothing',
      ['{"messages":[{"role":"cat","content":"x"}]}'] = '"messages[1]": role "cat" is not known',
      ['{"foo":1}'] = 'no known format: instruction and output, prompt and completion, messages, or text wanted; the row has foo',
    }
    for line, message in pairs(bad) do
      support.with_file('{"text":"ok"}\n' .. line, function(path)
        local _, got = pcall(support.rows, d.instructions(d.jsonl(path), support.bytes))
        assert.equal(path .. ":2: " .. message, got)
        assert.equal(1, #support.rows(d.instructions(d.jsonl(path), support.bytes, {on_bad_row = "skip"})))
      end)
    end
  end)
end)

describe("data.prompt", function()
  it("is the text before the response", function()
    assert.matches("### Response:$", d.prompt {instruction = "a"})
    assert.equal("\n\nHuman: a\n\nAssistant:", d.prompt({instruction = "a"}, "chat"))
    assert.equal("a\nb\n", d.prompt({instruction = "a", input = "b"}, "plain"))
  end)

  it("gives the text before the response of rows of every shape, and says what is missing", function()
    assert.equal("Hello", d.prompt({prompt = "Hello"}, "plain"))
    assert.equal("Say\nthis\n", d.prompt({instruction = "Say", input = "this"}, "plain"))
    assert.matches("Hi\n\nAssistant:$", d.prompt({messages = {{role = "user", content = "Hi"}}}, "chat"))
    local ok, message = pcall(d.prompt, {text = "x"}, "plain")
    assert.is_false(ok)
    assert.matches("data.prompt: a row with instruction, prompt or messages wanted", message, 1, true)
  end)
end)
