--- What `require "rlhf"` gives: tensors, memory, threads, JSON, files, and every module as `rlhf.NAME`.
-- Each name is looked up when it is first used. Every operation of the reference's table is here as
-- `rlhf.NAME`, too, and a method of tensors where it begins with one. Misuse raises at the caller's line,
-- naming the function and the argument.
-- @module rlhf
local core = require "rlhf.core"

-- Names that are modules of their own.
local modules = {batch = true, data = true, gradcheck = true, loss = true, model = true, optim = true, option = true,
                 ppo = true, report = true, reward = true, reward_model = true, safetensors = true, schedule = true, sft = true,
                 tokenizer = true, trainer = true}

-- Names that a module of another name has.
local within = {load = "rlhf.folder", save = "rlhf.folder"}

local function find(rlhf, name)
  local value
  if modules[name] then
    value = require("rlhf." .. name)
  elseif within[name] then
    value = require(within[name])[name]
  else
    value = core[name] or core.ops[name]
  end
  rlhf[name] = value
  return value
end

--- Makes a tensor from values.
-- @function tensor
-- @tparam number|table ... nested lists of equal lengths, or numbers one by one
-- @tparam[opt] table options `dtype` = "f32", "i64" or "bool" (values are then true and false, or 1 and 0)
-- @treturn tensor
-- @raise on ragged lists and wrong values, with their position

--- Tensors of zeros, of ones; sizes are a list or stand one by one.
-- @function zeros
-- @tparam {int,...}|int ... sizes
-- @tparam[opt] table options `dtype` = "f32"
-- @treturn tensor

--- Tensors of ones: see zeros.
-- @function ones
-- @tparam {int,...}|int ... sizes
-- @tparam[opt] table options `dtype` = "f32"
-- @treturn tensor

--- A tensor of one value.
-- @function full
-- @tparam {int,...} sizes
-- @tparam number|boolean value
-- @tparam[opt] table options `dtype` = "f32"
-- @treturn tensor

--- Normal random numbers, of mean 0 and deviation 1. A draw depends on seed, stream and its place alone.
-- @function randn
-- @tparam {int,...}|int ... sizes
-- @tparam[opt] table options `seed`, `stream` = 0; without either each call draws from a stream of its own
-- @treturn tensor f32

--- Uniform random numbers in [0, 1).
-- @function rand
-- @tparam {int,...}|int ... sizes
-- @tparam[opt] table options as of randn
-- @treturn tensor f32

--- Numbers in even steps, from `first` (0) up to but without `last`.
-- @function arange
-- @tparam[opt=0] number first
-- @tparam number last given alone it is the number of steps
-- @tparam[opt=1] number step
-- @tparam[opt] table options `dtype` = "f32" or "i64"
-- @treturn tensor

--- Opens a scope: `local scope <close> = rlhf.scope()`. At its end the tensors that were returned to Lua in
-- this coroutine since are closed, also when an error passes; those of an inner scope at that one's end.
-- `scope:keep(t, ...)` returns tensors that outlive it, and hands them to the scope around it;
-- `scope:close()` ends it early. Models, optimizers, batches, rollouts and gradients hold what they need themselves.
-- @function scope
-- @treturn scope

--- Calls f without recording anything for backward, also when an error passes.
-- @function no_grad
-- @tparam function f can't yield across this
-- @param ... arguments of f
-- @return the results of f

--- Tells bytes in use, held from the system and at most in use so far, live blocks, how often the system was
-- asked, and the limit.
-- @function memory
-- @tparam[opt] table options `limit` = bytes that may be in use (math.huge: any)
-- @treturn table `in_use`, `held`, `peak`, `limit` in bytes; `blocks`, `system_calls` as numbers
-- @raise later, in whatever asks for memory behind the limit: bytes asked for, in use, and held

--- Gives free memory back to the system.
-- @function trim
-- @treturn int bytes

--- Tells or sets the number of threads. Results don't depend on it.
-- @function threads
-- @tparam[opt] int n 1 to 64
-- @treturn int threads in use
-- @raise when the system refuses a thread

