-- Facts about sort and topk (c/ops/sort.c): stable, nan last, both ways of sorting agree.
local rlhf = require "rlhf"
local values = require "support.values"

local nan = 0 / 0

-- Lua's own: indices from 0, stable by construction
local function sorted(data, descending)
  local order = {}
  for i = 1, #data do order[i] = i end
  table.sort(order, function(a, b)
    if data[a] ~= data[b] then return (data[a] < data[b]) ~= descending end
    return a < b
  end)
  local value, index = {}, {}
  for i, at in ipairs(order) do value[i], index[i] = data[at], at - 1 end
  return value, index
end

describe("sort", function()
  it("agrees with table.sort on short and long lines full of ties", function()
    for _, n in ipairs {1, 2, 7, 48, 49, 1000} do
      local data = {}
      for i = 1, n do data[i] = values.f32((i * 7919 % 61 - 30) / 7) end
      for _, descending in ipairs {false, true} do
        local want, want_at = sorted(data, descending)
        local value, at = rlhf.tensor(data):sort{descending = descending}
        assert.same(want, value:totable())
        assert.same(want_at, at:totable())
      end
    end
  end)

  it("keeps equal elements as they stood, 0 and -0 among them", function()
    local x = rlhf.tensor{2, 0, -0.0, 2, 0}
    assert.same({1, 2, 4, 0, 3}, select(2, x:sort()):totable())
    assert.same({0, 3, 1, 2, 4}, select(2, x:sort{descending = true}):totable())
  end)

  it("puts nan behind inf, first when descending", function()
    local x = rlhf.tensor{nan, 1, math.huge, -math.huge, nan}
    assert.same({3, 1, 2, 0, 4}, select(2, x:sort()):totable())
    assert.same({0, 4, 2, 1, 3}, select(2, x:sort{descending = true}):totable())
  end)

  it("goes along any dimension", function()
    local value, at = rlhf.tensor{{3, 1}, {2, 5}, {1, 3}}:sort(1)
    assert.same({{1, 1}, {2, 3}, {3, 5}}, value:totable())
    assert.same({{2, 0}, {1, 2}, {0, 1}}, at:totable())
  end)

  it("takes what is empty or a scalar", function()
    assert.same({2, 0}, (rlhf.zeros{2, 0}:sort()):shape())
    local value, at = rlhf.tensor(4.0):sort()
    assert.equal(4, value:item())
    assert.equal(0, at:item())
  end)
end)

describe("topk", function()
  it("is the beginning of a descending sort, ties included, for every k", function()
    local x = rlhf.randn({3, 200}, {seed = 5})
    x = rlhf.cat({x, x}, 2)
    local all, all_at = x:sort{descending = true}
    for _, k in ipairs {0, 1, 2, 30, 49, 50, 60, 399, 400} do
      local value, at = x:topk(k)
      assert.same(values.flat(all:slice(2, 1, k)), values.flat(value))
      assert.same(values.flat(all_at:slice(2, 1, k)), values.flat(at))
    end
  end)

  it("sends the gradient to what it took", function()
    local x = rlhf.tensor{5, 1, 4, 3}:requires_grad();
    (x:topk(2) * rlhf.tensor{10, 20}):sum():backward()
    assert.same({10, 0, 20, 0}, x:grad():totable())
  end)

  it("refuses a k that is not there", function()
    local x = rlhf.tensor{1, 2, 3}
    assert.error_matches(function() return x:topk(4) end, "k = 4 of 3 elements along the dimension")
    assert.error_matches(function() return x:topk(-1) end, "k = %-1 of 3 elements")
    assert.error_matches(function() return x:topk() end, "k wanted")
  end)
end)
