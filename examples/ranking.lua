-- The case that explains reward models: one prompt, three responses, and a person who ranks them A > B > C.
-- A small reward model that scores them the other way round (0.4, 0.5, 0.6) has a loss of 0.76; trained on the three
-- pairs until it agrees with the person, it has a loss of 0.49 or less.
-- Usage: lua5.4 examples/ranking.lua
local rlhf = require "rlhf"
local optim = require "rlhf.optim"

local prompt = "Why is the sky blue?"
local responses = {
  A = "Air scatters blue light more than red light, so blue reaches us from everywhere.",
  B = "Because of the light of the sun.",
  C = "It just is.",
}
local names, ranking = {"A", "B", "C"}, {1, 2, 3} -- smaller is better

-- A tiny model that reads bytes; its scores lie between 0 and 1.
local base = rlhf.model {layers = 2, dim = 32, heads = 4, vocab = 256, context = 128, seed = 1}
local rm = rlhf.reward_model(base, {pooling = "mean", seed = 1})
local items = {}
for i, name in ipairs(names) do items[i] = {(prompt .. "\n" .. responses[name]):byte(1, -1)} end

local function show(title, loss)
  local scores = rm:score(items):totable()
  local order = {1, 2, 3}
  table.sort(order, function(a, b) return scores[a] > scores[b] end)
  print(("%-34s A %.3f  B %.3f  C %.3f   order %s > %s > %s   loss %.4f"):format(title, scores[1], scores[2], scores[3],
    names[order[1]], names[order[2]], names[order[3]], loss))
  return table.concat {names[order[1]], names[order[2]], names[order[3]]}
end

-- First the wrong opinion: scores 0.4, 0.5, 0.6.
local opt = optim.adamw(rm:parameters(), {lr = 1e-3, weight_decay = 0})
local wanted = rlhf.tensor {0.4, 0.5, 0.6}
for _ = 1, 400 do
  local scope <close> = rlhf.scope()
  local loss = rlhf.mse_loss(rm:score(items), wanted)
  loss:backward()
  opt:step()
  if loss:item() < 1e-8 then break end
end
local before = rlhf.loss.ranking(rm:score(items), {ranking}):item()
local order_before = show("fitted to the wrong opinion:", before)

-- Then what the person said: the pairs (A, B), (A, C), (B, C).
local loss, steps
for step = 1, 2000 do
  local scope <close> = rlhf.scope()
  local scores = rm:score(items)
  local l = rlhf.loss.ranking(scores, {ranking})
  loss, steps = l:item(), step
  local s = scores:totable()
  if loss <= 0.49 and s[1] > s[2] and s[2] > s[3] then break end
  l:backward()
  opt:step(1e-4)
end
local order_after = show(("after %d steps on three pairs:"):format(steps - 1), loss)

assert(order_before == "CBA" and math.abs(before - 0.76) < 0.005)
assert(order_after == "ABC" and loss <= 0.49)
