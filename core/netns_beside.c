#include "netns_beside.h"

#include "netns.h"
#include "util.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* errno is shared with the child, which decides by it. It must not be written here but on the way to a failed start: no
 * call whose failure is no trouble, and nothing that puts an errno back. */
static int make(void *context)
{
    struct netns_beside *beside = context;
    if (unshare(CLONE_NEWNET) < 0) {
        err_sys(&beside->err, "make a network namespace (moonbox doctor says what this host allows)");
        return 1;
    }
    beside->fd = netns_loopback_up(&beside->err);
    return 0;
}

int netns_begin(struct netns_beside *beside, struct err *err)
{
    enum { STACK = 64 << 10 };
    static _Alignas(16) char stack[STACK];
    *beside = (struct netns_beside){.fd = -1};
    beside->pid = clone(make, stack + STACK, CLONE_VM | CLONE_FILES | SIGCHLD, beside);
    return beside->pid > 0 ? 0 : err_sys(err, "start a process that makes the network namespace");
}

int netns_join(struct netns_beside *beside, struct err *err)
{
    pid_t waited;
    do {
        waited = waitpid(beside->pid, NULL, 0);
    } while (waited < 0 && errno == EINTR);
    if (waited < 0)
        return err_sys(err, "wait for the network namespace");
    cleanup_fd int fd = steal_fd(&beside->fd);
    if (fd < 0) {
        *err = beside->err;
        return -1;
    }
    return setns(fd, CLONE_NEWNET) == 0 ? 0 : err_sys(err, "enter the network namespace");
}
