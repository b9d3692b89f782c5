/* seccomp_gen.c - build-time program: writes the seccomp filters as C arrays to standard output.
 *
 * Two programs work together, and the kernel takes the stricter answer of the two (seccomp(2): any errno comes before
 * "allow"):
 *   "numbers"    one for each profile: an allowlist of call numbers, as a binary search. Says ENOSYS by default and
 *                kills on a foreign architecture, x32 numbers included.  "init" is the same with clone3, for process 1
 *                of sandboxes whose commands have control groups of their own (core/leaves); those commands get a filter
 *                more, which refuses it.
 *   "arguments"  the same for all profiles: allows by default and refuses arguments. libseccomp can't say "every ioctl
 *                but these" and "ENOSYS by default" in one program: a call with both an unconditional and a
 *                conditional rule keeps the unconditional one only.
 * Calls that no argument decides are constant in both, so the kernel (5.11 and later) answers them from its bitmap
 * without running a program at all.
 *
 * Argument rules: the kernel passes 64 bits, and most calls read the low 32. A rule that refuses a value therefore masks
 * with 32 bits; a rule that refuses all values above a bound compares 64, so that high bits are refused too. Doing
 * neither is CVE-2019-10063 (TIOCSTI | 1 << 32). */
#include "seccomp_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOW32 0xffffffffULL
#define PROFILE_DEFAULT "default"
#define PROFILE_STRICT "strict"

enum { MAX_INSTRUCTIONS = 4096, SOCKET_TYPE_MASK = 0xf, LEVEL_TCP = 6, OPTION_TCP_ULP = 31 };

__attribute__((noreturn, format(printf, 2, 3))) static void die(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("seccomp_gen: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, ": %s\n", strerror(code));
    exit(1);
}

/* The row's number on the architecture that this program runs on; -1 when it doesn't exist there. */
static int native_number(const struct seccomp_row *row)
{
    int number = seccomp_syscall_resolve_name(row->name);
    bool x86_64 = seccomp_arch_native() == SCMP_ARCH_X86_64;
    if (number >= 0 && x86_64 && number != row->number)
        die(EINVAL, "%s has number %d here and %d in the table", row->name, number, row->number);
    if (number >= 0)
        return number;
    return x86_64 || row->number >= SECCOMP_FIRST_COMMON ? row->number : -1;
}

static enum seccomp_action action_in(const struct seccomp_row *row, const char *profile)
{
    return strcmp(profile, PROFILE_STRICT) == 0 ? row->strict : row->standard;
}

static scmp_filter_ctx new_filter(uint32_t otherwise)
{
    scmp_filter_ctx filter = seccomp_init(otherwise);
    if (!filter)
        die(ENOMEM, "seccomp_init");
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (failed)
        die(-failed, "ACT_BADARCH");
    failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (failed)
        die(-failed, "CTL_OPTIMIZE");
    return filter;
}

static void write_code(const struct sock_filter *code, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("    { 0x%02x, %u, %u, 0x%08x },\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
}

static void write_array(const char *name, void (*before)(void), const struct sock_filter *code, size_t count)
{
    printf("static const struct sock_filter seccomp_%s[] = {\n", name);
    if (before)
        before();
    write_code(code, count);
    printf("};\n\n");
}

/* Writes the filter as `static const struct sock_filter seccomp_<name>[]`, after what `before` (NULL: nothing) writes, and
 * releases it. */
static void emit(scmp_filter_ctx filter, const char *name, void (*before)(void))
{
    struct sock_filter program[MAX_INSTRUCTIONS];
    FILE *file = tmpfile();
    if (!file)
        die(errno, "temporary file");
    int failed = seccomp_export_bpf(filter, fileno(file));
    if (failed)
        die(-failed, "export %s", name);
    rewind(file);
    size_t count = fread(program, sizeof program[0], MAX_INSTRUCTIONS, file);
    if (count == 0 || count == MAX_INSTRUCTIONS)
        die(E2BIG, "export %s", name);
    write_array(name, before, program, count);
    fclose(file);
    seccomp_release(filter);
}

/* ---- "numbers": a binary search over ranges of calls with the same answer. libseccomp's own tree has a comparison for
 * each call, four times as many instructions, which the kernel checks and compiles at each start. ---- */

enum { MAX_NUMBER = 600, X32_BIT = 0x40000000 };

struct range {
    uint32_t first, answer;
};

static uint32_t answer_of(enum seccomp_action action)
{
    if (action == DO_ENOSYS)
        return SECCOMP_RET_ERRNO | ENOSYS;
    return action == DO_EPERM ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW;
}

/* `also` is allowed besides: what init of some sandboxes may call and commands may not; NULL nothing. */
static size_t find_ranges(const char *profile, const char *also, struct range *ranges)
{
    uint32_t answers[MAX_NUMBER];
    size_t count = 0;
    for (size_t i = 0; i < MAX_NUMBER; i++)
        answers[i] = SECCOMP_RET_ERRNO | ENOSYS;
    for (size_t i = 0; i < sizeof seccomp_table / sizeof seccomp_table[0]; i++) {
        int number = native_number(&seccomp_table[i]);
        if (number >= MAX_NUMBER)
            die(ERANGE, "%s", seccomp_table[i].name);
        if (number >= 0)
            answers[number] = also && strcmp(seccomp_table[i].name, also) == 0
                                  ? SECCOMP_RET_ALLOW
                                  : answer_of(action_in(&seccomp_table[i], profile));
    }
    for (uint32_t i = 0; i < MAX_NUMBER; i++)
        if (i == 0 || answers[i] != answers[i - 1])
            ranges[count++] = (struct range){i, answers[i]};
    if (seccomp_arch_native() == SCMP_ARCH_X86_64)
        ranges[count++] = (struct range){X32_BIT, SECCOMP_RET_KILL_PROCESS};
    /* What a tracer writes to skip a call. */
    ranges[count++] = (struct range){UINT32_MAX, SECCOMP_RET_ERRNO | ENOSYS};
    return count;
}

struct code {
    struct sock_filter at[MAX_INSTRUCTIONS];
    size_t length;
};

static size_t add(struct code *code, struct sock_filter instruction)
{
    if (code->length == MAX_INSTRUCTIONS)
        die(E2BIG, "numbers");
    code->at[code->length] = instruction;
    return code->length++;
}

static void add_search(struct code *code, const struct range *ranges, size_t count)
{
    if (count == 1) {
        add(code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, ranges[0].answer));
        return;
    }
    size_t half = count / 2;
    size_t test = add(code, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ranges[half].first, 0, 0));
    add_search(code, ranges, half);
    if (code->length - test - 1 > UINT8_MAX)
        die(E2BIG, "a jump in numbers");
    code->at[test].jt = (uint8_t)(code->length - test - 1);
    add_search(code, ranges + half, count - half);
}

