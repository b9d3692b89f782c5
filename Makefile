# moonbox: `make demo` and `make test` install what they need, build, and run.
#
#   make            build/moonbox and build/lib/moonbox/core.so
#   make demo       a real task on a real repository, start to end
#   make test       the whole suite; as root: as root and as an ordinary user
#   make test-vm    specs under a stock kernel with control groups of version 2, in a virtual machine
#   make check      linters, formatting, warnings
#   make asan       the suite under AddressSanitizer and UndefinedBehaviorSanitizer
#   make fuzz       each target of spec/fuzz for SECONDS=60
#   make soak       CONNECTIONS=200000 through a gateway and 100 sandboxes: what they leave behind, which is nothing
#   make bench      ratios against other tools, in one run
#   make bench-vm   what limits add to a start, here and under version 2 of control groups, in a virtual machine
#   make install    below PREFIX=/usr/local, itself below DESTDIR=; make uninstall takes it back
#
#   V=1 shows the commands; SPECS='spec/unit/json_spec.lua ...' runs only these.

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
LUAJIT ?= luajit
B ?= build

# THING=DEBIAN_PACKAGE: a program; box:PROGRAM, which sandboxes run too and so must be among the system's; lib:NAME as
# pkg-config knows it; or a path. What is there already is not asked for.
NEED_BUILD = gcc=gcc /usr/include/stdio.h=libc6-dev pkg-config=pkg-config luajit=luajit lib:luajit=libluajit-5.1-dev \
	lib:libseccomp=libseccomp-dev lib:libcap=libcap-dev lib:yaml-0.1=libyaml-dev lib:libcares=libc-ares-dev
NEED_DEMO = box:git=git box:node=nodejs box:npm=npm /usr/bin/python3=python3 ip=iproute2 openssl=openssl dropbear=dropbear-bin \
	box:ssh=openssh-client /etc/ssl/certs/ca-certificates.crt=ca-certificates
NEED_TEST = $(NEED_DEMO) /usr/bin/busted=lua-busted script=bsdutils tmux=tmux newuidmap=uidmap \
	setpriv=util-linux ps=procps setcap=libcap2-bin box:curl=curl
ifeq ($(MOONBOX_MUST_RUN),1)
NEED_TEST += box:javac=default-jdk-headless box:musl-gcc=musl-tools /usr/bin/pip3=python3-pip \
	/usr/lib/python3/dist-packages/requests=python3-requests pg_createcluster=postgresql
endif
# Without libFuzzer `make fuzz` mutates blindly.
NEED_FUZZ = $(if $(filter 1,$(MOONBOX_MUST_RUN)),clang=clang /usr/share/doc/libclang-rt-dev/copyright=libclang-rt-dev)
NEED_VM = qemu-system-x86_64=qemu-system-x86 busybox=busybox-static modprobe=kmod xz=xz-utils mke2fs=e2fsprogs
NEED_CHECK = luacheck=lua-check clang-format=clang-format clang-tidy=clang-tidy shellcheck=shellcheck
NEED_BENCH = bwrap=bubblewrap setpriv=util-linux ip=iproute2 nft=nftables slirp4netns=slirp4netns pasta=passt

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wswitch-enum -Werror
HARDENING = -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fPIC
OPTIMISE ?= -O2 -g
SANITIZE ?=
ifneq ($(SANITIZE),)
HARDENING = -fPIC
endif
# Deferred, so that the setup targets can install what they look for.
LUA_CFLAGS = $(shell pkg-config --cflags luajit)
# The program is linked statically where the distribution has the archives: a cold start then maps and binds nothing.
STATIC ?= $(shell printf 'int main(void){return 0;}' > $(B)/static.c 2>/dev/null && \
	$(CC) -static-pie -o $(B)/static.out $(B)/static.c -l:libluajit-5.1.a -l:libcap.a -l:libyaml.a -l:libcares.a \
	2>/dev/null && echo yes)
ifneq ($(SANITIZE),)
STATIC =
endif
PROGRAM_LIBS = $(if $(STATIC),-static-pie -l:libluajit-5.1.a -l:libcap.a -l:libyaml.a -l:libcares.a,\
	-pie -Wl$(comma)-E $(shell pkg-config --libs luajit) $(LIBS)) -lm
