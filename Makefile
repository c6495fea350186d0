# rlhf: `make help` lists what there is; V=1 shows the commands.
# LuaRocks sets CFLAGS, LIBFLAG, LUA_INCDIR, *_INCDIR and *_LIBDIR for the build, INST_LIBDIR and
# INST_LUADIR for the install; elsewhere pkg-config tells where the libraries are.
LUA ?= lua5.4
BUILD ?= build
PREFIX ?= /usr/local
LUA_VERSION = 5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)

dep_cflags = $(if $($(1)_INCDIR),-I$($(1)_INCDIR)) $(shell pkg-config --cflags $(2) 2>/dev/null)
dep_libs = $(if $($(1)_LIBDIR),-L$($(1)_LIBDIR)) $(shell pkg-config --libs-only-L $(2) 2>/dev/null) $(3)
LUA_CFLAGS := $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell pkg-config --cflags lua5.4 2>/dev/null))
DEP_CFLAGS := $(strip $(call dep_cflags,OPENBLAS,openblas) $(call dep_cflags,PCRE2,libpcre2-8) \
              $(call dep_cflags,UTF8PROC,libutf8proc) $(call dep_cflags,JANSSON,jansson))
DEP_LIBS := $(strip $(call dep_libs,OPENBLAS,openblas,-lopenblas) $(call dep_libs,PCRE2,libpcre2-8,-lpcre2-8) \
            $(call dep_libs,UTF8PROC,libutf8proc,-lutf8proc) $(call dep_libs,JANSSON,jansson,-ljansson))

CFLAGS ?= -O2 -g
LIBFLAG ?= -shared
WARN = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wwrite-strings
# In a checkout a warning is an error; whoever builds a rock with another compiler isn't stopped by one.
WERROR := $(if $(wildcard .git),-Werror)
OUR_CFLAGS = -std=gnu11 -fPIC -fvisibility=hidden -fopenmp-simd -fno-math-errno -pthread $(WARN) $(WERROR) \
             -Ic $(LUA_CFLAGS) $(DEP_CFLAGS) $(EXTRA_CFLAGS)
LINK = $(CC) $(LIBFLAG) $(LDFLAGS) $(EXTRA_LDFLAGS)
LIBS = -Wl,--as-needed $(DEP_LIBS) -lm -pthread

# Each file of c/ops/kernels but isa.c is compiled once for each instruction set.
ARCH := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
ISAS = $(if $(filter x86_64,$(ARCH)),sse2 avx2 avx512,generic)
FLAGS_sse2 = -msse2
FLAGS_avx2 = -mavx2 -mfma -mbmi2
FLAGS_avx512 = $(FLAGS_avx2) -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512
KERNEL_CFLAGS = -O3 -ffp-contract=fast -fno-trapping-math -fno-signed-zeros

KERNELS := $(filter-out c/ops/kernels/isa.c,$(wildcard c/ops/kernels/*.c))
SOURCES := $(filter-out $(KERNELS) c/bind/preload.c c/fuzz/%,$(wildcard c/*/*.c) c/ops/kernels/isa.c)
OBJECTS = $(SOURCES:%.c=$(BUILD)/%.o) $(foreach isa,$(ISAS),$(KERNELS:%.c=$(BUILD)/%.$(isa).o))
PRELOAD = $(BUILD)/c/bind/preload.o
MODULES = $(BUILD)/rlhf/corelib.so $(BUILD)/rlhf/preload.so

ifeq ($(V),1)
say = @:
Q =
else
say = @echo
Q = @
endif

.PHONY: all
all: $(MODULES) ## the two modules, in build/rlhf (the default)

$(BUILD)/rlhf/corelib.so: $(OBJECTS) $(BUILD)/flags.link
	$(say) "LD $@"
	@mkdir -p $(@D)
	$(Q)$(LINK) -Wl,-z,nodelete -o $@ $(OBJECTS) $(LIBS)

$(BUILD)/rlhf/preload.so: $(PRELOAD) $(BUILD)/flags.link
	$(say) "LD $@"
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $(PRELOAD)

$(BUILD)/%.o: %.c $(BUILD)/flags.compile
	$(say) "CC $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(OUR_CFLAGS) -MMD -MP $(CFLAGS) -c -o $@ $<

define KERNEL_RULE
$(BUILD)/c/ops/kernels/%.$(1).o: c/ops/kernels/%.c $(BUILD)/flags.compile
	$$(say) "CC $$< ($(1))"
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(OUR_CFLAGS) -MMD -MP $$(CFLAGS) $$(KERNEL_CFLAGS) $$(FLAGS_$(1)) -DRH_ISA=$(1) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call KERNEL_RULE,$(isa))))

# Stamps: rewritten only when the flags (or the list of objects) differ from the last build's.
stamp = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' > $@
.PHONY: FORCE
$(BUILD)/flags.compile: FORCE
	$(call stamp,$(CC) $(OUR_CFLAGS) $(CFLAGS) $(KERNEL_CFLAGS))
$(BUILD)/flags.link: FORCE
	$(call stamp,$(LINK) $(LIBS) $(sort $(OBJECTS)))

-include $(OBJECTS:.o=.d) $(PRELOAD:.o=.d)
include tools/targets.mk
