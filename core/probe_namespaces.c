#include "probe_parts.h"

#include "idmap.h"
#include "owner.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_map(const char *path, unsigned id)
{
    char text[64];
    snprintf(text, sizeof text, "0 %u 1", id);
    return util_write_file(AT_FDCWD, path, text);
}

int probe_enter(int flags, struct probe_fact *fact)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER) < 0) {
        probe_no(fact, "make a user namespace");
        return -1;
    }
    if (util_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 || write_map("/proc/self/uid_map", uid) < 0 ||
        write_map("/proc/self/gid_map", gid) < 0) {
        probe_no(fact, "map one's own id into a user namespace");
        return -1;
    }
    if (flags && unshare(flags) < 0) {
        probe_no(fact, "make further namespaces in a user namespace");
        return -1;
    }
    if ((flags & CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        probe_no(fact, "change a mount in a user namespace");
        return -1;
    }
    return 0;
}

/* The user namespace and those of `number`; with a mount namespace, a tmpfs in it. */
void probe_namespaces(const struct probe_case *with, struct probe_fact *fact)
{
    if (probe_enter(with->number, fact) < 0)
        return;
    if ((with->number & CLONE_NEWNS) && mount("none", "/tmp", "tmpfs", 0, "size=64k") < 0) {
        probe_no(fact, "mount a tmpfs in a user namespace");
        return;
    }
    probe_yes(fact, "made and used");
}

static void mount_proc(int report)
{
    struct probe_fact fact = {.ok = false};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        probe_no(&fact, "mount /proc in a new pid namespace");
    else
        probe_yes(&fact, "mounted in a new pid namespace");
    _exit(util_write_all(report, &fact, sizeof fact) == 0 ? 0 : 1);
}

/* mount_namespaces(7): a user namespace may mount proc only where the host's own is fully visible. */
void probe_proc(const struct probe_case *with, struct probe_fact *fact)
{
    int report[2];
    (void)with;
    if (probe_enter(CLONE_NEWNS | CLONE_NEWPID, fact) < 0)
        return;
    if (pipe2(report, O_CLOEXEC) < 0) {
        probe_no(fact, "make a pipe");
        return;
    }
    pid_t pid = fork();
    if (pid < 0) {
        probe_no(fact, "start process 1 of a pid namespace");
        return;
    }
    if (pid == 0)
        mount_proc(report[1]);
    close(report[1]);
    if (read(report[0], fact, sizeof *fact) != (ssize_t)sizeof *fact)
        probe_no(fact, "process 1 of a pid namespace died");
    waitpid(pid, NULL, 0);
}

/* A network namespace in which the loopback interface can be brought up. */
void probe_network(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    if (probe_enter(CLONE_NEWNET, fact) < 0)
        return;
    struct ifreq request = {.ifr_name = "lo"};
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        probe_no(fact, "look at the loopback interface of a new network namespace");
        return;
    }
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
        probe_no(fact, "bring up the loopback interface of a new network namespace");
        return;
    }
    probe_yes(fact, "made, with its loopback interface up");
}

/* What a sandbox of root's needs of its ids: core/owner, core/idmap, and pipes that are its agent's. */
void probe_id_range(const struct probe_case *with, struct probe_fact *fact)
{
    const struct idmap map = {.range = true, .uid_base = IDMAP_FIRST, .gid_base = IDMAP_FIRST, .lock = -1};
    struct err err;
    int ends[2], pidfd = -1;
    (void)with;
    if (pipe2(ends, O_CLOEXEC) < 0 || fchown(ends[0], IDMAP_FIRST, IDMAP_FIRST) < 0) {
        probe_no(fact, "give a pipe to user %d", IDMAP_FIRST);
        return;
    }
    pid_t pid = owner_clone(IDMAP_FIRST, CLONE_NEWUSER, -1, &pidfd, &err);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (pid > 0 && idmap_write(&map, pid, &err) == 0) {
        probe_yes(fact, "%d for each sandbox, from %d on", IDMAP_RANGE, IDMAP_FIRST);
    } else {
        errno = err.code;
        probe_no(fact, pid > 0 ? "map %d ids from %d on" : "make a user namespace that one of %d ids from %d on owns",
                 IDMAP_RANGE, IDMAP_FIRST);
    }
    if (pid > 0)
        kill(pid, SIGKILL);
}
