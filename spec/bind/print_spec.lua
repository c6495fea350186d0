-- c/bind/b_print.c: the text of tensors.
local rlhf = require "rlhf"

describe("tostring", function()
  it("shows what it is and its values", function()
    assert.equal("tensor f32 [2,3]\n{{  1,   2,   3},\n {  4, 5.5,   6}}", tostring(rlhf.tensor {{1, 2, 3}, {4, 5.5, 6}}))
    assert.equal("tensor f32 [] 2.5", tostring(rlhf.tensor(2.5)))
    assert.equal("tensor i64 [2] {-7, 12}", tostring(rlhf.tensor({-7, 12}, {dtype = "i64"})))
    assert.equal("tensor bool [2] { true, false}", tostring(rlhf.tensor({true, false}, {dtype = "bool"})))
    assert.equal("tensor f32 [0] {}", tostring(rlhf.tensor {}))
    assert.equal("tensor f32 [2,0]\n{{},\n {}}", tostring(rlhf.zeros(2, 0)))
    assert.equal("tensor f32 [2,1,2]\n{{{1, 2}},\n {{3, 4}}}", tostring(rlhf.tensor {{{1, 2}}, {{3, 4}}}))
  end)

  it("has 4 significant digits, nan and inf", function()
    assert.equal("tensor f32 [6] {    3.142, 1.235e+06,       nan,       inf,      -inf,  1.23e-07}",
      tostring(rlhf.tensor {math.pi, 1234567, 0 / 0, math.huge, -math.huge, 1.23e-7}))
    assert.equal("tensor f32 [] nan", tostring(rlhf.tensor(-(0 / 0))))
  end)

  it("follows strides", function()
    assert.equal("tensor f32 [2,2]\n{{1, 3},\n {2, 4}}", tostring(rlhf.tensor {{1, 2}, {3, 4}}:transpose()))
  end)

  it("leaves out the middle of what is large", function()
    assert.equal("tensor f32 [101] {  0,   1,   2, ...,  98,  99, 100}", tostring(rlhf.arange(101)))
    local row = "{0, 0, 0, ..., 0, 0, 0}"
    assert.equal("tensor f32 [20,20]\n{" .. row .. (",\n " .. row):rep(2) .. ",\n ...\n " .. row .. (",\n " .. row):rep(2) .. "}",
      tostring(rlhf.zeros(20, 20)))
    assert.is_true(#tostring(rlhf.zeros(9, 9, 9, 9, 9, 9, 9)) < 4000)
    assert.equal(100, select(2, tostring(rlhf.ones(10, 10)):gsub("1[,}]", "")))
  end)

  it("shows gradients and the row that made it", function()
    local w = rlhf.ones(1):requires_grad()
    assert.equal("tensor f32 [1] requires_grad {1}", tostring(w))
    assert.equal("tensor f32 [] requires_grad by 'sum' 1", tostring(w:sum()))
  end)

  it("joins with other text", function()
    assert.equal("loss tensor f32 [] 1!", "loss " .. rlhf.tensor(1) .. "!")
  end)

  it("leaves no memory behind", function()
    local x = rlhf.ones(3)
    collectgarbage()
    local before = rlhf.debug.blocks()
    local text = tostring(x) .. #x:totable()
    assert.is_truthy(text)
    assert.equal(before, rlhf.debug.blocks())
  end)
end)
