-- Trains a small language model from scratch on stories, and says whether it has learnt more than trigrams:
--
--   lua5.4 examples/train_lm.lua data=stories.jsonl [arch=llama] [layers=4] [dim=128] [heads=4] [vocab=512]
--                                [context=256] [epochs=8] [lr=3e-3] [tokens=2048] [seed=1] [out=FOLDER]
--
-- data: JSON Lines with a "text" in each row. Every tenth row is held back. Losses are in nats a token, the
-- model's and the trigram model's over the same held-back tokens.
collectgarbage "generational"
local rlhf = require "rlhf"

local options = {arch = "llama", layers = 4, dim = 128, heads = 4, vocab = 512, context = 256, epochs = 8, lr = 3e-3,
                 tokens = 2048, seed = 1}
for _, word in ipairs(arg) do
  local key, value = word:match "^(%w+)=(.+)$"
  if not key then error("KEY=VALUE wanted, got " .. word, 0) end
  options[key] = math.tointeger(tonumber(value)) or tonumber(value) or value
end
assert(options.data, "data=FILE wanted: JSON Lines with a \"text\" in each row")

-- ---- text to ids ----

local function read_texts(path)
  local kept, held, n = {}, {}, 0
  for line in io.lines(path) do
    local row, message = rlhf.json_decode(line)
    n = n + 1
    if not row then error(("%s:%d: %s"):format(path, n, message), 0) end
    table.insert(n % 10 == 0 and held or kept, row.text)
  end
  return kept, held
end