comma = ,
LIBS = $(shell pkg-config --libs libcap yaml-0.1 libcares)

CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(OPTIMISE) $(WARNINGS) $(HARDENING) $(SANITIZE) $(CFLAGS)
LDFLAGS_ALL = -Wl,-z,relro,-z,now $(SANITIZE) $(LDFLAGS)

CORE = $(filter-out core/main.c core/seccomp_gen.c,$(wildcard core/*.c))
GATEWAY = $(wildcard core/gateway/*.c)
BIND = $(wildcard core/bind/*.c)
MODULES = $(shell find lua/moonbox -name '*.lua' | LC_ALL=C sort)
CORE_OBJECTS = $(CORE:core/%.c=$(B)/core/%.o) $(GATEWAY:core/%.c=$(B)/%.o) $(BIND:core/%.c=$(B)/%.o)
HEADERS = $(wildcard core/*.h core/gateway/*.h core/bind/*.h)

SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SCRIPTS = .ci/run $(wildcard examples/demo/*.sh spec/run/*.sh spec/vm/*.sh spec/bench/*.sh) spec/vm/init
TIDY = $(filter-out core/seccomp_gen.c,$(wildcard core/*.c)) $(GATEWAY) $(BIND)
FORMATTED = $(wildcard core/*.[ch] core/gateway/*.[ch] core/bind/*.[ch] spec/helpers/*.[ch] spec/fuzz/*.[ch] \
	spec/bench/*.c)
SPECS ?=
FUZZ = $(filter-out main reference,$(patsubst spec/fuzz/%.c,%,$(wildcard spec/fuzz/*.c)))
FUZZED = $(addprefix core/gateway/,address.c authority.c name.c dns.c hello.c http_head.c inspect.c decide.c rules_decode.c rules_index.c) \
	core/err.c core/util.c core/plan.c core/plan_bytes.c
FUZZED_resolve = core/gateway/resolve.c core/gateway/loop.c $(shell pkg-config --libs libcares)
FUZZED_supervisor = $(addprefix core/,wire.c control.c control_commands.c sandbox_events.c stream.c kept.c leaves.c \
	command_log.c cgroup.c cgroup_io.c cgroup_usage.c) -Wl,--wrap=util_monotonic
SECONDS = 60

ifeq ($(V),)
Q = @
say = @printf '  %-5s %s\n'
else
say = @:
endif

# The shell command that installs what is missing of $(1), or says in one sentence what to install. Debian leaves the
# sbin directories out of an ordinary user's PATH.
define need
	@PATH=$$PATH:/usr/sbin:/sbin; missing=; for pair in $(1); do thing=$${pair%%=*}; \
	case $$thing in lib:*) pkg-config --exists "$${thing#lib:}" ;; /*) test -e "$$thing" ;; \
	box:*) (PATH=/usr/local/bin:/usr/bin:/bin; command -v "$${thing#box:}") ;; *) command -v "$$thing" ;; esac \
	>/dev/null 2>&1 || missing="$$missing $${pair#*=}"; done; sh spec/run/packages.sh $$missing
endef

.PHONY: all setup-build setup-demo setup-test setup-vm setup-check setup-fuzz setup-bench demo test test-vm check lint-lua \
	lint-c lint-format lint-shell asan fuzz soak bench bench-vm install uninstall clean
all: $(B)/moonbox $(B)/lib/moonbox/core.so
	@:

# Copied, as the linker writes a file in many small pieces: what is written in few large ones lies in large folios of the
# page cache, which a program's start, fork and end map and unmap in less time.
# The linker's word on dlopen and getpwuid in a static program is kept for when it fails: neither is called where it
# matters.
$(B)/moonbox: $(B)/core/main.o $(B)/modules.o $(CORE_OBJECTS) $(if $(SANITIZE),$(B)/sanitizer.o)
	$(say) link $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@.linked $^ $(PROGRAM_LIBS) 2>$@.log || { cat $@.log >&2; exit 1; }
	$(Q)cp $@.linked $@.new && mv $@.new $@ && rm $@.linked

$(B)/lib/moonbox/core.so: $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(say) link $@
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -o $@ $^ $(LIBS)

$(B)/core/%.o: core/%.c $(HEADERS) $(B)/seccomp_filters.h Makefile
	@mkdir -p $(@D)
	$(say) cc $<
	$(Q)$(CC) $(CFLAGS_ALL) -I$(B) -c -o $@ $<

$(B)/core/main.o: CFLAGS_ALL += $(LUA_CFLAGS)

$(B)/gateway/%.o: core/gateway/%.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(say) cc $<
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/bind/%.o: core/bind/%.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(say) cc $<
	$(Q)$(CC) $(CFLAGS_ALL) -fexceptions $(LUA_CFLAGS) -c -o $@ $<

$(B)/sanitizer.o: spec/helpers/sanitizer.c Makefile
	@mkdir -p $(@D)
	$(say) cc $<
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/modules.c: lua/embed.lua $(MODULES)
	@mkdir -p $(@D)
	$(say) embed "$(words $(MODULES)) Lua modules"
	$(Q)$(LUAJIT) lua/embed.lua $@ $(MODULES)

$(B)/modules.o: $(B)/modules.c
	$(say) cc $<
	$(Q)$(CC) $(CFLAGS_ALL) -I. -c -o $@ $<

$(B)/seccomp_filters.h: $(B)/seccomp_gen
	$(say) gen $@
	$(Q)$(B)/seccomp_gen > $@.new && mv $@.new $@

$(B)/seccomp_gen: core/seccomp_gen.c core/seccomp_table.h Makefile
	@mkdir -p $(@D)
	$(say) cc $<
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O1 $(WARNINGS) -o $@ $< $(shell pkg-config --libs libseccomp)

$(B)/spec/load: spec/bench/load.c
	@mkdir -p $(@D)
	$(say) cc $<
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o $@ $<

$(B)/spec/%: spec/helpers/%.c
	@mkdir -p $(@D)
	$(say) cc $<
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -o $@ $<

setup-build:
	$(call need,$(NEED_BUILD))

setup-demo: setup-build
	$(call need,$(NEED_DEMO))

setup-test: setup-build
	$(call need,$(NEED_TEST))

setup-vm: setup-test
	$(call need,$(NEED_VM))

setup-check: setup-build
	$(call need,$(NEED_CHECK))

setup-fuzz: setup-build
	$(call need,$(NEED_FUZZ))

setup-bench: setup-build
	$(call need,$(NEED_BENCH))

# What pkg-config says is asked again once the packages are there.
AGAIN = +@$(MAKE) --no-print-directory

demo: setup-demo
	$(AGAIN) all
	@MOONBOX=$$(realpath '$(B)/moonbox') sh examples/demo/run.sh '$(REPO)'

test: setup-test
	$(AGAIN) all
	$(AGAIN) -s $(B)/failpoints/moonbox B=$(B)/failpoints CFLAGS='$(CFLAGS) -DMOONBOX_FAILPOINTS' say=@:
	@sh spec/run/all.sh $(B) $(SPECS)

test-vm: setup-vm
	$(AGAIN) all
	@sh spec/vm/run.sh $(B) $(SPECS)

# Sanitizers want the libraries dynamic, and a build of their own.
asan: setup-test
	$(AGAIN) all B=$(B)/asan SANITIZE='$(SANITIZERS)' OPTIMISE='-O1 -g'
	@CC=$(CC) sh spec/run/all.sh $(B)/asan $(SPECS)

# libFuzzer where clang has it: it follows the code that an input reaches. Else spec/fuzz/main.c mutates blindly.
fuzz: setup-fuzz
	@mkdir -p $(B)/fuzz
	@if printf 'int LLVMFuzzerTestOneInput(void){return 0;}' | \
	clang -fsanitize=fuzzer -x c -o $(B)/fuzz/probe - 2>/dev/null; then \
	echo libfuzzer; else echo blind; fi > $(B)/fuzz/kind.new
	@cmp -s $(B)/fuzz/kind.new $(B)/fuzz/kind || mv $(B)/fuzz/kind.new $(B)/fuzz/kind
	$(AGAIN) -s $(FUZZ:%=$(B)/fuzz/%)
	@sh spec/run/fuzz.sh $(B) $(SECONDS) $(FUZZ)

FUZZ_CC = $(if $(filter libfuzzer,$(shell cat $(B)/fuzz/kind)),clang -fsanitize=fuzzer,$(CC) spec/fuzz/main.c)
$(B)/fuzz/%: spec/fuzz/%.c spec/fuzz/main.c spec/fuzz/reference.c $(wildcard spec/fuzz/*.h) $(FUZZED) \
		$(filter %.c,$(FUZZED_resolve) $(FUZZED_supervisor)) $(HEADERS) $(B)/fuzz/kind Makefile
	$(say) fuzz $@
	$(Q)$(FUZZ_CC) -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror $(SANITIZERS) $(LUA_CFLAGS) -o $@ $< \
	spec/fuzz/reference.c $(FUZZED) $(FUZZED_$*) $(shell pkg-config --libs luajit) -lm

CONNECTIONS = 200000
soak: setup-test
	$(AGAIN) all
	@MOONBOX_SOAK=$(CONNECTIONS) sh spec/run/all.sh $(B) spec/system/network_soak_spec.lua

bench: setup-bench
	$(AGAIN) -s all $(B)/spec/stopwatch $(B)/spec/bare_clone $(B)/spec/load $(B)/spec/hog
	@sh spec/bench/run.sh $(B)

bench-vm: setup-vm
	$(AGAIN) -s all $(B)/spec/bare_clone $(B)/spec/hog
	@sh spec/bench/vm.sh $(B)

check: setup-check
	$(AGAIN) all
	$(AGAIN) lint-lua lint-shell lint-format lint-c
	@echo "check: clean"

lint-lua:
	$(say) lint "Lua: luacheck"
	$(Q)luacheck --no-color --quiet --codes .

lint-shell:
	$(say) lint "shell: shellcheck"
	$(Q)shellcheck $(SCRIPTS)

lint-format:
	$(say) lint "C: clang-format"
	$(Q)clang-format --dry-run -Werror $(FORMATTED)

lint-c: $(TIDY:core/%.c=$(B)/tidy/%.ok)

# A file that passed is looked at again when it, a header or the rules change.
$(B)/tidy/%.ok: core/%.c $(HEADERS) $(B)/seccomp_filters.h .clang-tidy spec/run/lint.h
	@mkdir -p $(@D)
	$(say) tidy $<
	$(Q)clang-tidy --quiet $< -- -std=c11 -D_GNU_SOURCE -I$(B) -I. $(LUA_CFLAGS) \
		$(if $(filter core/err.c,$<),,-include spec/run/lint.h) \
		2>$(@:.ok=.err) || { cat $(@:.ok=.err) >&2; exit 1; }
	@touch $@

BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share/moonbox
LUA_SHARE = $(DESTDIR)$(PREFIX)/share/lua/5.1/moonbox
LUA_LIB = $(DESTDIR)$(PREFIX)/lib/lua/5.1/moonbox
SHARED = $(shell find policies examples -type f | LC_ALL=C sort)

install: all
	@install -d $(BIN) $(LUA_LIB)
	@install -m 755 $(B)/moonbox $(BIN)/moonbox
	@install -m 644 $(B)/lib/moonbox/core.so $(LUA_LIB)/core.so
	@for f in $(SHARED); do mode=644; [ ! -x $$f ] || mode=755; install -D -m $$mode $$f $(SHARE)/$$f || exit 1; done
	@for f in $(MODULES:lua/moonbox/%=%); do install -D -m 644 lua/moonbox/$$f $(LUA_SHARE)/$$f || exit 1; done
	@echo "installed below $(DESTDIR)$(PREFIX)"

uninstall:
	@rm -f $(BIN)/moonbox
	@rm -rf $(SHARE) $(LUA_SHARE) $(LUA_LIB)

clean:
	rm -rf build
