#include "owner.h"

#include "sys.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A change of the effective id clears the effective capabilities, and with root as real and saved id no others
 * (capabilities(7)). */
static int become(uid_t uid, cap_t capabilities)
{
    return setresuid((uid_t)-1, uid, (uid_t)-1) < 0 ? -1 : cap_set_proc(capabilities);
}

int owner_no_clone(struct err *err)
{
    if (errno == EAGAIN)
        return err_sys(err, "start a process (ulimit -u, pids.max of a control group)");
    return err_sys(err, "clone into new namespaces (moonbox doctor says what this host allows)");
}

pid_t owner_clone(uid_t owner, uint64_t flags, int cgroup_fd, int *pidfd, struct err *err)
{
    cap_t capabilities = cap_get_proc();
    int dumpable = prctl(PR_GET_DUMPABLE), failed = 0, death_signal = 0;
    pid_t parent = getppid();
    prctl(PR_GET_PDEATHSIG, &death_signal);
    if (!capabilities)
        return err_sys(err, "read the capabilities");
    bool owned = become(owner, capabilities) == 0;
    pid_t pid = owned ? sys_clone3(flags, cgroup_fd, pidfd) : -1;
    if (pid == 0)
        return 0;
    if (pid < 0)
        failed = errno;
    /* A process that can't be root again is of no use to anybody. */
    if (become(0, capabilities) < 0)
        _exit(70);
    if (dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1);
    /* Whoever started us may want us to die with him, and a change of ids forgets that (PR_SET_PDEATHSIG, prctl(2)). */
    if (death_signal > 0) {
        prctl(PR_SET_PDEATHSIG, death_signal);
        if (getppid() != parent)
            raise(death_signal);
    }
    cap_free(capabilities);
    errno = failed;
    if (pid >= 0)
        return pid;
    return owned ? owner_no_clone(err)
                 : err_sys(err, "become user %u (moonbox doctor says what this host allows)", owner);
}