/* AUDIT_ARCH_*: seccomp(2). */
static uint32_t audit_arch(void)
{
    return seccomp_arch_native() == SCMP_ARCH_AARCH64 ? AUDIT_ARCH_AARCH64 : AUDIT_ARCH_X86_64;
}

static void emit_numbers(const char *profile, const char *prefix, const char *also)
{
    static struct code code;
    struct range ranges[MAX_NUMBER + 2];
    size_t count = find_ranges(profile, also, ranges);
    code.length = 0;
    add(&code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    add(&code, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit_arch(), 1, 0));
    add(&code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    add(&code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    add_search(&code, ranges, count);
    char name[64];
    snprintf(name, sizeof name, "%s_%s", prefix, profile);
    write_array(name, NULL, code.at, code.length);
}

static void emit_rows(void)
{
    printf("static const struct seccomp_row seccomp_rows[] = {\n");
    for (size_t i = 0; i < sizeof seccomp_table / sizeof seccomp_table[0]; i++) {
        const struct seccomp_row *row = &seccomp_table[i];
        int number = native_number(row);
        if (number >= 0)
            printf("    { %d, \"%s\", %d, %d },\n", number, row->name, (int)row->standard, (int)row->strict);
    }
    printf("};\n\n");
}

/* ---- argument rules: each call below refuses, with `code`, what all the comparisons that it gets match ---- */

static void refuse(scmp_filter_ctx filter, int code, int call, unsigned count, const struct scmp_arg_cmp *when)
{
    int failed = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)code), call, count, when);
    if (failed)
        die(-failed, "argument rule for call %d", call);
}

static struct scmp_arg_cmp is(unsigned arg, uint64_t value)
{
    return (struct scmp_arg_cmp){arg, SCMP_CMP_MASKED_EQ, LOW32, value};
}

static struct scmp_arg_cmp bits(unsigned arg, uint64_t mask, uint64_t value)
{
    return (struct scmp_arg_cmp){arg, SCMP_CMP_MASKED_EQ, mask, value};
}

static struct scmp_arg_cmp above(unsigned arg, uint64_t bound)
{
    return (struct scmp_arg_cmp){arg, SCMP_CMP_GT, bound, 0};
}

