# rlhf: `make help` lists what there is.
LUA ?= lua5.4
BUILD ?= build
PREFIX ?= /usr/local
LUA_VERSION = 5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)

CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wwrite-strings
LUA_CFLAGS ?= $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell pkg-config --cflags lua5.4 2>/dev/null))
BLAS_CFLAGS ?= $(shell pkg-config --cflags openblas 2>/dev/null)
BLAS_LIBS ?= $(if $(OPENBLAS_LIBDIR),-L$(OPENBLAS_LIBDIR)) -lopenblas
JANSSON_CFLAGS ?= $(if $(JANSSON_INCDIR),-I$(JANSSON_INCDIR),$(shell pkg-config --cflags jansson 2>/dev/null))
JANSSON_LIBS ?= $(if $(JANSSON_LIBDIR),-L$(JANSSON_LIBDIR)) -ljansson
LIBFLAG ?= -shared
OUR_CFLAGS = -std=gnu11 -fPIC -fvisibility=hidden -fopenmp-simd -fno-math-errno -pthread -MMD -MP $(WARN) -Ic $(LUA_CFLAGS) $(BLAS_CFLAGS) $(JANSSON_CFLAGS) $(EXTRA_CFLAGS)
LIBS = $(BLAS_LIBS) $(JANSSON_LIBS) -lm -pthread

# Each file of c/ops/kernels but isa.c is compiled once for each instruction set.
ARCH := $(shell $(CC) -dumpmachine | cut -d- -f1)
ISAS = $(if $(filter x86_64,$(ARCH)),sse2 avx2 avx512,generic)
FLAGS_sse2 = -msse2
FLAGS_avx2 = -mavx2 -mfma -mbmi2
FLAGS_avx512 = $(FLAGS_avx2) -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512
KERNEL_CFLAGS = -O3 -ffp-contract=fast -fno-trapping-math -fno-signed-zeros

KERNELS = $(filter-out c/ops/kernels/isa.c,$(wildcard c/ops/kernels/*.c))
SOURCES = $(filter-out $(KERNELS) c/bind/preload.c $(wildcard c/fuzz/*.c),$(wildcard c/*/*.c) c/ops/kernels/isa.c)
OBJECTS = $(SOURCES:%.c=$(BUILD)/%.o) \
          $(foreach isa,$(ISAS),$(KERNELS:%.c=$(BUILD)/%.$(isa).o))

.PHONY: all clean
all: $(BUILD)/rlhf/corelib.so $(BUILD)/rlhf/preload.so

$(BUILD)/rlhf/corelib.so: $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) $(LDFLAGS) $(EXTRA_LDFLAGS) -Wl,-z,nodelete -o $@ $(OBJECTS) $(LIBS)

$(BUILD)/rlhf/preload.so: $(BUILD)/c/bind/preload.o
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) $(LDFLAGS) $(EXTRA_LDFLAGS) -o $@ $<

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(OUR_CFLAGS) $(CFLAGS) -c -o $@ $<

define KERNEL_RULE
$(BUILD)/c/ops/kernels/%.$(1).o: c/ops/kernels/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(OUR_CFLAGS) $$(CFLAGS) $$(KERNEL_CFLAGS) $$(FLAGS_$(1)) -DRH_ISA=$(1) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call KERNEL_RULE,$(isa))))

clean:
	rm -rf $(BUILD)

-include $(OBJECTS:.o=.d) $(BUILD)/c/bind/preload.d

# Programs that feed made-up input to the readers of files; run e.g. build/fuzz/fuzz_json -max_total_time=60
FUZZ_CC ?= clang
FUZZ_CFLAGS = -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DRH_SYSTEM_MALLOC -pthread -Ic $(JANSSON_CFLAGS)
FUZZ_SOURCES = $(wildcard c/base/*.c c/tensor/*.c c/io/*.c)
.PHONY: fuzz
fuzz: $(patsubst c/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard c/fuzz/fuzz_*.c))

$(BUILD)/fuzz/%: c/fuzz/%.c $(FUZZ_SOURCES) $(wildcard c/base/*.h c/tensor/*.h c/io/*.h)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -o $@ $< $(FUZZ_SOURCES) $(JANSSON_LIBS) -lm
