rockspec_format = "3.0"
package = "rlhf"
version = "scm-1"
source = {url = "git+https://example.org/rlhf.git"} -- until there is a published address; `luarocks make` needs none
description = {
  summary = "RLHF on an ordinary CPU: instruction tuning, reward models, PPO",
  detailed = [[
Aligns and fine-tunes small language models without a GPU, from Lua: supervised fine-tuning, a reward model
from human rankings, and PPO with a KL penalty. A C core on OpenBLAS; tensors with gradients for whoever
wants to see every number of it.]],
  license = "MIT",
}
supported_platforms = {"linux"}
dependencies = {"lua >= 5.4, < 5.5"}
external_dependencies = {
  OPENBLAS = {library = "openblas"}, -- no header: Debian's is not where LuaRocks looks; pkg-config finds it
  PCRE2 = {library = "pcre2-8", header = "pcre2.h"},
  UTF8PROC = {library = "utf8proc", header = "utf8proc.h"},
  JANSSON = {library = "jansson", header = "jansson.h"},
}
build = {
  type = "make",
  variables = { -- for the build and the install: other flags at the install would mean building again
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    OPENBLAS_INCDIR = "$(OPENBLAS_INCDIR)",
    OPENBLAS_LIBDIR = "$(OPENBLAS_LIBDIR)",
    PCRE2_INCDIR = "$(PCRE2_INCDIR)",
    PCRE2_LIBDIR = "$(PCRE2_LIBDIR)",
    UTF8PROC_INCDIR = "$(UTF8PROC_INCDIR)",
    UTF8PROC_LIBDIR = "$(UTF8PROC_LIBDIR)",
    JANSSON_INCDIR = "$(JANSSON_INCDIR)",
    JANSSON_LIBDIR = "$(JANSSON_LIBDIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_LUADIR = "$(LUADIR)",
  },
}
test = {type = "command", command = "make test"}