/* unshare(2), setns(2) and clone3(2) are refused by number; CLONE_NEWTIME exists for unshare and clone3 only.
 */
static void refuse_new_namespaces(scmp_filter_ctx filter)
{
    static const uint64_t flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                     CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        refuse(filter, EPERM, SCMP_SYS(clone), 1, (struct scmp_arg_cmp[]){bits(0, flags[i], flags[i])});
}

/* Typing into a terminal that an outer shell reads (TIOCSTI, TIOCLINUX), changing its line discipline, and
 * stopping or trimming a whole filesystem. */
static void refuse_ioctls(scmp_filter_ctx filter)
{
    static const uint64_t requests[] = {TIOCSTI, TIOCLINUX, TIOCSETD, FIFREEZE, FITRIM};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        refuse(filter, EPERM, SCMP_SYS(ioctl), 1, (struct scmp_arg_cmp[]){is(1, requests[i])});
}

/* setsockopt(SOL_TCP, TCP_ULP) loads kernel TLS and other modules into a connection's path. */
static void refuse_tcp_ulp(scmp_filter_ctx filter)
{
    refuse(filter, EPERM, SCMP_SYS(setsockopt), 2, (struct scmp_arg_cmp[]){is(1, LEVEL_TCP), is(2, OPTION_TCP_ULP)});
}

/* Numbers whose bits under `mask` are `value`. */
struct pattern {
    uint64_t mask, value;
};

/* Few patterns instead of many numbers: each comparison costs every start of a sandbox, in the kernel's check. */
static void refuse_patterns(scmp_filter_ctx filter, int call, unsigned count, struct scmp_arg_cmp *when,
                            const struct pattern *patterns)
{
    for (; patterns->mask; patterns++) {
        struct scmp_arg_cmp *last = &when[count - 1];
        *last = bits(last->arg, patterns->mask, patterns->value);
        refuse(filter, EAFNOSUPPORT, call, count, when);
    }
}

/* An internet family: stream sockets speak TCP (6), datagram sockets UDP (17); 0 is the type's own protocol. */
static void refuse_other_internet(scmp_filter_ctx filter, uint64_t family)
{
    static const struct pattern types[] = {/* all of 0..15 but 1 and 2 */
                                           {SOCKET_TYPE_MASK, 0},
                                           {3, 3},
                                           {4, 4},
                                           {8, 8},
                                           {0, 0}};
    static const struct {
        uint64_t type, protocol;
        struct pattern below[6]; /* all of 1..protocol-1 */
    } spoken[] = {{SOCK_STREAM, 6, {{1, 1}, {7, 2}, {7, 4}, {0, 0}}},
                  {SOCK_DGRAM, 17, {{2, 2}, {4, 4}, {8, 8}, {31, 1}, {31, 16}, {0, 0}}}};
    struct scmp_arg_cmp type[] = {is(0, family), bits(1, 0, 0)};
    refuse_patterns(filter, SCMP_SYS(socket), 2, type, types);
    for (size_t i = 0; i < sizeof spoken / sizeof spoken[0]; i++) {
        struct scmp_arg_cmp when[] = {is(0, family), bits(1, SOCKET_TYPE_MASK, spoken[i].type), bits(2, 0, 0)};
        refuse_patterns(filter, SCMP_SYS(socket), 3, when, spoken[i].below);
        when[2] = above(2, spoken[i].protocol);
        refuse(filter, EAFNOSUPPORT, SCMP_SYS(socket), 3, when);
    }
}

/* Sockets of the families Unix (1), IPv4 (2), IPv6 (10) and route netlink (16; getifaddrs(3) needs it), and of no other. */
static void refuse_other_sockets(scmp_filter_ctx filter)
{
    static const struct pattern families[] = {/* all of 0..15 but 1, 2 and 10 */
                                              {31, 0},
                                              {7, 3},
                                              {4, 4},
                                              {14, 8},
                                              {0, 0}};
    struct scmp_arg_cmp family[] = {bits(0, 0, 0)};
    refuse_patterns(filter, SCMP_SYS(socket), 1, family, families);
    refuse(filter, EAFNOSUPPORT, SCMP_SYS(socket), 1, (struct scmp_arg_cmp[]){above(0, AF_NETLINK)});
    refuse_other_internet(filter, AF_INET);
    refuse_other_internet(filter, AF_INET6);
    refuse(filter, EAFNOSUPPORT, SCMP_SYS(socket), 2, (struct scmp_arg_cmp[]){is(0, AF_NETLINK), above(2, 0)});
    refuse(filter, EAFNOSUPPORT, SCMP_SYS(socketpair), 1, (struct scmp_arg_cmp[]){is(0, AF_UNSPEC)});
    refuse(filter, EAFNOSUPPORT, SCMP_SYS(socketpair), 1, (struct scmp_arg_cmp[]){above(0, AF_UNIX)});
}

