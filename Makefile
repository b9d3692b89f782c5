# moonbox: `make demo` and `make test` install what they need, build, and run.
#
#   make            build/moonbox and build/lib/moonbox/core.so
#   make test       the whole suite, as root and as an ordinary user
#   make check      linters, formatting, warnings
#   make bench      ratios against other tools, in one run
#   make install PREFIX=/usr/local
#   make asan       the suite under AddressSanitizer and UndefinedBehaviorSanitizer

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
LUAJIT ?= luajit
B ?= build

PACKAGES_BUILD = gcc make pkg-config luajit libluajit-5.1-dev libseccomp-dev libcap-dev libyaml-dev
PACKAGES_RUN = git ca-certificates

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wswitch-enum -Werror
HARDENING = -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fPIC
OPTIMISE ?= -O2 -g
SANITIZE ?=
ifneq ($(SANITIZE),)
HARDENING = -fPIC
endif
# Deferred, so that `make setup` can install what they look for.
LUA_CFLAGS = $(shell pkg-config --cflags luajit)
# The program is linked statically where the distribution has the archives: a cold start then maps and binds nothing.
STATIC ?= $(shell printf 'int main(void){return 0;}' > $(B)/static.c 2>/dev/null && \
	$(CC) -static-pie -o $(B)/static.out $(B)/static.c -l:libluajit-5.1.a -l:libcap.a -l:libyaml.a 2>/dev/null && echo yes)
ifneq ($(SANITIZE),)
STATIC =
endif
PROGRAM_LIBS = $(if $(STATIC),-static-pie -l:libluajit-5.1.a -l:libcap.a -l:libyaml.a,\
	-pie -Wl$(comma)-E $(shell pkg-config --libs luajit) $(LIBS)) -lm
comma = ,
LIBS = $(shell pkg-config --libs libcap yaml-0.1)

CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(OPTIMISE) $(WARNINGS) $(HARDENING) $(SANITIZE) $(CFLAGS)
LDFLAGS_ALL = -Wl,-z,relro,-z,now $(SANITIZE) $(LDFLAGS)

CORE = $(filter-out core/main.c core/seccomp_gen.c,$(wildcard core/*.c))
BIND = $(wildcard core/bind/*.c)
MODULES = $(shell find lua/moonbox -name '*.lua' | LC_ALL=C sort)
CORE_OBJECTS = $(CORE:core/%.c=$(B)/core/%.o) $(BIND:core/bind/%.c=$(B)/bind/%.o)
HEADERS = $(wildcard core/*.h core/bind/*.h)

.PHONY: all setup demo test check bench asan install clean suite-packages
all: $(B)/moonbox $(B)/lib/moonbox/core.so

$(B)/moonbox: $(B)/core/main.o $(B)/modules.o $(CORE_OBJECTS)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PROGRAM_LIBS)

$(B)/lib/moonbox/core.so: $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -shared -o $@ $^ $(LIBS)

$(B)/core/%.o: core/%.c $(HEADERS) $(B)/seccomp_filters.h Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -I$(B) -c -o $@ $<

$(B)/core/main.o: CFLAGS_ALL += $(LUA_CFLAGS)

$(B)/bind/%.o: core/bind/%.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -fexceptions $(LUA_CFLAGS) -c -o $@ $<

$(B)/modules.c: lua/embed.lua $(MODULES)
	@mkdir -p $(@D)
	$(LUAJIT) lua/embed.lua $@ $(MODULES)

$(B)/modules.o: $(B)/modules.c
	$(CC) $(CFLAGS_ALL) -I. -c -o $@ $<

$(B)/seccomp_filters.h: $(B)/seccomp_gen
	$(B)/seccomp_gen > $@.new && mv $@.new $@

$(B)/seccomp_gen: core/seccomp_gen.c core/seccomp_table.h Makefile
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O1 $(WARNINGS) -o $@ $< $(shell pkg-config --libs libseccomp)

clean:
	rm -rf build
