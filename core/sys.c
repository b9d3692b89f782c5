#include "sys.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t sys_clone3(uint64_t flags, int cgroup_fd, int *pidfd)
{
    struct clone_args args;
    memset(&args, 0, sizeof args);
    args.flags = flags;
    args.exit_signal = SIGCHLD;
    if (pidfd) {
        args.flags |= CLONE_PIDFD;
        args.pidfd = (uint64_t)(uintptr_t)pidfd;
    }
    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup_fd;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* What the child pushes lies over our return address, so that must wait in a register, which the kernel keeps. In C there
 * is no way to say so. */
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
        ".globl sys_vfork3\n"
        ".hidden sys_vfork3\n"
        ".type sys_vfork3, @function\n"
        "sys_vfork3:\n"
        "    endbr64\n"
        "    popq %rdx\n"
        "    movl $435, %eax\n"
        "    syscall\n"
        "    pushq %rdx\n"
        "    ret\n"
        ".size sys_vfork3, . - sys_vfork3\n"
        ".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
        ".globl sys_vfork3\n"
        ".hidden sys_vfork3\n"
        ".type sys_vfork3, %function\n"
        "sys_vfork3:\n"
        "    hint #34\n"
        "    mov x8, #435\n"
        "    svc #0\n"
        "    ret\n"
        ".size sys_vfork3, . - sys_vfork3\n"
        ".popsection\n");
#else
#error "sys_vfork3 is not written for this architecture"
#endif

int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = resolve;
    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

int sys_open_in_root(int rootfd, const char *path, uint64_t flags)
{
    return sys_openat2(rootfd, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int sys_pivot_root(const char *new_root, const char *put_old)
{
    return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int sys_pidfd_send_signal(int pidfd, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

void sys_default_signals(void)
{
    const long standard[8] = {0}; /* the kernel's struct sigaction: SIG_DFL, no flags */
    for (int sig = 1; sig < NSIG; sig++)
        syscall(SYS_rt_sigaction, sig, standard, NULL, (NSIG - 1) / 8);
}

void sys_ending_signals(sigset_t *set)
{
    struct sigaction hangup;
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGQUIT);
    if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN)
        sigaddset(set, SIGHUP);
}

long sys_join_new_session_keyring(void)
{
    enum { JOIN_SESSION_KEYRING = 1 }; /* linux/keyctl.h */
    return syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL);
}
