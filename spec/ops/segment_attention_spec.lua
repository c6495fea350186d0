-- The row segment_attention: trees of segments against the sequences that they stand for, against the plain
-- loop of support/attention.lua, and what it says of segments that are none.
local fixtures = require "support.fixtures"
local plain = require "support.attention"
local values = require "support.values"
local rlhf = require "rlhf"
local core = require "rlhf.core"

local attention, segment_attention = core.ops.attention, core.ops.segment_attention

local function randn(shape, seed) return rlhf.randn(shape, {seed = seed}) end
local function segments_of(list) return rlhf.tensor(list, {dtype = "i64"}) end

local function inputs(N, H, G, D)
  return {q = randn({N, H, D}, 1), k = randn({N, G, D}, 2), v = randn({N, G, D}, 3), dout = randn({N, H, D}, 4)}
end

-- out, dq, dk, dv of the row
local function run(x, segments, options)
  local q, k, v = x.q:detach():requires_grad(), x.k:detach():requires_grad(), x.v:detach():requires_grad()
  local out = segment_attention(q, k, v, segments and segments_of(segments), options or {})
  out:backward(x.dout)
  return {out = out:detach(), dq = q:grad(), dk = k:grad(), dv = v:grad()}
end

local function check(x, segments, options)
  local got = run(x, segments, options)
  local want = plain.reference(x, plain.seen(segments, options.window), options)
  for name, list in pairs(want) do
    fixtures.close(values.flat(got[name]), list, 1e-5, name)
  end
end

-- Rows of the ranges {first, count}, counted from 0, one after another.
local function gather(t, ranges)
  local shape, total, at = t:shape(), 0, 0
  for _, r in ipairs(ranges) do total = total + r[2] end
  local out = rlhf.zeros {total, shape[2], shape[3]}
  for _, r in ipairs(ranges) do
    for i = 1, r[2] do out[at + i]:copy_(t[r[1] + i]) end
    at = at + r[2]
  end
  return out
end

-- [T,H,D] -> [1,H,T,D]
local function by_heads(t)
  local T, H, D = table.unpack(t:shape())
  local out = rlhf.zeros {1, H, T, D}
  for h = 1, H do
    for i = 1, T do out[1][h][i]:copy_(t[i][h]) end
  end
  return out
end

