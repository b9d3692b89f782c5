/* seccomp.h - the system call filters of a sandbox's commands, made at build time from seccomp_table.h. */
#ifndef MOONBOX_SECCOMP_H
#define MOONBOX_SECCOMP_H

#include "err.h"

#include <stddef.h>

struct sock_filter;

enum seccomp_profile { SECCOMP_PROFILE_DEFAULT, SECCOMP_PROFILE_STRICT, SECCOMP_PROFILES };

extern const char *const seccomp_profile_names[SECCOMP_PROFILES];

/* The profile called `name`, or -1 with `err` set (EINVAL). */
int seccomp_find_profile(const char *name, struct err *err);

/* Puts the profile's filters on the calling thread, for ever, for it and all that it starts. The caller has
 * set no_new_privs (or has CAP_SYS_ADMIN), has one thread, and does this last before execve(2): afterwards
 * mounts, namespaces and identity of the machine are out of reach. Allocates nothing, so it is safe after
 * fork(2). Errors are those of seccomp(2): EACCES without no_new_privs, EINVAL on a kernel without filters.
 */
int seccomp_install(enum seccomp_profile profile, struct err *err);

/* The same for the gateway process: sockets of the internet, pipes, memory and time; nothing that takes a path. What
 * is not listed answers EPERM. */
int seccomp_install_gateway(struct err *err);

/* ---- for tests and `moonbox doctor` ---- */

/* One BPF program of a profile; `name` is "arguments" or "numbers". Borrowed, constant. */
struct seccomp_program {
    const char *name;
    const struct sock_filter *code;
    size_t length;
};

enum { SECCOMP_PROGRAMS = 2 };

/* The programs in the order of their installation. `index` is less than SECCOMP_PROGRAMS. */
struct seccomp_program seccomp_program(enum seccomp_profile profile, size_t index);

/* Row `index` of the table for this architecture: its number, its name and "allow", "conditional", "EPERM" or
 * "ENOSYS". Returns 0, or -1 past the end. */
int seccomp_row(enum seccomp_profile profile, size_t index, int *number, const char **name, const char **answer);

#endif
