-- rlhf.matmul: torch.matmul's shapes, views without copies, gradients of what was broadcast.
local op_fixtures = require "support.op_fixtures"
local rlhf = require "rlhf"
local values = require "support.values"

describe("fixtures", function()
  local calls = {
    matmul = function(x, _, name)
      if name ~= "matmul/transposed" then return x.a:matmul(x.b) end
      return x.a:transpose(-1, -2):matmul(x.b:transpose(-1, -2))
    end,
  }
  for name, test in op_fixtures("ops/linear_algebra.json", calls) do it(name, test) end
end)

local function random(shape, seed) return rlhf.randn(shape, {seed = seed}) end

local function same(got, want, tolerance)
  local g, w = values.flat(got), values.flat(want)
  assert.same(want:shape(), got:shape())
  for i = 1, #w do assert.near(w[i], g[i], tolerance or 1e-5) end
end

describe("matmul", function()
  it("takes vectors as a row on the left and a column on the right", function()
    local v, w, m = rlhf.tensor{1, 2, 3}, rlhf.tensor{4, 5, 6}, rlhf.tensor{{1, 2, 3}, {4, 5, 6}}
    assert.equal(32, v:matmul(w):item())
    assert.same({}, v:matmul(w):shape())
    assert.same({32, 77}, m:matmul(w):totable())
    assert.same({9, 12, 15}, rlhf.tensor{1, 2}:matmul(m):totable())
    assert.same({2, 3}, v:matmul(random({2, 3, 3}, 1)):shape())
  end)

  it("reads views of any strides", function()
    local base = random({6, 8, 10}, 1)
    local b = random({10, 4}, 2)
    same(base:slice{dim = 2, start = 1, stop = 8, step = 2}:matmul(b),
         base:slice{dim = 2, start = 1, stop = 8, step = 2}:clone():matmul(b))
    local columns = base:slice{dim = 3, start = 2, stop = 10, step = 2}
    same(columns:matmul(random({5, 4}, 3)), columns:clone():matmul(random({5, 4}, 3)))
    local permuted = base:permute{2, 3, 1}
    same(permuted:matmul(random({6, 4}, 4)), permuted:clone():matmul(random({6, 4}, 4)))
    local expanded = random({1, 5}, 5):expand{3, 5}
    same(expanded:matmul(random({5, 2}, 6)), expanded:clone():matmul(random({5, 2}, 6)))
    same(random({2, 5}, 6):matmul(expanded:transpose(1, 2)), random({2, 5}, 6):matmul(expanded:clone():transpose(1, 2)))
  end)

  it("sums the gradient of a broadcast operand over the batch", function()
    local a = random({3, 1, 2, 5}, 1):requires_grad()
    local b = random({4, 5, 2}, 2):requires_grad()
    a:matmul(b):backward(rlhf.ones{3, 4, 2, 2})
    local da, db = a:grad(), b:grad()
    local want_a, want_b = rlhf.zeros{3, 1, 2, 5}:totable(), rlhf.zeros{4, 5, 2}:totable()
    local ta, tb = a:totable(), b:totable()
    for i = 1, 3 do for j = 1, 4 do for r = 1, 2 do for c = 1, 2 do for p = 1, 5 do
      want_a[i][1][r][p] = want_a[i][1][r][p] + tb[j][p][c]
      want_b[j][p][c] = want_b[j][p][c] + ta[i][1][r][p]
    end end end end end
    same(da, rlhf.tensor(want_a))
    same(db, rlhf.tensor(want_b))
  end)

  it("writes zeros for the gradient over an empty batch", function()
    local a, b = rlhf.zeros{0, 2, 3}:requires_grad(), random({3, 2}, 1):requires_grad()
    a:matmul(b):backward(rlhf.zeros{0, 2, 2})
    assert.same({{0, 0}, {0, 0}, {0, 0}}, b:grad():totable())
  end)

  it("gives one result whether a batch is folded into rows or not", function()
    local x, w = random({7, 9, 5}, 1), random({5, 6}, 2)
    local whole = x:matmul(w)
    for i = 1, 7 do same(whole[i], x[i]:matmul(w)) end
  end)

  it("says what does not fit", function()
    local a = rlhf.zeros{2, 3}
    assert.error_matches(function() a:matmul(rlhf.zeros{2, 3}) end, "%[2,3%] x %[2,3%]: inner sizes 3 and 2 differ")
    assert.error_matches(function() a:matmul(rlhf.tensor(1)) end, "at least 1 dimension wanted, got a scalar")
    assert.error_matches(function() rlhf.zeros{2, 2, 3}:matmul(rlhf.zeros{3, 3, 3}) end,
                         "%[2%] and %[3%] do not broadcast")
    assert.error_matches(function() a:matmul(rlhf.zeros({3, 2}, {dtype = "i64"})) end, "f32 wanted, got i64")
  end)
end)