describe("segment_attention", function()
  it("keeps segments without parents apart, as calls of attention", function()
    local x, lengths = inputs(9, 4, 2, 6), {4, 0, 1, 4}
    local segments, at = {}, 0
    for i, n in ipairs(lengths) do
      segments[i] = {at, n, -1}
      at = at + n
    end
    local out = run(x, segments).out
    for _, s in ipairs(segments) do
      local range = {{s[1], s[2]}}
      local alone = attention(by_heads(gather(x.q, range)), by_heads(gather(x.k, range)), by_heads(gather(x.v, range)))
      fixtures.close(by_heads(gather(out, range)), alone, 1e-6, "segment at " .. s[1])
    end
  end)

  it("gives a prompt with three responses what three sequences give", function()
    local tree = {{0, 70, -1}, {70, 5, 0}, {75, 90, 0}, {165, 1, 0}}
    local x = inputs(166, 4, 2, 6)
    local got = run(x, tree)
    local prompt_dk, prompt_dq
    for i = 2, 4 do
      local ranges = {{0, 70}, {tree[i][1], tree[i][2]}}
      local part = {}
      for name, t in pairs(x) do part[name] = gather(t, ranges) end
      if i > 2 then -- the prompt's own outputs count once
        for t = 1, 70 do part.dout[t]:fill_(0) end
      end
      local one = run(part)
      local tail = {{70, tree[i][2]}}
      for _, name in ipairs {"out", "dq", "dk", "dv"} do
        fixtures.close(gather(one[name], tail), gather(got[name], {ranges[2]}), 2e-6, name)
      end
      local dk, dq = gather(one.dk, {{0, 70}}), gather(one.dq, {{0, 70}})
      prompt_dk, prompt_dq = prompt_dk and prompt_dk + dk or dk, prompt_dq and prompt_dq + dq or dq
    end
    fixtures.close(gather(got.dk, {{0, 70}}), prompt_dk, 1e-5, "dk of the prompt")
    fixtures.close(gather(got.dq, {{0, 70}}), prompt_dq, 1e-5, "dq of the prompt")
  end)

  it("follows trees of any depth, wherever their segments lie", function()
    local tree = {{60, 40, -1}, {0, 30, 0}, {150, 20, -1}, {100, 50, 1}, {30, 30, 3}, {170, 0, 3}, {170, 9, 5}, {179, 3, 2}}
    for _, options in ipairs {{}, {window = 33}, {window = 7, softcap = 1.3, scale = 0.6}} do
      check(inputs(182, 6, 2, 5), tree, options)
    end
  end)

  it("is right over several tiles of a long sequence, alone and with others", function()
    check(inputs(700, 2, 1, 4), {{0, 700, -1}}, {})
    check(inputs(640, 1, 1, 3), {{0, 300, -1}, {300, 330, 0}, {630, 10, -1}}, {window = 290})
  end)

  it("takes all tokens as one segment where none are given", function()
    local x = inputs(7, 2, 1, 4)
    assert.same(values.flat(run(x, {{0, 7, -1}}).out), values.flat(run(x).out))
  end)

  it("adds to gradients that are there", function()
    local x = inputs(6, 2, 1, 4)
    local q, k, v = x.q:requires_grad(), x.k:requires_grad(), x.v:requires_grad()
    for _ = 1, 2 do segment_attention(q, k, v):backward(x.dout) end
    local once = run {q = x.q:detach(), k = x.k:detach(), v = x.v:detach(), dout = x.dout}
    fixtures.close(q:grad(), once.dq * 2, 1e-6, "dq")
    fixtures.close(k:grad(), once.dk * 2, 1e-6, "dk")
    fixtures.close(v:grad(), once.dv * 2, 1e-6, "dv")
  end)

  it("has gradients that differences of forward confirm", function()
    local tree = segments_of {{0, 3, -1}, {3, 2, 0}, {5, 3, 0}, {8, 2, 2}}
    local x = inputs(10, 4, 2, 3)
    for _, options in ipairs {{}, {window = 3}, {softcap = 0.9, scale = 0.8}} do
      assert(rlhf.gradcheck(function(q, k, v) return segment_attention(q, k, v, tree, options) end, {x.q, x.k, x.v}))
    end
  end)

  it("gives the same bits with any number of threads", function()
    local before = rlhf.threads()
    local tree, x = {{0, 300, -1}, {300, 80, 0}, {380, 20, -1}}, inputs(400, 2, 1, 8)
    finally(function() rlhf.threads(before) end)
    rlhf.threads(1)
    local one = run(x, tree)
    for _, n in ipairs {2, 3} do
      rlhf.threads(n)
      local more = run(x, tree)
      for name, t in pairs(one) do assert.same(values.flat(t), values.flat(more[name]), name) end
    end
  end)

  it("names what is wrong with segments", function()
    local x = inputs(6, 4, 2, 3)
    local function fails(text, list)
      local ok, message = pcall(segment_attention, x.q, x.k, x.v, segments_of(list))
      assert.is_false(ok)
      assert.is_truthy(message:find(text, 1, true), message)
      assert.is_truthy(message:find("#4", 1, true), message)
    end
    fails("segment 1: begin 4, length 3 is outside the batch of 6 tokens", {{0, 4, -1}, {4, 3, -1}})
    fails("segment 0: begin -1, length 6 is outside", {{-1, 6, -1}})
    fails("segment 0: begin 0, length -6 is outside", {{0, -6, -1}})
    fails("segment 0: begin 1, length 9223372036854775807 is outside", {{1, math.maxinteger, -1}})
    fails("segments 0 and 1 overlap: both hold token 3", {{0, 4, -1}, {3, 3, -1}})
    fails("token 4 of 6 is in no segment", {{0, 4, -1}, {5, 1, -1}})
    fails("segment 0: parent 0; an earlier segment or -1 wanted", {{0, 6, 0}})
    fails("segment 0: parent 1; an earlier segment or -1 wanted", {{0, 3, 1}, {3, 3, 0}})
    fails("segment 0: parent -2; an earlier segment or -1 wanted", {{0, 6, -2}})
    fails("size 3 wanted at dimension 2, got [1,2]", {{0, 6}})
  end)

  it("names tensors that do not fit", function()
    local function fails(text, ...)
      local ok, message = pcall(segment_attention, ...)
      assert.is_false(ok)
      assert.is_truthy(message:find(text, 1, true), message)
    end
    local q, k = rlhf.zeros {6, 4, 3}, rlhf.zeros {6, 2, 3}
    fails("size 6 wanted at dimension 1, got [5,2,3]", q, rlhf.zeros {5, 2, 3}, k)
    fails("k has 3 heads, q 4: no multiple of k's", q, rlhf.zeros {6, 3, 3}, k)
    fails("v is [6,1,3], k [6,2,3]: the same shape wanted", q, k, rlhf.zeros {6, 1, 3})
    fails("window: 1 or more wanted, got -1", q, k, k, {window = -1})
    fails("token 0 of 6 is in no segment", q, k, k, rlhf.zeros({0, 3}, {dtype = "i64"}))
  end)
end)