/* personality(2): only 0, PER_LINUX32, UNAME26, both, ADDR_NO_RANDOMIZE (gdb, sanitizers) and 0xffffffff, which asks.
 * libseccomp can't say "none of these", so the comparisons are written out and stand before its program; jumps are
 * relative, so that needs no change. The kernel reads the low 32 bits. */
static void write_personalities(void)
{
    static const uint32_t allowed[] = {0, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26, 0xffffffff, ADDR_NO_RANDOMIZE};
    enum { COUNT = sizeof allowed / sizeof allowed[0] };
    const uint32_t number = (uint32_t)seccomp_syscall_resolve_name("personality");
    static struct code code;
    add(&code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    add(&code, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, COUNT + 2));
    add(&code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
    for (size_t i = 0; i < COUNT; i++)
        add(&code, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], (uint8_t)(COUNT - i), 0));
    add(&code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    write_code(code.at, code.length);
}

static void emit_arguments(void)
{
    scmp_filter_ctx filter = new_filter(SCMP_ACT_ALLOW);
    refuse_new_namespaces(filter);
    refuse_ioctls(filter);
    refuse_tcp_ulp(filter);
    refuse_other_sockets(filter);
    emit(filter, "arguments", write_personalities);
}

/* ---- the gateway's own filter ---- */

static void allow_if(scmp_filter_ctx filter, const char *name, unsigned count, const struct scmp_arg_cmp *when)
{
    int call = seccomp_syscall_resolve_name(name);
    int failed = call < 0 ? 0 : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, when);
    if (failed)
        die(-failed, "gateway: %s", name);
}

/* Memory that can be run is never asked for: the gateway compiles nothing. */
static void allow_memory(scmp_filter_ctx filter)
{
    enum { PROTECTION = 2, EXECUTABLE = 4 };
    allow_if(filter, "mmap", 1, (struct scmp_arg_cmp[]){bits(PROTECTION, EXECUTABLE, 0)});
    allow_if(filter, "mprotect", 1, (struct scmp_arg_cmp[]){bits(PROTECTION, EXECUTABLE, 0)});
}

static void allow_sockets(scmp_filter_ctx filter)
{
    static const uint64_t families[] = {AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (size_t f = 0; f < 2; f++)
        for (size_t t = 0; t < 2; t++)
            allow_if(filter, "socket", 2,
                     (struct scmp_arg_cmp[]){is(0, families[f]), bits(1, SOCKET_TYPE_MASK, types[t])});
}

static void emit_gateway(void)
{
    static const char *const calls[] = {
        "read",           "write",           "readv",        "writev",      "close",
        "recvfrom",       "recvmsg",         "sendto",       "sendmsg",     "accept4",
        "connect",        "getsockname",     "getpeername",  "setsockopt",  "getsockopt",
        "shutdown",       "epoll_wait",      "epoll_pwait",  "epoll_ctl",   "pipe2",
        "splice",         "munmap",          "mremap",       "brk",         "madvise",
        "futex",          "clock_gettime",   "gettimeofday", "time",        "getrandom",
        "rt_sigprocmask", "rt_sigaction",    "rt_sigreturn", "sigaltstack", "timer_settime",
        "setitimer",      "restart_syscall", "exit",         "exit_group",  "getpid",
        "gettid",         "tgkill",
    };
    scmp_filter_ctx filter = new_filter(SCMP_ACT_ERRNO(EPERM));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        allow_if(filter, calls[i], 0, NULL);
    allow_if(filter, "fcntl", 1, (struct scmp_arg_cmp[]){is(1, F_SETPIPE_SZ)});
    allow_memory(filter);
    allow_sockets(filter);
    emit(filter, "gateway", NULL);
}

int main(void)
{
    printf("/* Written by seccomp_gen. */\n\n");
    emit_rows();
    emit_arguments();
    emit_numbers(PROFILE_DEFAULT, "numbers", NULL);
    emit_numbers(PROFILE_STRICT, "numbers", NULL);
    emit_numbers(PROFILE_DEFAULT, "init", "clone3");
    emit_numbers(PROFILE_STRICT, "init", "clone3");
    emit_gateway();
    if (fflush(stdout) != 0)
        die(errno, "standard output");
    return 0;
}
