#include "setid.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum { SET_ID = S_ISUID | S_ISGID, CREATES = O_CREAT | (O_TMPFILE & ~O_DIRECTORY), MAX_CODE = 128 };

/* Calls with a mode; where `flags` is an argument, the mode counts only when that says that a file is made. */
static const struct {
    int call, mode, flags;
} calls[] = {
#ifdef SYS_chmod
    {SYS_chmod, 1, -1},  {SYS_creat, 1, -1},    {SYS_mknod, 1, -1},     {SYS_open, 2, 1},
#endif
    {SYS_fchmod, 1, -1}, {SYS_fchmodat, 2, -1}, {SYS_fchmodat2, 2, -1}, {SYS_mknodat, 2, -1}, {SYS_openat, 3, 2},
};

struct code {
    struct sock_filter at[MAX_CODE];
    unsigned short length;
};

static void add(struct code *code, unsigned short what, uint32_t k, uint8_t jt, uint8_t jf)
{
    code->at[code->length++] = (struct sock_filter){what, jt, jf, k};
}

/* The low half of an argument: all that the kernel reads of a mode or of flags (little endian). */
static void add_load(struct code *code, int argument)
{
    uint32_t at = (uint32_t)(offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t)argument);
    add(code, BPF_LD | BPF_W | BPF_ABS, at, 0, 0);
}

int setid_forbid(struct err *err)
{
    struct code code = {.length = 0};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        uint8_t body = calls[i].flags >= 0 ? 7 : 4;
        add(&code, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
        add(&code, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].call, 0, body);
        if (calls[i].flags >= 0) {
            add_load(&code, calls[i].flags);
            add(&code, BPF_JMP | BPF_JSET | BPF_K, CREATES, 1, 0);
            add(&code, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
        }
        add_load(&code, calls[i].mode);
        add(&code, BPF_JMP | BPF_JSET | BPF_K, SET_ID, 0, 1);
        add(&code, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
        add(&code, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    }
    add(&code, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    add(&code, BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1);
    add(&code, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
    add(&code, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    struct sock_fprog program = {code.length, code.at};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return err_sys(err, "forbid set-user-id files");
    return 0;
}
