-- Batches: what they hold, the same numbers whichever way they were made, and what they refuse.
local models = require "support.models"
local rlhf = require "rlhf"

local batch = rlhf.batch

local SMALL = {
  {arch = "gpt2", layers = 2, dim = 16, heads = 2, vocab = 13, context = 12, seed = 3, deviation = 0.4},
  {arch = "llama", layers = 2, dim = 16, heads = 4, kv_heads = 2, hidden = 24, vocab = 13, context = 12, seed = 4,
   deviation = 0.4, tied = false},
}
local ROWS = {{5, 1, 12, 7, 3}, {2, 9}, {4, 4, 0, 11}}

-- ROWS padded to six places on a side with an id that would change everything if it were seen.
local function padded(side)
  local ids, mask, positions = {}, {}, {}
  for r, row in ipairs(ROWS) do
    ids[r], mask[r], positions[r] = {}, {}, {}
    local before = side == "left" and 6 - #row or 0
    for t = 1, 6 do
      local real = t > before and t <= before + #row
      ids[r][t] = real and row[t - before] or 12
      mask[r][t] = real and 1 or 0
      positions[r][t] = real and t - before - 1 or 0
    end
  end
  return ids, mask, positions
end

local function i64(lists) return rlhf.tensor(lists, {dtype = "i64"}) end

local function gradients(model, loss)
  loss:backward()
  local list = {}
  for i, p in ipairs(model:parameters()) do
    list[i] = p:grad():totable()
    p:grad():fill_(0)
  end
  return list
end

describe("a batch", function()
  it("lays tokens end to end and predicts each but a row's first", function()
    local b = batch.sequences(ROWS)
    assert.same({5, 1, 12, 7, 3, 2, 9, 4, 4, 0, 11}, b.ids:totable())
    assert.same({0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3}, b.positions:totable())
    assert.same({{0, 5, -1}, {5, 2, -1}, {7, 4, -1}}, b.segments:totable())
    assert.same({0, 1, 2, 3, 5, 7, 8, 9}, b.rows:totable())
    assert.same({1, 12, 7, 3, 9, 4, 0, 11}, b.targets:totable())
    assert.same({4, 1, 3}, b.counts)
    assert.equal("batch: 11 tokens in 3 segments, 8 predicted", tostring(b))
  end)

  it("predicts labels where they are given, but not those below 0", function()
    local b = batch.sequences({{5, 1, 12}, {2, 9}}, {labels = {{5, -100, 12}, {-100, -100}}})
    assert.same({1}, b.rows:totable())
    assert.same({12}, b.targets:totable())
    assert.same({1, 0}, b.counts)
    assert.equal(1, b.trained)
  end)

  it("of a tree goes on from the prompt's positions and predicts the responses alone", function()
    local b = batch.trees {{prompt = {7, 8}, responses = {{1, 2}, {3}}}}
    assert.same({7, 8, 1, 2, 3}, b.ids:totable())
    assert.same({0, 1, 2, 3, 2}, b.positions:totable())
    assert.same({{0, 2, -1}, {2, 2, 0}, {4, 1, 0}}, b.segments:totable())
    assert.same({1, 2, 1}, b.rows:totable())
    assert.same({1, 2, 3}, b.targets:totable())
    assert.same({2, 1}, b.counts)
  end)
end)

for _, options in ipairs(SMALL) do
  describe(options.arch, function()
    it("gives the same numbers for rows padded left, padded right and ragged", function()
      local model = rlhf.model(options)
      local ragged = batch.sequences(ROWS)
      local want = models.values(model:logits(ragged))
      local slopes = gradients(model, (model:loss(ragged)))
      for _, side in ipairs {"left", "right"} do
        local ids, mask, positions = padded(side)
        for _, b in ipairs {batch.from_padded(ids, mask), batch.from_padded(i64(ids), i64(mask), {positions = i64(positions)})} do
          models.near(models.values(model:logits(b)), want, 1e-6, side)
          models.near(gradients(model, (model:loss(b))), slopes, 1e-6, side)
        end
      end
    end)

    it("sees positions that are not counted from the first token", function()
      local model = rlhf.model(options)
      local plain = model:logits(batch.sequences {{1, 2, 3}})[1]
      local moved = model:logits(batch.sequences({{1, 2, 3}}, {positions = {{2, 3, 4}}}))[1]
      local d = models.difference(moved, plain)
      -- rotary attention knows distances alone
      assert.is_true(options.arch == "gpt2" and d > 0.05 or options.arch == "llama" and d < 1e-5, d)
    end)

    it("gives a tree's responses what separate sequences give, values and gradients", function()
      local model = rlhf.model(options)
      local prompt, responses = {5, 1, 12}, {{7, 3}, {2}, {7, 9, 0, 4}}
      local tree = batch.trees {{prompt = prompt, responses = responses}}
      local rows, labels, whole = {}, {}, {}
      for r, response in ipairs(responses) do
        rows[r] = table.move(response, 1, #response, #prompt + 1, {table.unpack(prompt)})
        labels[r] = table.move(response, 1, #response, #prompt + 1, {-100, -100, -100})
      end
      local apart = batch.sequences(rows, {labels = labels})
      for r, t in ipairs(model:logprobs(apart)) do whole[r] = t:totable() end
      models.near(models.values(model:logprobs(tree)), whole, 1e-5, "log-probabilities")
      models.near(gradients(model, (model:loss(tree))), gradients(model, (model:loss(apart))), 1e-5, "gradients")
    end)
  end)
end

describe("misuse", function()
  local function refused(wanted, f, ...)
    local args = table.pack(...)
    local ok, message = pcall(function() f(table.unpack(args, 1, args.n)) end)
    assert.is_false(ok)
    assert.matches("^[^:]*batch_spec.lua:%d+: ", message)
    assert.matches(wanted, message, 1, true)
  end

  it("raises at the caller's line and names the list", function()
    refused("rlhf.batch.sequences: a list of lists wanted, got an empty list", batch.sequences, {})
    refused("rlhf.batch.sequences: a list of lists wanted, got nil", batch.sequences)
    refused("sequence 2: a list of token ids wanted, got an empty list", batch.sequences, {{1}, {}})
    refused("sequence 1: a whole number wanted at 2, got 1.5", batch.sequences, {{1, 1.5}})
    refused("labels of sequence 1: a list of 2 whole numbers wanted, got a list of 1", batch.sequences, {{1, 2}}, {labels = {{1}}})
    refused("unknown option 'label' (did you mean 'labels'?)", batch.sequences, {{1}}, {label = {}})
    refused("group 1: prompt: a list of token ids wanted, got nil", batch.trees, {{responses = {{1}}}})
    refused("group 1: responses: a list of lists wanted, got nil", batch.trees, {{prompt = {1}}})
    refused("group 1: response 2: a list of token ids wanted", batch.trees, {{prompt = {1}, responses = {{1}, 3}}})
    refused("mask: 1 rows wanted, got 2", batch.from_padded, {{1}}, {{1}, {1}})
    refused("mask: row 1: a row of 2 wanted, got a list of 1", batch.from_padded, {{1, 2}}, {{1}})
    refused("row 2 has no real token", batch.from_padded, {{1}, {1}}, {{1}, {0}})
    refused("ids: a list of lists wanted, got string", batch.from_padded, "x", {{1}})
  end)

  it("outlives the scope it was made in, and can be closed by hand", function()
    local b
    do
      local scope <close> = rlhf.scope()
      b = rlhf.batch.sequences {{1, 2, 3}}
    end
    assert.equal(3, #b.ids)
    b:close()
    assert.has_error(function() return #b.ids end)
  end)
end)
