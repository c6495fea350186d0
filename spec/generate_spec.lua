-- model:generate as users meet it: what comes back, why it ended, streams, stops, callbacks, messages.
local core = require "rlhf.core"
local folder = require "rlhf.folder"
local models = require "rlhf.model"

local STORIES = "../shared/models/stories260K"

local function make(arch, context)
  return models.make({arch = arch, layers = 2, dim = 24, heads = 3, vocab = 50, context = context or 64, seed = 4,
                      deviation = 0.2}):freeze()
end

describe("model:generate", function()
  local model
  before_each(function() model = make "llama" end)
  after_each(function()
    model = nil
    collectgarbage()
  end)

  it("takes one prompt or a list, of any lengths", function()
    local options = {max_new_tokens = 6, greedy = true, stop = {}}
    local prompts = {{1, 2, 3}, {4}, {5, 6, 7, 8, 9, 10, 11, 12}}
    local all, why = model:generate(prompts, options)
    assert.same({"length", "length", "length"}, why)
    for i, prompt in ipairs(prompts) do
      local one, one_why = model:generate(prompt, options)
      assert.same(all[i], one)
      assert.equal("length", one_why)
      assert.equal(6, #one)
    end
    assert.same({1, 2, 3}, prompts[1])
  end)

  it("takes none, and makes none", function()
    local ids, why = model:generate {}
    assert.same({{}, {}}, {ids, why})
    ids, why = model:generate({1, 2}, {max_new_tokens = 0})
    assert.same({{}, "length"}, {ids, why})
  end)

  it("draws from a sequence's stream whatever else is in the batch", function()
    local function draw(prompts, streams, seed)
      return (model:generate(prompts, {max_new_tokens = 12, stop = {}, streams = streams, seed = seed}))
    end
    local all = draw({{1, 2}, {3}, {4, 5, 6}})
    assert.same({all[3], all[1]}, draw({{4, 5, 6}, {1, 2}}, {3, 1}))
    assert.same(all, draw({{1, 2}, {3}, {4, 5, 6}}, {1, 2, 3}))
    local same = draw({{1, 2}, {1, 2}})
    assert.not_same(same[1], same[2])
    assert.not_same(all, draw({{1, 2}, {3}, {4, 5, 6}}, nil, 2))
    local twice = draw({{1, 2}, {1, 2}}, {-7, -7})
    assert.same(twice[1], twice[2])
  end)

  it("takes more prompts than there are slots", function()
    local prompts = {}
    for i = 1, 150 do prompts[i] = {i % 50, i // 50} end
    local all = model:generate(prompts, {max_new_tokens = 4, stop = {0, 1, 2, 3}})
    for _, i in ipairs {1, 64, 65, 150} do
      assert.same(all[i], (model:generate(prompts[i], {max_new_tokens = 4, stop = {0, 1, 2, 3}, streams = {i}})))
    end
  end)

  it("ends at stop ids, which stay, and at the model's own", function()
    local greedy = {max_new_tokens = 10, greedy = true, stop = {}}
    local whole = model:generate({1, 2}, greedy)
    greedy.stop = {whole[4]}
    local first = 1
    while whole[first] ~= whole[4] do first = first + 1 end
    local cut, why = model:generate({1, 2}, greedy)
    assert.same({table.move(whole, 1, first, 1, {}), "stop"}, {cut, why})
    greedy.stop = nil
    model.config.eos_token_id = {whole[4], 4999}
    assert.same(cut, (model:generate({1, 2}, greedy)))
    model.generation = {eos_token_id = whole[1]}
    assert.same({whole[1]}, (model:generate({1, 2}, greedy)))
    greedy.min_new_tokens = 3
    assert.is_true(#model:generate({1, 2}, greedy) > 3)
  end)

  it("ends where tokens complete a stop string", function()
    local greedy = {max_new_tokens = 10, greedy = true, stop = {}}
    local whole = model:generate({1, 2}, greedy)
    model.tokenizer = {decode = function(_, ids)
      local out = {}
      for i, id in ipairs(ids) do out[i] = ("<%d>"):format(id) end
      return table.concat(out)
    end}
    greedy.stop = {("%d><%d"):format(whole[3], whole[4])}
    local cut, why = model:generate({1, 2}, greedy)
    local text = model.tokenizer:decode(whole)
    local _, last = text:find(greedy.stop[1], 1, true)
    local want = {}
    repeat want[#want + 1] = whole[#want + 1] until #model.tokenizer:decode(want) >= last
    assert.same({want, "stop"}, {cut, why})
  end)

  it("ends at the context of learned positions", function()
    local gpt2 = make("gpt2", 10)
    local ids, why = gpt2:generate({{1, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {1}}, {max_new_tokens = 8, stop = {}})
    assert.same({7, 0, 8}, {#ids[1], #ids[2], #ids[3]})
    assert.same({"context", "context", "length"}, why)
    assert.error_matches(function() gpt2:generate {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} end, "prompt 1: 11 tokens, the model's context is 10")
    assert.equal(80, #model:generate({1}, {max_new_tokens = 80, stop = {}}))
  end)

  it("calls on_token for each token, and ends where it returns false", function()
    local seen, ends = {{}, {}}, {}
    local ids, why = model:generate({{1}, {2}}, {max_new_tokens = 5, stop = {}, on_token = function(i, id, done)
      table.insert(seen[i], id)
      if done then ends[#ends + 1] = i end
      if i == 2 and #seen[2] == 3 then return false end
    end})
    assert.same(seen, ids)
    assert.same({5, 3}, {#ids[1], #ids[2]})
    assert.same({"length", "on_token"}, why)
    assert.same({1}, ends)
  end)

  it("passes errors of on_token on, unchanged, and stays usable", function()
    local mine = {}
    local blocks = core.memory().blocks
    local ok, raised = pcall(model.generate, model, {{1}, {2}}, {on_token = function() error(mine) end})
    assert.is_false(ok)
    assert.equal(mine, raised)
    assert.equal(blocks, core.memory().blocks)
    assert.equal(2, #model:generate({1}, {max_new_tokens = 2, stop = {}}))
    local run = coroutine.wrap(function()
      return model:generate({1}, {max_new_tokens = 2, stop = {}, on_token = function(_, id) coroutine.yield(id) end})
    end)
    local first, second = run(), run()
    assert.same({first, second}, run())
  end)

  it("says what is wrong, at the caller's line", function()
    local function fails(pattern, prompts, options)
      local ok, message = pcall(function() model:generate(prompts, options) end)
      assert.is_false(ok)
      assert.matches("^spec/generate_spec.lua:%d+: model:generate: " .. pattern, message)
    end
    fails("prompts: a list of ids, or of such lists, wanted, got nil")
    fails("prompt 2: a list of ids wanted, got string", {{1}, "x"})
    fails("prompt 1 is empty", {{}})
    fails("prompt 1: token 2: an id from 0 to 49 wanted, got 50", {1, 50})
    fails("prompt 1: token 1: an id from 0 to 49 wanted, got 1.5", {1.5})
    fails("unknown option 'temprature' %(did you mean 'temperature'%?%)", {1}, {temprature = 1})
    fails("temperature: a number above 0 %(greedy = true takes the likeliest token%) wanted, got 0", {1}, {temperature = 0})
    fails("temperature: .* got %-?nan", {1}, {temperature = 0 / 0})
    fails("top_k: a whole number from 0 wanted, got %-1", {1}, {top_k = -1})
    fails("top_p: 0 to 1 wanted, got 1.5", {1}, {top_p = 1.5})
    fails("max_new_tokens: a whole number from 0 wanted, got 1.5", {1}, {max_new_tokens = 1.5})
    fails("max_new_tokens: number wanted, got string", {1}, {max_new_tokens = "1"})
    fails("greedy: true or false wanted, got number", {1}, {greedy = 1})
    fails("on_token: function wanted, got table", {1}, {on_token = {}})
    fails("streams: a list of 1 wanted, one for each prompt, got 2", {1}, {streams = {1, 2}})
    fails("streams: place 1: integer wanted, got x", {1}, {streams = {"x"}})
    fails("stop: a list of ids and strings wanted, got number", {1}, {stop = 3})
    fails("stop: ids from 0 to 49 and strings wanted, got 50", {1}, {stop = {50}})
    fails("stop: ids from 0 to 49 and strings wanted, got an empty string", {1}, {stop = {""}})
    fails("stop: the string 'x' wants a tokenizer", {1}, {stop = {"x"}})
    fails("seed: an integer wanted, got 1.5", {1}, {seed = 1.5})
  end)
end)

describe("stories260K", function()
  if not core.file_info(STORIES .. "/reference.json") then return pending("no " .. STORIES) end

  it("tells the reference's stories", function()
    local model = assert(folder.load(STORIES, {tokenizer = false}))
    local reference = assert(core.json_decode(assert(core.read_file(STORIES .. "/reference.json"))))
    local prompts = {}
    for i, case in ipairs(reference.generate) do
      prompts[i] = case.prompt_ids
      assert.same(case.new_ids, (model:generate(case.prompt_ids, {greedy = true, max_new_tokens = #case.new_ids})))
    end
    local all = model:generate(prompts, {greedy = true, max_new_tokens = 64})
    for i, case in ipairs(reference.generate) do
      assert.same(table.move(case.new_ids, 1, 64, 1, {}), all[i])
    end
  end)
end)
