/* sys.h - thin wrappers for system calls that this C library (glibc 2.36 on Debian 12) does not wrap, with the
 * arguments that moonbox uses.  Each returns what the kernel returns: negative with errno set on failure. */
#ifndef MOONBOX_SYS_H
#define MOONBOX_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rusage;

/* clone3(2). `cgroup_fd` is -1 unless CLONE_INTO_CGROUP is wanted; `*pidfd` is set when not NULL (O_CLOEXEC). */
pid_t sys_clone3(uint64_t flags, int cgroup_fd, int *pidfd);

/* The same as vfork(2): the child has our memory and our stack until it executes or ends, and must not return from the
 * function that called this. `args` is struct clone_args of linux/sched.h. Returns as vfork, but failure as -errno. */
struct clone_args;
long sys_vfork3(const struct clone_args *args, size_t size) __attribute__((returns_twice));

/* openat2(2) with resolve flags; O_CLOEXEC is added. */
int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

/* The path resolved as if `rootfd` were the root: no `..` and no symlink leaves it, magic links are refused. */
int sys_open_in_root(int rootfd, const char *path, uint64_t flags);

int sys_pivot_root(const char *new_root, const char *put_old);
int sys_pidfd_send_signal(int pidfd, int signal);

/* Every signal's default disposition. Not by signal(3): the C library refuses 32 and 33, its threads' own, and whoever
 * executed us may have left those ignored too. */
void sys_default_signals(void);

/* SIGINT, SIGTERM, SIGQUIT and SIGHUP: what ends a caller. SIGHUP isn't among them where it is ignored, as under nohup(1);
 * SIGINT is, because shells ignore it for every job in the background. */
void sys_ending_signals(sigset_t *set);

/* keyctl(2) KEYCTL_JOIN_SESSION_KEYRING with no name: a new, empty session keyring. */
long sys_join_new_session_keyring(void);

#endif
