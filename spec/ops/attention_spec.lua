-- The row attention: reference data, what sees nothing, grouped heads, the decoding path, messages.
-- segment_attention_spec.lua has the ragged batches.
local fixtures = require "support.fixtures"
local values = require "support.values"
local rlhf = require "rlhf"
local core = require "rlhf.core"

local attention = core.ops.attention

local function randn(shape, seed) return rlhf.randn(shape, {seed = seed}) end

-- q, k, v as leaves: [B,H,T,D], [B,G,S,D]
local function leaves(B, H, T, G, S, D)
  return randn({B, H, T, D}, 1):requires_grad(), randn({B, G, S, D}, 2):requires_grad(),
    randn({B, G, S, D}, 3):requires_grad()
end

local function all_zero(t)
  for _, x in ipairs(values.flat(t)) do
    if x ~= 0 then return false end
  end
  return true
end

describe("attention", function()
  it("equals PyTorch's values and gradients", function()
    if not fixtures.folder() then return pending(fixtures.missing) end
    local n = 0
    for _, case in ipairs(fixtures.json("ops/network.json").cases) do
      if case.op == "attention" then
        local x = {}
        for name, t in pairs(case.inputs) do x[name] = fixtures.tensor(t) end
        x.q:requires_grad() x.k:requires_grad() x.v:requires_grad()
        local out = attention(x.q, x.k, x.v, x.mask, case.attrs)
        fixtures.close(out, case.outputs.out, 1e-5, case.name)
        out:backward(fixtures.tensor(case.upstream.out))
        for name, want in pairs(case.grads) do
          fixtures.close(x[name]:grad(), want, 1e-5, case.name .. " gradient of " .. name)
        end
        n = n + 1
      end
    end
    assert.is_true(n >= 9)
  end)

  it("gives 0, and gradients of 0, to a query that sees no key", function()
    local q, k, v = leaves(2, 2, 3, 1, 3, 4)
    local mask = rlhf.tensor({{0, 0, 0}, {0, 1, 1}}, {dtype = "i64"})
    local out = attention(q, k, v, mask)
    assert.is_true(all_zero(out[1]))
    assert.is_true(all_zero(out[2][1][1]))
    assert.is_false(all_zero(out[2][1][2]))
    out:backward(rlhf.ones {2, 2, 3, 4})
    assert.is_true(all_zero(q:grad()[1]) and all_zero(k:grad()[1]) and all_zero(v:grad()[1]))
    assert.is_true(all_zero(q:grad()[2][1][1]))
    assert.is_false(all_zero(v:grad()[2]))
  end)

  it("lets queries that stand before the first key see nothing", function()
    local q, k, v = leaves(1, 1, 4, 1, 2, 3)
    local out = attention(q, k, v)
    assert.is_true(all_zero(out[1][1][1]) and all_zero(out[1][1][2]))
    fixtures.close(out[1][1][3], v[1][1][1], 1e-6, "one key: its value")
    out:backward(rlhf.ones {1, 1, 4, 3})
    assert.is_true(all_zero(q:grad()[1][1][1]))
  end)

  it("takes sizes of 0", function()
    local q, k, v = leaves(1, 2, 3, 1, 0, 4)
    local out = attention(q, k, v)
    assert.is_true(all_zero(out))
    out:backward(rlhf.ones {1, 2, 3, 4})
    assert.is_true(all_zero(q:grad()))
    local q0, k0, v0 = leaves(1, 2, 0, 1, 3, 4)
    local empty = attention(q0, k0, v0)
    assert.same({1, 2, 0, 4}, empty:shape())
    empty:backward(rlhf.zeros {1, 2, 0, 4})
    assert.is_true(all_zero(k0:grad()) and all_zero(v0:grad()))
  end)

  it("shows a nan in what sees it, and nowhere else", function()
    local q, k, v = randn({1, 1, 3, 2}, 1), randn({1, 1, 3, 2}, 2), randn({1, 1, 3, 2}, 3)
    k[1][1][2][1]:fill_(0 / 0)
    local out = attention(q, k, v)
    local first, second = out[1][1][1]:totable(), out[1][1][2]:totable()
    assert.is_true(first[1] == first[1])
    assert.is_true(second[1] ~= second[1])
  end)

  it("reads one group for several heads as repeated heads would", function()
    local B, H, G, T, D = 2, 6, 2, 70, 5
    local q, k, v = leaves(B, H, T, G, T, D)
    local seed = randn({B, H, T, D}, 4)
    local kr, vr = rlhf.zeros {B, H, T, D}, rlhf.zeros {B, H, T, D}
    for b = 1, B do
      for h = 1, H do
        local g = (h - 1) // (H // G) + 1
        kr[b][h]:copy_(k[b][g]:detach()) vr[b][h]:copy_(v[b][g]:detach())
      end
    end
    local out = attention(q, k, v)
    out:backward(seed)
    local qr = q:detach():clone():requires_grad()
    local repeated = attention(qr, kr:requires_grad(), vr:requires_grad())
    repeated:backward(seed)
    fixtures.close(out, repeated, 1e-6, "values")
    fixtures.close(q:grad(), qr:grad(), 1e-6, "gradient of q")
    for g = 1, G do
      local first = (g - 1) * (H // G) + 1
      local sum = kr:grad()[1][first] + kr:grad()[1][first + 1] + kr:grad()[1][first + 2]
      fixtures.close(k:grad()[1][g], sum, 1e-5, "gradient of k")
    end
  end)

  it("has gradients that differences of forward confirm", function()
    local mask = rlhf.tensor({{1, 0, 1, 1, 1, 1}, {0, 0, 1, 1, 0, 1}}, {dtype = "i64"})
    local x = {randn({2, 4, 5, 3}, 1), randn({2, 2, 6, 3}, 2), randn({2, 2, 6, 3}, 3)}
    for _, options in ipairs {{window = 2}, {softcap = 1.5}, {scale = 0.9, window = 3, softcap = 0.8}} do
      assert(rlhf.gradcheck(function(q, k, v) return attention(q, k, v, options) end, x))
      assert(rlhf.gradcheck(function(q, k, v) return attention(q, k, v, mask, options) end, x))
    end
    assert(rlhf.gradcheck(function(q, k, v) return attention(q, k, v, mask, {causal = false}) end, x))
  end)

  it("decodes one query as it does in training", function()
    for _, options in ipairs {{}, {window = 700}, {softcap = 1.2, scale = 0.5}, {causal = false}} do
      for _, keys in ipairs {1, 255, 1300} do
        local q, k, v = leaves(2, 6, 1, 2, keys, 20)
        local recorded = attention(q, k, v, options)
        local plain = attention(q:detach(), k:detach(), v:detach(), options)
        fixtures.close(plain, recorded, 2e-6, "decoding")
      end
    end
    assert.is_true(all_zero(attention(randn({1, 2, 1, 4}, 1), rlhf.zeros {1, 2, 0, 4}, rlhf.zeros {1, 2, 0, 4})))
  end)

  it("names what does not fit", function()
    local q, k = rlhf.zeros {2, 4, 3, 8}, rlhf.zeros {2, 2, 5, 8}
    local function fails(text, ...)
      local ok, message = pcall(attention, ...)
      assert.is_false(ok)
      assert.is_truthy(message:find(text, 1, true), message)
    end
    fails("4 dimensions wanted, got [4,3]", rlhf.zeros {4, 3}, k, k)
    fails("size 2 wanted at dimension 1, got [1,2,5,8]", q, rlhf.zeros {1, 2, 5, 8}, k)
    fails("size 8 wanted at dimension 4, got [2,2,5,7]", q, rlhf.zeros {2, 2, 5, 7}, k)
    fails("k has 3 heads, q 4: no multiple of k's", q, rlhf.zeros {2, 3, 5, 8}, k)
    fails("k has 0 heads, q 4: no multiple of k's", q, rlhf.zeros {2, 0, 5, 8}, k)
    fails("v is [2,2,4,8], k [2,2,5,8]: the same shape wanted", q, k, rlhf.zeros {2, 2, 4, 8})
    fails("size 5 wanted at dimension 2, got [2,3]", q, k, k, rlhf.zeros({2, 3}, {dtype = "i64"}))
    fails("window: 1 or more wanted, got 0", q, k, k, {window = 0})
    fails("window: needs causal = true", q, k, k, {window = 2, causal = false})
    fails("scale: a finite number wanted, got inf", q, k, k, {scale = math.huge})
    fails("softcap: a finite number above 0 wanted, got 0", q, k, k, {softcap = 0})
  end)
end)
