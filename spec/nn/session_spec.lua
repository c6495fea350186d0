-- Sessions: logits from the cache against those of a whole forward, ragged batches, chunks of long prompts,
-- what becomes of memory, and errors of the core's face.
local core = require "rlhf.core"
local models = require "rlhf.model"
local fixtures = require "support.fixtures"

local kinds = {
  gpt2 = {arch = "gpt2", layers = 2, dim = 24, heads = 3, vocab = 50, context = 700, seed = 1, deviation = 0.3},
  llama = {arch = "llama", layers = 2, dim = 24, heads = 6, kv_heads = 2, vocab = 50, context = 64, seed = 2, deviation = 0.3},
}

local function ids_of(n, seed)
  local out = {}
  for i = 1, n do out[i] = (i * i * 7 + i * seed) % 50 end
  return out
end

-- Row r of a tensor as a list.
local function row(t, r) return t[r]:totable() end

for name, options in pairs(kinds) do
  describe("a session of " .. name, function()
    local model
    setup(function() model = models.make(options):freeze() end)
    teardown(function()
      model = nil
      collectgarbage()
    end)

    -- Feeds one sequence in pieces of these lengths; logits behind each piece equal the whole forward's.
    local function check_pieces(pieces)
      local scope <close> = core.scope()
      local total, at = 0, 0
      for _, n in ipairs(pieces) do total = total + n end
      local ids = ids_of(total, 3)
      local whole = model:logits(ids)
      local session <close> = core.session(model.decoder, 1, {})
      for _, n in ipairs(pieces) do
        session:feed({1}, {table.move(ids, at + 1, at + n, 1, {})})
        at = at + n
        local logits = session:logits()
        fixtures.close(row(logits, 1), row(whole, at), 1e-4, "logits behind token " .. at)
      end
    end

    it("goes on token by token, over pages", function()
      local ones = {7}
      for i = 2, 60 do ones[i] = 1 end
      check_pieces(ones)
    end)

    it("goes on by pieces, and takes prompts longer than a chunk", function()
      check_pieces {40, 1, 25, 2, 32}
      check_pieces {600, 1, 3}
      check_pieces {1, 1, 650}
    end)

    it("takes ragged prompts as each alone, and slots in any order", function()
      local scope <close> = core.scope()
      local prompts = {ids_of(5, 1), ids_of(1, 2), ids_of(300, 3), ids_of(33, 4), ids_of(300, 5)}
      local session <close> = core.session(model.decoder, 6, {})
      session:feed({4, 2, 6, 1, 3}, prompts)
      local logits = session:logits()
      for i, ids in ipairs(prompts) do
        fixtures.close(row(logits, i), row(model:logits(ids), #ids), 1e-4, "prompt " .. i)
      end
      session:finish(6)
      session:feed({3, 6, 4}, {9, ids_of(3, 8), 11})
      logits = session:logits()
      local five = ids_of(300, 5)
      five[301] = 9
      fixtures.close(row(logits, 1), row(model:logits(five), 301), 1e-4, "goes on")
      fixtures.close(row(logits, 2), row(model:logits(ids_of(3, 8)), 3), 1e-4, "begins anew")
    end)

    it("gives the same bits with any number of threads", function()
      local threads = core.threads()
      local function run()
        return (model:generate({ids_of(80, 1), ids_of(3, 2), ids_of(9, 3)}, {max_new_tokens = 30, stop = {}, top_p = 0.9}))
      end
      core.threads(1)
      local one = run()
      core.threads(2)
      local two = run()
      core.threads(threads)
      assert.same(one, two)
    end)

    it("leaves sequences as they were when memory fails", function()
      local scope <close> = core.scope()
      local prompt = ids_of(40, 1)
      local want = row(model:logits(prompt), 40)
      for n = 1, 200 do
        local session <close> = core.session(model.decoder, 2, {})
        session:feed({1}, {table.move(prompt, 1, 30, 1, {})})
        core.debug.fail_alloc(n, true)
        local ok = pcall(session.feed, session, {1, 2}, {table.move(prompt, 31, 40, 1, {}), {4, 5}})
        core.debug.fail_alloc(0)
        if not ok then session:feed({1, 2}, {table.move(prompt, 31, 40, 1, {}), {4, 5}}) end
        fixtures.close(row(session:logits(), 1), want, 1e-4, "n = " .. n)
        if ok then return end
      end
      error "never ran to its end"
    end)
  end)
end

describe("a session", function()
  local model
  setup(function() model = models.make(kinds.gpt2):freeze() end)
  teardown(function()
    model = nil
    collectgarbage()
  end)

  it("#limits: asks the system for nothing after the first generation, and keeps nothing", function()
    local function run()
      model:generate({ids_of(70, 1), ids_of(5, 2)}, {max_new_tokens = 50, stop = {}})
      collectgarbage()
      collectgarbage()
    end
    run()
    local before = core.memory()
    for _ = 1, 3 do run() end
    local after = core.memory()
    assert.equal(before.blocks, after.blocks)
    assert.equal(before.in_use, after.in_use)
    assert.equal(before.system_calls, after.system_calls)
  end)

  it("says what is wrong", function()
    local session <close> = core.session(model.decoder, 2, {})
    local fails = assert.error_matches
    local function feed(slots, tokens) return function() session:feed(slots, tokens) end end
    fails(feed({3}, {1}), "slot 3: 1 to 2 wanted")
    fails(feed({1, 1}, {1, 2}), "slot 1 is named twice")
    fails(feed({1}, {{}}), "slot 1: no tokens")
    fails(feed({1}, {50}), "token id 50: 0 to 49 wanted")
    fails(feed({1}, {-1}), "token id %-1")
    fails(feed({1}, {"a"}), "token id expected, got string")
    fails(feed({1}, {}), "token id expected, got nil")
    fails(feed({1}, {ids_of(701, 1)}), "701 tokens, the context is 700")
    fails(function() session:sample({1}, {0}) end, "of 0 sequences wanted")
    fails(function() session:finish(3) end, "no such slot")
    fails(function() core.session(model.decoder, 0, {}) end, "slots: 1 to")
    session:close()
    fails(feed({1}, {1}), "closed session")
  end)

  it("outlives no decoder", function()
    local other = models.make(kinds.llama)
    local session <close> = core.session(other.decoder, 1, {})
    session:feed({1}, {1})
    other.decoder:close()
    assert.error_matches(function() session:feed({1}, {1}) end, "closed decoder")
  end)
end)
