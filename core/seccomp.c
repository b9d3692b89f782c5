#include "seccomp.h"

#include "seccomp_table.h"
#include "util.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp_filters.h"

const char *const seccomp_profile_names[SECCOMP_PROFILES] = {
    [SECCOMP_PROFILE_DEFAULT] = "default",
    [SECCOMP_PROFILE_STRICT] = "strict",
};

static const char *const answers[] = {
    [DO_ALLOW] = "allow",
    [DO_ASK] = "conditional",
    [DO_EPERM] = "EPERM",
    [DO_ENOSYS] = "ENOSYS",
};

/* As a kernel without it answers. Foreign architectures, whose numbers differ, are ended by "init" before it. */
static const struct sock_filter no_clone3[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

enum { ARGUMENTS, NUMBERS, INIT, NO_CLONE3, PROGRAMS };

static const struct seccomp_program programs[SECCOMP_PROFILES][PROGRAMS] = {
    [SECCOMP_PROFILE_DEFAULT] = {{"arguments", seccomp_arguments, ARRAY_LEN(seccomp_arguments)},
                                 {"numbers", seccomp_numbers_default, ARRAY_LEN(seccomp_numbers_default)},
                                 {"init", seccomp_init_default, ARRAY_LEN(seccomp_init_default)},
                                 {"no clone3", no_clone3, ARRAY_LEN(no_clone3)}},
    [SECCOMP_PROFILE_STRICT] = {{"arguments", seccomp_arguments, ARRAY_LEN(seccomp_arguments)},
                                {"numbers", seccomp_numbers_strict, ARRAY_LEN(seccomp_numbers_strict)},
                                {"init", seccomp_init_strict, ARRAY_LEN(seccomp_init_strict)},
                                {"no clone3", no_clone3, ARRAY_LEN(no_clone3)}},
};

/* "numbers" comes last: from then on only listed calls work, and seccomp(2) need not be among them. It is, for programs
 * that filter themselves, and so for "no clone3". */
static const struct {
    size_t n;
    int at[SECCOMP_MOST_PROGRAMS];
} uses[SECCOMP_USES] = {
    [SECCOMP_ALL] = {2, {ARGUMENTS, NUMBERS}},
    [SECCOMP_INIT] = {2, {ARGUMENTS, INIT}},
    [SECCOMP_COMMAND] = {3, {ARGUMENTS, INIT, NO_CLONE3}},
};

int seccomp_find_profile(const char *name, struct err *err)
{
    for (int i = 0; i < SECCOMP_PROFILES; i++)
        if (strcmp(name, seccomp_profile_names[i]) == 0)
            return i;
    return err_set(err, EINVAL, "no system call profile is called \"%s\"", name);
}

static int install(const struct seccomp_program *program, struct err *err)
{
    /* struct sock_fprog has no const; the kernel copies the program. */
    struct sock_fprog filter = {(unsigned short)program->length, (struct sock_filter *)program->code};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
        return err_sys(err, "system call filter \"%s\"", program->name);
    return 0;
}

int seccomp_install(enum seccomp_profile profile, enum seccomp_use use, struct err *err)
{
    for (size_t i = 0; i < uses[use].n; i++)
        if (install(&programs[profile][uses[use].at[i]], err) < 0)
            return -1;
    return 0;
}

int seccomp_forbid_clone3(struct err *err)
{
    return install(&programs[SECCOMP_PROFILE_DEFAULT][NO_CLONE3], err);
}

int seccomp_install_gateway(struct err *err)
{
    static const struct seccomp_program gateway = {"gateway", seccomp_gateway, ARRAY_LEN(seccomp_gateway)};
    return install(&gateway, err);
}

size_t seccomp_count(enum seccomp_use use)
{
    return uses[use].n;
}

struct seccomp_program seccomp_program(enum seccomp_profile profile, enum seccomp_use use, size_t index)
{
    return programs[profile][uses[use].at[index]];
}

int seccomp_row(enum seccomp_profile profile, size_t index, int *number, const char **name, const char **answer)
{
    if (index >= ARRAY_LEN(seccomp_rows))
        return -1;
    const struct seccomp_row *row = &seccomp_rows[index];
    *number = row->number;
    *name = row->name;
    *answer = answers[profile == SECCOMP_PROFILE_STRICT ? row->strict : row->standard];
    return 0;
}
