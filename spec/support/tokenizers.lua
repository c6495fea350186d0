-- Small tokenizers for specs: tokenizer.json built from a few words, in memory or as a file. Rests on
-- rlhf.core's JSON and rlhf.tokenizer.
local core = require "rlhf.core"
local tokenizer = require "rlhf.tokenizer"

local M = {}

-- The 256 bytes as byte-level vocabularies spell them.
local function alphabet(list)
  for c = 33, 255 do
    if c <= 126 or (c >= 161 and c ~= 173) then list[#list + 1] = utf8.char(c) end
  end
  for c = 256, 323 do list[#list + 1] = utf8.char(c) end
end

--- The text of a tokenizer.json. `of`: letters = a string of characters or "bytes", merges = {"a b", ...},
-- model = more members of the model, any other member of the file as it stands.
function M.json(of)
  local list, vocab = {}, {}
  if of.letters == "bytes" then
    alphabet(list)
  else
    for _, c in utf8.codes(of.letters or "ab") do list[#list + 1] = utf8.char(c) end
  end
  for _, text in ipairs(of.tokens or {}) do list[#list + 1] = text end
  for _, merge in ipairs(of.merges or {}) do list[#list + 1] = (merge:gsub(" ", "")) end
  local n = 0
  for _, text in ipairs(list) do
    if not vocab[text] then vocab[text], n = n, n + 1 end
  end
  local file = {model = {type = "BPE", vocab = vocab, merges = core.array(of.merges or {})}}
  for key, value in pairs(of.model or {}) do file.model[key] = value end
  for key, value in pairs(of) do
    if key ~= "letters" and key ~= "tokens" and key ~= "merges" and key ~= "model" then file[key] = value end
  end
  return core.json_encode(file)
end

--- The C tokenizer of such a file.
function M.make(of) return assert(core.tokenizer_read(M.json(of))) end

--- The texts of the tokens that a text becomes, with "|" between.
function M.pieces(t, text, special)
  local list = {}
  for i, id in ipairs(t:encode(text, special or false)) do list[i] = t:token(id) end
  return table.concat(list, "|")
end

--- Calls f(folder) with a folder that holds files {name = text}, and removes it.
function M.with_folder(files, f)
  local folder = os.tmpname()
  os.remove(folder)
  assert(core.make_folder(folder))
  for name, text in pairs(files) do assert(core.write_file(folder .. "/" .. name, text)) end
  local ok, message = pcall(f, folder)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(message, 0) end
end

--- Some English to train on.
M.stories = {
  "Once upon a time there was a small fox. The fox lived in a small den under the old tree.",
  "One day the fox met a bird. \"Hello,\" said the bird. \"Hello,\" said the fox. They were friends.",
  "The bird told the fox about the old tree, and the fox told the bird about the den.",
  "It was 1999; they didn't know that. They'd play until 2001!\n\nThe end.\n",
}

--- A byte-level tokenizer trained on them; options over the usual ones.
function M.trained(options)
  local all = {text = M.stories, vocab_size = 300, special = {"<|endoftext|>"}}
  for key, value in pairs(options or {}) do all[key] = value end
  return assert(tokenizer.train(all))
end

return M