-- A story begins and ends with the tokenizer's bos; what is longer than the context goes on in a piece of its own.
local function pieces_of(texts, tok, context)
  local pieces = {}
  for _, text in ipairs(texts) do
    local ids = tok:encode(text)
    table.insert(ids, 1, tok:bos())
    ids[#ids + 1] = tok:eos()
    for first = 1, #ids - 1, context do
      local last = math.min(#ids, first + context - 1)
      if last > first then pieces[#pieces + 1] = table.move(ids, first, last, 1, {}) end
    end
  end
  return pieces
end

-- ---- the model to beat: trigrams, bigrams, unigrams and 1/V, mixed by weights that EM finds ----

local function count_ngrams(pieces)
  local c = {uni = {}, bi = {}, tri = {}, n = 0, after1 = {}, after2 = {}}
  local function add(t, key) t[key] = (t[key] or 0) + 1 end
  for _, ids in ipairs(pieces) do
    for i = 2, #ids do
      local b, a = ids[i - 1], ids[i - 2] or -1
      c.n = c.n + 1
      add(c.uni, ids[i])
      add(c.after1, b)
      add(c.bi, b << 20 | ids[i])
      add(c.after2, a << 20 | b)
      add(c.tri, (a << 20 | b) << 20 | ids[i])
    end
  end
  return c
end

-- The four models' probabilities of ids[i].
local function chances(c, ids, i, vocab)
  local id, b, a = ids[i], ids[i - 1], ids[i - 2] or -1
  local n1, n2 = c.after1[b], c.after2[a << 20 | b]
  return {(c.tri[(a << 20 | b) << 20 | id] or 0) / (n2 or 1), (c.bi[b << 20 | id] or 0) / (n1 or 1), (c.uni[id] or 0) / c.n, 1 / vocab}
end

-- Mean loss of the mixture, and how much each of its models did: EM's next weights.
local function mixture(c, pieces, weights, vocab)
  local loss, n, share = 0, 0, {0, 0, 0, 0}
  for _, ids in ipairs(pieces) do
    for i = 2, #ids do
      local p, total = chances(c, ids, i, vocab), 0
      for k = 1, 4 do total = total + weights[k] * p[k] end
      for k = 1, 4 do share[k] = share[k] + weights[k] * p[k] / total end
      loss, n = loss - math.log(total), n + 1
    end
  end
  for k = 1, 4 do share[k] = share[k] / n end
  return loss / n, share
end

local function trigram_loss(train, held, vocab)
  local cut = #train * 9 // 10
  local most, weights = count_ngrams(table.move(train, 1, cut, 1, {})), {0.25, 0.25, 0.25, 0.25}
  local rest = table.move(train, cut + 1, #train, 1, {})
  for _ = 1, 10 do weights = select(2, mixture(most, rest, weights, vocab)) end
  return (mixture(count_ngrams(train), held, weights, vocab))
end

-- ---- training ----

-- Pieces in batches of about `tokens` tokens, in a new order each epoch.
local function batches(pieces, tokens)
  local order, list, part, n = {}, {}, {}, 0
  for i, ids in ipairs(pieces) do table.insert(order, math.random(i), ids) end
  for i, ids in ipairs(order) do
    part[#part + 1], n = ids, n + #ids
    if n >= tokens or i == #order then list[#list + 1], part, n = part, {}, 0 end
  end
  return list
end

local function held_loss(model, pieces)
  local sum, n = 0, 0
  for first = 1, #pieces, 16 do
    local scope <close> = rlhf.scope()
    local b = rlhf.batch.sequences(table.move(pieces, first, math.min(#pieces, first + 15), 1, {}))
    sum, n = sum + rlhf.no_grad(function() return model:loss(b, {divide = 1}):item() end), n + b.trained
  end
  return sum / n
end

local function step(model, opt, pieces, rate)
  local scope <close> = rlhf.scope()
  local b = rlhf.batch.sequences(pieces)
  local loss = model:loss(b)
  loss:backward()
  opt:clip(1)
  assert(opt:step(rate))
  return loss:item(), b.tokens
end

local function train(model, pieces, held)
  local opt = rlhf.optim.adamw(model:parameters(), {lr = options.lr, betas = {0.9, 0.95}, weight_decay = 0.1})
  local per_epoch = #batches(pieces, options.tokens)
  local rate = rlhf.schedule.cosine {warmup = per_epoch // 4, total = math.ceil(per_epoch * options.epochs * 1.02)}
  local number, begin, tokens = 0, os.time(), 0
  for epoch = 1, options.epochs do
    local sum, list = 0, batches(pieces, options.tokens)
    for _, part in ipairs(list) do
      local loss, n = step(model, opt, part, options.lr * rate(number))
      number, tokens, sum = number + 1, tokens + n, sum + loss
    end
    local took = math.max(1, os.time() - begin)
    print(("epoch %d  step %d  loss %.4f  held back %.4f  %.0f tokens/s  %.0f s"):format(
      epoch, number, sum / #list, held_loss(model, held), tokens / took, took))
  end
  opt:close()
end

-- ---- all of it ----

math.randomseed(options.seed)
local kept, held_texts = read_texts(options.data)
local tok = rlhf.tokenizer.train {text = kept, vocab_size = options.vocab, bos = "<|endoftext|>", eos = "<|endoftext|>"}
local pieces, held = pieces_of(kept, tok, options.context), pieces_of(held_texts, tok, options.context)
local model = rlhf.model {arch = options.arch, layers = options.layers, dim = options.dim, heads = options.heads, vocab = #tok,
                          context = options.context, seed = options.seed}
print(model)
local trigrams = trigram_loss(pieces, held, #tok)
print(("%d pieces to train on, %d held back; trigrams: %.4f"):format(#pieces, #held, trigrams))
train(model, pieces, held)
local loss = held_loss(model, held)
print(("held back: model %.4f, trigrams %.4f: %s"):format(loss, trigrams, loss < trigrams and "the model is ahead" or "trigrams are ahead"))
local prompt = tok:encode "Once upon a time"
table.insert(prompt, 1, tok:bos())
for i, ids in ipairs(model:generate({prompt, prompt, prompt}, {max_new_tokens = 100, temperature = 0.8, stop = {tok:eos()}, seed = options.seed})) do
  print(("sample %d: Once upon a time%s"):format(i, tok:decode(ids, {skip_special = true})))
end
if options.out then assert(rlhf.save(options.out, model, tok)) end
