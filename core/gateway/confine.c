#include "confine.h"

#include "../caps.h"
#include "../seccomp.h"
#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Nothing in a sandbox can have it: the agent's nested namespace maps the agent's id alone. */
enum { GATEWAY_ID = 65533 };

static int die_with(pid_t parent, struct err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_sys(err, "die with the supervisor");
    return parent == 0 || getppid() == parent ? 0 : err_set(err, ESRCH, "the supervisor went away");
}

static int standard_streams(struct err *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
        return err_sys(err, "open /dev/null");
    return null > 2 ? close(null) : 0;
}

static int raise_limits(struct err *err)
{
    struct rlimit files, none = {0, 0};
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return err_sys(err, "ask for the limit of open files");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return err_sys(err, "set resource limits");
    return 0;
}

int confine_first(pid_t parent, int *fds, int n, struct err *err)
{
    if (die_with(parent, err) < 0)
        return -1;
    if (setsid() < 0)
        return err_sys(err, "start a session");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is an error of write(2) */
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NAME, "moonbox-gateway") < 0)
        return err_sys(err, "become undumpable");
    if (util_keep_fds(fds, n, 3) < 0)
        return err_sys(err, "close what was inherited");
    return standard_streams(err) < 0 ? -1 : raise_limits(err);
}

int confine_for_good(int user_namespace, bool own_ids, bool verdicts, struct err *err)
{
    const uint64_t keep = verdicts ? UINT64_C(1) << CAP_NET_ADMIN : 0;
    if (geteuid() == 0 && setgroups(0, NULL) < 0)
        return err_sys(err, "drop the supplementary groups");
    if (setns(user_namespace, CLONE_NEWUSER) < 0)
        return err_sys(err, "enter the sandbox's outer user namespace");
    if (own_ids &&
        (setresgid(GATEWAY_ID, GATEWAY_ID, GATEWAY_ID) < 0 || setresuid(GATEWAY_ID, GATEWAY_ID, GATEWAY_ID) < 0))
        return err_sys(err, "take an id of its own");
    if (caps_keep_only(keep, err) < 0)
        return -1;
    /* A change of ids has cleared it: prctl(2). */
    if (die_with(0, err) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(err, "set no_new_privs");
    return seccomp_install_gateway(err);
}
