-- The C core: rlhf.preload chooses OpenBLAS's kernels before rlhf.corelib loads it.
require "rlhf.preload"
return require "rlhf.corelib"
