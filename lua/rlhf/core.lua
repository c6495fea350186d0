--- The C core. rlhf.preload chooses OpenBLAS's kernels through the environment before rlhf.corelib
-- loads it, and takes its variables away again whatever became of the load.
local preload = require "rlhf.preload"

preload.set()
local ok, core = pcall(require, "rlhf.corelib")
preload.restore()
if not ok then error(core, 0) end
return core
