local rlhf = require "rlhf"
local optim = require "rlhf.optim"

-- A leaf whose gradient is exactly the given numbers: d/dx sum(x * g) = g.
local function with_gradient(leaf, g) (leaf * rlhf.tensor(g)):sum():backward() end

local function close(want, got, tolerance)
  for i, w in ipairs(want) do assert.near(w, got[i], tolerance or 1e-6) end
end

describe("adamw", function()
  it("takes a first step of the size of the rate, whatever the gradient's size", function()
    local p = rlhf.tensor {1, 2, 3}:requires_grad()
    local opt = optim.adamw({p}, {lr = 0.1})
    with_gradient(p, {1e-3, -50, 2})
    assert.is_true(opt:step())
    close({0.9, 2.1, 2.9}, p:totable(), 2e-6)
  end)

  it("decays matrices apart from the gradient, and leaves biases alone", function()
    local w, b = rlhf.tensor {{2, 2}}:requires_grad(), rlhf.tensor {2, 2}:requires_grad()
    local opt = optim.adamw({w, b}, {lr = 0.5, weight_decay = 0.1, eps = 1})
    with_gradient(w, {{0, 0}})
    with_gradient(b, {0, 0})
    opt:step()
    close({1.9, 1.9}, w:totable()[1])
    close({2, 2}, b:totable())
  end)

  it("lets a group have its own rate and decay", function()
    local a, b = rlhf.tensor {1}:requires_grad(), rlhf.tensor {1}:requires_grad()
    local opt = optim.adamw({{params = {a}}, {params = {b}, lr = 0.2, weight_decay = 0.5}}, {lr = 0.1})
    with_gradient(a, {1})
    with_gradient(b, {1})
    opt:step(0.05) -- half the rate: b's halves with it
    close({0.95}, a:totable(), 2e-6)
    close({1 - 0.1 * 0.5 - 0.1}, b:totable(), 2e-6)
  end)

  it("clears the gradients with the step and leaves parameters without gradient alone", function()
    local a, b = rlhf.tensor {1}:requires_grad(), rlhf.tensor {1}:requires_grad()
    local opt = optim.adamw({a, b}, {lr = 0.1})
    with_gradient(a, {1})
    opt:step()
    assert.is_nil(a:grad())
    close({1}, b:totable(), 0)
    assert.are.same({1, 0}, opt:state().steps)
  end)

  it("clips by the global norm, and what is read afterwards is scaled", function()
    local a, b = rlhf.tensor {0, 0}:requires_grad(), rlhf.tensor {0}:requires_grad()
    local opt = optim.adamw {a, b}
    with_gradient(a, {3, 0})
    with_gradient(b, {4})
    assert.near(5, opt:clip(1), 1e-6)
    close({0.6, 0}, a:grad():totable())
    assert.near(1, opt:clip(10), 1e-6)
    close({0.8}, b:grad():totable())
    with_gradient(b, {1}) -- adds to the scaled one
    close({1.8}, b:grad():totable())
  end)

  it("skips a step whose gradient isn't finite, and says which", function()
    local a, b = rlhf.tensor {1}:requires_grad(), rlhf.tensor {1, 2}:requires_grad()
    local opt = optim.adamw {a, b}
    with_gradient(a, {1})
    with_gradient(b, {0 / 0, 1})
    local ok, reason = opt:step()
    assert.is_nil(ok)
    assert.are.equal("the gradient of parameter 2 [2] is not finite: step skipped", reason)
    close({1}, a:totable(), 0)
    assert.is_nil(a:grad())
    assert.are.same({0, 0}, opt:state().steps)
  end)

  it("sees a gradient that went bad after clipping", function()
    local a = rlhf.tensor {1}:requires_grad()
    local opt = optim.adamw {a}
    with_gradient(a, {1})
    opt:clip(1)
    with_gradient(a, {math.huge})
    assert.is_nil((opt:step()))
    close({1}, a:totable(), 0)
  end)

  it("continues from a saved state to the same bits", function()
    local function run(steps, p, opt)
      for i = steps[1], steps[2] do
        with_gradient(p, {math.sin(i), math.cos(i)})
        opt:step()
      end
    end
    local p = rlhf.tensor {1, 2}:requires_grad()
    local opt = optim.adamw({p}, {lr = 0.1})
    run({1, 6}, p, opt)
    local q = rlhf.tensor {1, 2}:requires_grad()
    local first = optim.adamw({q}, {lr = 0.1})
    run({1, 3}, q, first)
    local second = optim.adamw({q}, {lr = 0.1})
    second:load_state(first:state())
    run({4, 6}, q, second)
    assert.are.same(p:totable(), q:totable())
  end)

  it("works across pieces of more than 65,536 numbers", function()
    local n = 200001
    local p = rlhf.zeros {n}:requires_grad()
    local opt = optim.adamw({p}, {lr = 0.1})
    p:sum():backward()
    assert.near(math.sqrt(n), opt:clip(1e9), 1e-3)
    opt:step()
    assert.near(-0.1 * n, p:sum():item(), 1)
    assert.near(-0.1, p[n]:item(), 1e-6)
  end)

  it("names what is wrong", function()
    local p = rlhf.tensor {1}:requires_grad()
    local function message(...) return select(2, pcall(optim.adamw, ...)) end
    assert.matches("no parameters", message {}, 1, true)
    assert.matches("parameter 2 is parameter 1 again", message {p, p}, 1, true)
    assert.matches("parameter 1: a leaf that requires a gradient wanted", message {rlhf.tensor {1}}, 1, true)
    assert.matches("did you mean 'lr'", message({p}, {lrr = 1}), 1, true)
    assert.matches("betas[2]: a number from 0 to below 1 wanted, got 1", message({p}, {betas = {0.9, 1}}), 1, true)
    local opt = optim.adamw {p}
    opt:close()
    assert.matches("attempt to use a closed optimizer", select(2, pcall(opt.step, opt)), 1, true)
  end)
end)
