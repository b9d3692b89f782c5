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

/* Whose filters they are: of init and of commands alike; where commands are born in control groups of their own
 * (core/leaves), of init, who alone may call clone3(2), and of such a command, who has init's and one more. */
enum seccomp_use { SECCOMP_ALL, SECCOMP_INIT, SECCOMP_COMMAND, SECCOMP_USES };

/* Puts the profile's filters on the calling thread, for ever, for it and all that it starts. The caller has
 * set no_new_privs (or has CAP_SYS_ADMIN), has one thread, and does this last before execve(2): afterwards
 * mounts, namespaces and identity of the machine are out of reach. Allocates nothing, so it is safe after
 * fork(2). Errors are those of seccomp(2): EACCES without no_new_privs, EINVAL on a kernel without filters.
 */
int seccomp_install(enum seccomp_profile profile, enum seccomp_use use, struct err *err);

/* Makes of SECCOMP_INIT's filters those of SECCOMP_COMMAND, for the calling thread; safe after vfork(2). */
int seccomp_forbid_clone3(struct err *err);

/* The same for the gateway process: sockets of the internet, pipes, memory and time; nothing that takes a path. What
 * is not listed answers EPERM. */
int seccomp_install_gateway(struct err *err);

/* ---- for tests and `moonbox doctor` ---- */

/* One BPF program of a profile; `name` is "arguments", "numbers", "init" or "no clone3". Borrowed, constant. */
struct seccomp_program {
    const char *name;
    const struct sock_filter *code;
    size_t length;
};

enum { SECCOMP_MOST_PROGRAMS = 3 };

/* The programs in the order of their installation. `index` is less than seccomp_count(use). */
size_t seccomp_count(enum seccomp_use use);
struct seccomp_program seccomp_program(enum seccomp_profile profile, enum seccomp_use use, size_t index);

/* Row `index` of the table for this architecture: its number, its name and "allow", "conditional", "EPERM" or
 * "ENOSYS". Returns 0, or -1 past the end. */
int seccomp_row(enum seccomp_profile profile, size_t index, int *number, const char **name, const char **answer);

#endif
