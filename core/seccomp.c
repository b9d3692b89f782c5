#include "seccomp.h"

#include "seccomp_table.h"
#include "util.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
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

/* "numbers" comes last: from then on only listed calls work, and seccomp(2) need not be among them. */
static const struct seccomp_program programs[SECCOMP_PROFILES][SECCOMP_PROGRAMS] = {
    [SECCOMP_PROFILE_DEFAULT] = {{"arguments", seccomp_arguments, ARRAY_LEN(seccomp_arguments)},
                                 {"numbers", seccomp_numbers_default, ARRAY_LEN(seccomp_numbers_default)}},
    [SECCOMP_PROFILE_STRICT] = {{"arguments", seccomp_arguments, ARRAY_LEN(seccomp_arguments)},
                                {"numbers", seccomp_numbers_strict, ARRAY_LEN(seccomp_numbers_strict)}},
};

int seccomp_find_profile(const char *name, struct err *err)
{
    for (int i = 0; i < SECCOMP_PROFILES; i++)
        if (strcmp(name, seccomp_profile_names[i]) == 0)
            return i;
    return err_set(err, EINVAL, "no system call profile is called \"%s\"", name);
}

int seccomp_install(enum seccomp_profile profile, struct err *err)
{
    for (size_t i = 0; i < SECCOMP_PROGRAMS; i++) {
        const struct seccomp_program *program = &programs[profile][i];
        /* struct sock_fprog has no const; the kernel copies the program. */
        struct sock_fprog filter = {(unsigned short)program->length, (struct sock_filter *)program->code};
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
            return err_sys(err, "system call filter \"%s\"", program->name);
    }
    return 0;
}

int seccomp_install_gateway(struct err *err)
{
    /* As above. */
    struct sock_fprog filter = {ARRAY_LEN(seccomp_gateway), (struct sock_filter *)seccomp_gateway};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
        return err_sys(err, "filter the gateway's system calls");
    return 0;
}

struct seccomp_program seccomp_program(enum seccomp_profile profile, size_t index)
{
    return programs[profile][index];
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
