# What is done with the modules once built: tests, checks, install, reference. Rests on ../Makefile.
JOBS := $(shell nproc 2>/dev/null || echo 1)
jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))
# For everything that runs from the tree; children of specs inherit it.
# Ubuntu 22.04 has parts of busted for Lua 5.3 only: plain Lua, but for a clock.
TREE_ENV = LUA_PATH='lua/?.lua;lua/?/init.lua;spec/?.lua;;$(BUSTED_PARTS)' LUA_CPATH='$(BUILD)/?.so;;' LUA='$(SPEC_LUA)' BUILD='$(BUILD)'
BUSTED_PARTS = spec/support/fallback/?.lua;/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua
SPEC_LUA ?= $(LUA)
SPECS ?= spec
# Specs tagged #limits take memory away from a child process or count what the pool asks of the system:
# sanitizers need that memory, and their builds have no pool. Under the
# thread sanitizer io.popen's child crashes before it runs.
EXCLUDE = --exclude-tags=long$(if $(RLHF_SANITIZER),$(comma)limits) $(if $(filter thread,$(RLHF_SANITIZER)),--filter-out=RLHF_ISA)
comma := ,
# busted is looked for by the shell: `test` may have just installed it. BUSTED=... names another.
RUN_SPECS = $(TREE_ENV) BUSTED="$${BUSTED:-$$(command -v busted)}" $(LUA) tools/run_specs.lua

.PHONY: test
test: ## the suite: installs what is missing, builds, lints, runs the specs
	@sh tools/depends.sh test
	@$(MAKE) --no-print-directory $(jobs) all
	@$(RUN_SPECS) --lint $(EXCLUDE) $(SPECS)

DEMO ?= out=out/demo
.PHONY: demo
demo: ## the whole method on toy data, in minutes: out/demo/report.html; DEMO='seed=2 size=short' sets its options
	@sh tools/depends.sh build
	@$(MAKE) --no-print-directory $(jobs) all
	@$(TREE_ENV) $(LUA) examples/demo.lua $(DEMO)

.PHONY: check
check: asan valgrind tsan ## the slow checks: sanitizers, valgrind, specs tagged #long, clang's warnings
	@$(MAKE) --no-print-directory $(jobs) all
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/clang CC=clang EXTRA_CFLAGS=-Wno-pass-failed $(jobs) all
	@$(RUN_SPECS) --tags=long $(SPECS)

SAN_FLAGS = -fno-omit-frame-pointer -DRH_SYSTEM_MALLOC
ASAN_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined $(SAN_FLAGS)
ASAN_LIB = $(shell $(CC) -print-file-name=$(if $(findstring clang,$(CC)),libclang_rt.asan-$(ARCH).so,libasan.so))
# use_tls=0: gcc 12's leak check crashes in itself when it walks the thread-local storage of our threads.
.PHONY: asan
asan: ## the suite under the address, leak and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CFLAGS='-O1 -g' EXTRA_CFLAGS='$(ASAN_FLAGS)' \
	    EXTRA_LDFLAGS='-fsanitize=address,undefined $(if $(findstring clang,$(CC)),-shared-libasan)' $(jobs) all
	@RLHF_SANITIZER=address ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
	    LSAN_OPTIONS=use_tls=0:suppressions=tools/lsan.supp:print_suppressions=0 \
	    $(MAKE) --no-print-directory BUILD=$(BUILD)/asan SPEC_LUA='env LD_PRELOAD=$(ASAN_LIB) $(LUA)' specs

.PHONY: specs
specs: # as `test`, on modules that are already built
	@$(RUN_SPECS) $(EXCLUDE) $(SPECS)

# Workers are this library's; OpenBLAS is called at one thread, so what the sanitizer sees is ours.
.PHONY: tsan
tsan: ## the operations' specs under the thread sanitizer
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan CFLAGS='-O1 -g' EXTRA_CFLAGS='-fsanitize=thread $(SAN_FLAGS)' \
	    EXTRA_LDFLAGS=-fsanitize=thread $(jobs) all
	@RLHF_SANITIZER=thread TSAN_OPTIONS=exitcode=66 $(MAKE) --no-print-directory BUILD=$(BUILD)/tsan \
	    SPEC_LUA="env LD_PRELOAD=$$($(CC) -print-file-name=libtsan.so) $(LUA)" SPECS='$(THREAD_SPECS)' specs