--- Tells what the library runs on.
-- @function info
-- @treturn table `version`, `blas` and `blas_core` (which of OpenBLAS's kernels run), `isa` (which of ours; the
--   environment's `RLHF_ISA` = "sse2", "avx2" or "avx512" chooses another at load), `isa_supported` (list), `threads`,
--   `processors`, `onednn`

--- JSON's null, and what stands for "none" in lists (an unranked response, say). Compare with `==`.
-- @field null

--- The value of a JSON text. Objects become tables, arrays tables that `is_array` knows, null `rlhf.null`.
-- @function json_decode
-- @tparam string text
-- @tparam[opt] table options `order` = false: objects remember the order of their keys; `limit` = 64 MiB: longest text
-- @return value, or nil and the message

--- Marks a table as a JSON array (an empty table is an object otherwise); returns it.
-- @function array
-- @tparam table list
-- @treturn table

--- Is a value a table that was decoded from a JSON array, or marked by `array`?
-- @function is_array
-- @param value
-- @treturn boolean

--- JSON of a value.
-- @function json_encode
-- @param value
-- @tparam[opt] table options `indent`: spaces for each level; without it all stands on one line
-- @treturn string
-- @raise on what JSON has no form for: NaN, functions, tables that hold themselves

--- Reads a whole file.
-- @function read_file
-- @tparam string path
-- @tparam[opt=67108864] int limit bytes
-- @treturn string|nil
-- @treturn ?string the message

--- Writes a whole file: beside its name, synced, then renamed, so that it is the old one or the new one.
-- @function write_file
-- @tparam string path
-- @tparam string text
-- @treturn true|nil
-- @treturn ?string the message

--- What stands at a path.
-- @function file_info
-- @tparam string path
-- @treturn table|nil `type` = "file", "folder" or "other"; `size` in bytes
-- @treturn ?string the message

--- Makes a folder, and those above it; one that is there already is fine.
-- @function make_folder
-- @tparam string path
-- @treturn true|nil
-- @treturn ?string the message

--- Names in a folder, sorted, without `.` and `..`.
-- @function list_folder
-- @tparam string path
-- @treturn {string,...}|nil
-- @treturn ?string the message

--- The keys of an object in the order in which json_encode writes them: the text's own where it was decoded with
-- `order`, else sorted.
-- @function json_keys
-- @tparam table object
-- @treturn {string,...}

--- Tensors. Operators `+ - * / ^` and unary `-` take numbers on either side; `#x` is the first size; `x == y` asks
-- for the same tensor. `x[i]` is a view of the i-th slice, from the end when negative, nil behind the end;
-- `x[i] = v` writes a number or a tensor into it.
-- @type tensor

--- Sizes, one for each dimension.
-- @function tensor:shape
-- @treturn {int,...}

--- The type of the elements.
-- @function tensor:dtype
-- @treturn string "f32", "i64", "bool", of weights also "bf16"

--- The number of elements.
-- @function tensor:numel
-- @treturn int

--- The only element.
-- @function tensor:item
-- @treturn number|boolean
-- @raise when there are more or none

--- The elements as nested lists; a tensor without dimensions gives its element.
-- @function tensor:totable
-- @treturn table|number|boolean

--- Releases the tensor now instead of when it is collected. Any further use raises.
-- @function tensor:close

--- A name, which saved files and messages use; with an argument gives one, and returns the tensor.
-- @function tensor:name
-- @tparam[opt] string name
-- @treturn ?string|tensor

--- The same memory without history.
-- @function tensor:detach
-- @treturn tensor

--- Asks for a gradient, or no longer. Only of f32 tensors that no operation made.
-- @function tensor:requires_grad
-- @tparam[opt=true] boolean wanted
-- @treturn tensor itself

--- The gradient that has arrived. It is the memory that later gradients are added to.
-- @function tensor:grad
-- @treturn ?tensor nil where none has arrived

--- Goes back through what was recorded and adds into the gradients of the leaves.
-- @function tensor:backward
-- @tparam[opt] tensor gradient of this shape; may be left out where there is one element
-- @tparam[opt] table options `retain` = true: what was saved is kept for another backward

--- Writes another tensor's values into this one, broadcast. In place: not on a tensor that requires a
-- gradient, but under no_grad.
-- @function tensor:copy_
-- @tparam tensor source
-- @treturn tensor itself

--- Writes one value everywhere, in place.
-- @function tensor:fill_
-- @tparam number|boolean value
-- @treturn tensor itself

return setmetatable({}, {__index = find})
