local schedule = require "rlhf.schedule"

describe("schedule", function()
  it("warms up from 0 and reaches the full rate at the warm-up's end", function()
    for _, name in ipairs {"constant", "linear", "cosine"} do
      local f = schedule[name] {warmup = 4, total = 20}
      assert.are.equal(0, f(0))
      assert.are.equal(0.75, f(3))
      assert.are.equal(1, f(4))
    end
  end)

  it("is halfway at half, and 0 at the end", function()
    assert.are.equal(0.5, schedule.linear {warmup = 4, total = 20}(12))
    assert.near(0.5, schedule.cosine {warmup = 4, total = 20}(12), 1e-15)
    assert.are.equal(0, schedule.linear {total = 20}(20))
    assert.are.equal(0, schedule.linear {total = 20}(23))
    assert.near(0, schedule.cosine {total = 20}(20), 1e-15)
  end)

  it("needs no total to stay constant", function()
    assert.are.equal(1, schedule.constant()(1000))
  end)

  it("names what is wrong", function()
    assert.has_error(function() schedule.linear {warmup = 2} end)
    local ok, message = pcall(schedule.linear, {total = 2.5})
    assert.is_false(ok)
    assert.matches("schedule.linear: total: a number of steps wanted, got 2.5", message, 1, true)
    ok, message = pcall(schedule.cosine, {total = 10, warm = 1})
    assert.is_false(ok)
    assert.matches("warmup", message, 1, true)
  end)
end)