THREAD_SPECS ?= spec/ops

VALGRIND_SPECS ?= $(wildcard spec/bind spec/autograd spec/tensor)
.PHONY: valgrind
valgrind: ## a short run of the binding's specs under valgrind
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/valgrind EXTRA_CFLAGS=-DRH_SYSTEM_MALLOC $(jobs) all
	@RLHF_SANITIZER=valgrind $(MAKE) --no-print-directory BUILD=$(BUILD)/valgrind SPECS='$(VALGRIND_SPECS)' \
	    SPEC_LUA="valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
	    --errors-for-leak-kinds=definite --keep-debuginfo=yes --suppressions=tools/valgrind.supp $(LUA)" specs

FUZZ_TIME ?= 60
FUZZERS = $(patsubst c/fuzz/%.c,%,$(wildcard c/fuzz/*.c))
.PHONY: fuzz
fuzz: ## each fuzz target for FUZZ_TIME seconds (60), with clang
	@mkdir -p $(BUILD)/fuzz
	@for f in $(FUZZERS); do echo "FUZZ $$f"; \
	    clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $(SAN_FLAGS) \
	        $(filter-out $(WERROR),$(OUR_CFLAGS)) -o $(BUILD)/fuzz/$$f c/fuzz/$$f.c \
	        $(wildcard c/base/*.c c/tensor/*.c c/io/*.c c/text/*.c) $(LIBS) && \
	    mkdir -p $(BUILD)/fuzz/corpus.$$f && \
	    $(BUILD)/fuzz/$$f -max_total_time=$(FUZZ_TIME) -print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/ \
	        $(BUILD)/fuzz/corpus.$$f $(wildcard c/fuzz/seeds) || exit 1; done

.PHONY: lint
lint: all ## luacheck, layers, exported symbols, paths, sizes (warnings are errors in the build)
	@$(TREE_ENV) sh tools/lint.sh

.PHONY: bench
bench: all ## what this machine and build reach
	@$(TREE_ENV) $(LUA) bench/run.lua

.PHONY: doc
doc: ## the reference, in doc/; installs what is missing
	@sh tools/depends.sh doc
	@$(MAKE) --no-print-directory $(jobs) all
	@rm -rf doc
	@mkdir -p $(BUILD)/doc
	@$(TREE_ENV) $(LUA) tools/operations.lua > $(BUILD)/doc/operations.md
	@ldoc --quiet --fatalwarnings . >/dev/null && echo "doc/index.html"

LUA_FILES = $(shell cd lua && find rlhf -name '*.lua')
.PHONY: install uninstall
install: all ## into PREFIX (/usr/local), or INST_LIBDIR and INST_LUADIR; DESTDIR is put before
	$(Q)install -d '$(DESTDIR)$(INST_LIBDIR)/rlhf'
	$(Q)install -m 755 $(MODULES) '$(DESTDIR)$(INST_LIBDIR)/rlhf/'
	$(Q)for f in $(LUA_FILES); do install -D -m 644 "lua/$$f" '$(DESTDIR)$(INST_LUADIR)'/"$$f" || exit 1; done

uninstall: ## removes what install wrote
	$(Q)rm -f $(foreach m,$(notdir $(MODULES)),'$(DESTDIR)$(INST_LIBDIR)/rlhf/$(m)')
	$(Q)rm -f $(foreach f,$(LUA_FILES),'$(DESTDIR)$(INST_LUADIR)/$(f)')
	$(Q)find '$(DESTDIR)$(INST_LIBDIR)/rlhf' '$(DESTDIR)$(INST_LUADIR)/rlhf' -depth -type d -empty -delete 2>/dev/null || true

.PHONY: clean help
clean: ## removes build/ and doc/
	rm -rf $(BUILD) doc

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile tools/targets.mk | expand -t 14
