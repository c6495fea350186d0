-- Each example runs, on data small enough for a spec.
local child = require "support.child"
local core = require "rlhf.core"
local files = require "support.safetensors_file"
local rlhf = require "rlhf"

local LUA = os.getenv "LUA" or "lua5.4"

local folder
before_each(function() folder = files.folder() end)
after_each(function() files.remove(folder) end)

describe("examples/train_lm.lua", function()
  it("trains, compares with trigrams, samples and saves", function()
    local lines = {}
    for i = 1, 60 do
      lines[i] = core.json_encode {text = ("The cat saw %d birds. The dog saw the cat, and they ran for %d days."):format(i % 7 + 2, i % 5 + 1)}
    end
    files.write(folder .. "/stories.jsonl", table.concat(lines, "\n") .. "\n")
    local output, code = child.shell(
      ("%s examples/train_lm.lua data=%s/stories.jsonl arch=gpt2 layers=1 dim=16 heads=2 vocab=280 context=64 epochs=2 tokens=256 out=%s/model")
        :format(LUA, folder, folder))
    assert(code == 0, output)
    assert.matches("epoch 2  step %d+  loss %d+%.%d+  held back %d+%.%d+", output)
    assert.matches("trigrams are ahead", output, 1, true)
    assert.matches("sample 3: Once upon a time", output, 1, true)
    local model, tokenizer = assert(rlhf.load(folder .. "/model"))
    assert.equal(#tokenizer, model.settings.vocab)
  end)

  it("says what it wants", function()
    local output, code = child.shell(LUA .. " examples/train_lm.lua")
    assert.not_equal(0, code)
    assert.matches("data=FILE wanted", output, 1, true)
  end)
end)
