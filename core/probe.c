#include "probe_parts.h"

#include "tree.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cgroup.h"

static const struct {
    const char *name;
    probe_function *run;
    const char *argument;
    int number;
    bool folder;
} probes[] = {
    {"kernel", probe_kernel, NULL, 0, false},
    {"sysctl.unprivileged_userns_clone", probe_sysctl, "kernel/unprivileged_userns_clone", 0, false},
    {"sysctl.max_user_namespaces", probe_sysctl, "user/max_user_namespaces", 0, false},
    {"sysctl.apparmor_restrict_unprivileged_userns", probe_sysctl, "kernel/apparmor_restrict_unprivileged_userns", 0,
     false},
    {"apparmor", probe_apparmor, NULL, 0, false},
    {"confined", probe_confined, NULL, 0, false},
    {"user_namespace", probe_namespaces, NULL, 0, false},
    {"mount_namespace", probe_namespaces, NULL, CLONE_NEWNS, false},
    {"network_namespace", probe_network, NULL, 0, false},
    {"other_namespaces", probe_namespaces, NULL, CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, false},
    {"proc", probe_proc, NULL, 0, false},
    {"mount_api", probe_mount_api, NULL, 0, true},
    {"overlay", probe_overlay, NULL, 0, true},
    {"overlay_tmpfs", probe_overlay_tmpfs, NULL, 0, false},
    {"user_xattr", probe_user_xattr, NULL, 0, true},
    {"idmapped_mount", probe_idmapped, NULL, 0, true},
    {"id_range", probe_id_range, NULL, 0, false},
    {"subuid", probe_subordinate, "/etc/subuid", 0, false},
    {"subgid", probe_subordinate, "/etc/subgid", 0, false},
    {"newuidmap", probe_id_helper, "newuidmap", 0, false},
    {"newgidmap", probe_id_helper, "newgidmap", 0, false},
    {"seccomp", probe_seccomp, NULL, 0, false},
    {"landlock", probe_landlock, NULL, 0, false},
    {"clone3", probe_clone3, NULL, 0, false},
    {"pidfd", probe_pidfd, NULL, 0, false},
    {"openat2", probe_openat2, NULL, 0, false},
    {"close_range", probe_close_range, NULL, 0, false},
    {"cgroup.version", probe_cgroup_version, NULL, 0, false},
    {"cgroup.cpu", probe_controller, NULL, CGROUP_CPU, false},
    {"cgroup.memory", probe_controller, NULL, CGROUP_MEMORY, false},
    {"cgroup.pids", probe_controller, NULL, CGROUP_PIDS, false},
    {"cgroup.io", probe_cgroup_io, NULL, 0, false},
    {"cgroup.kill", probe_cgroup_kill, NULL, 0, false},
    {"memory_peak", probe_memory_peak, NULL, 0, false},
    {"nftables", probe_nftables, "table", 0, false},
    {"nft_tproxy", probe_nftables, "tproxy", 0, false},
    {"nft_log", probe_nftables, "log", 0, false},
    {"nft_queue", probe_nftables, "queue", 0, false},
    {"capture", probe_capture, NULL, 0, false},
    {"fuse", probe_fuse, NULL, 0, false},
    {"kvm", probe_kvm, NULL, 0, false},
    {"loop", probe_loop, NULL, 0, true},
    {"git", probe_program, "git", 0, false},
};

const char *probe_name(size_t index)
{
    return index < ARRAY_LEN(probes) ? probes[index].name : NULL;
}

void probe_yes(struct probe_fact *fact, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fact->detail, sizeof fact->detail, fmt, ap);
    va_end(ap);
    fact->ok = true;
    fact->error = 0;
}

void probe_no(struct probe_fact *fact, const char *fmt, ...)
{
    fact->error = errno;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fact->detail, sizeof fact->detail, fmt, ap);
    va_end(ap);
    fact->ok = false;
}

static void child(size_t index, const char *folder, int report)
{
    struct probe_fact fact = {.ok = false};
    struct probe_case with = {folder, probes[index].argument, probes[index].number};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    errno = 0;
    probes[index].run(&with, &fact);
    _exit(util_write_all(report, &fact, sizeof fact) == 0 ? 0 : 1);
}

/* Waits for the child's fact until the time is over, then ends it in any case. */
static void await(pid_t pid, int report, struct probe_fact *fact)
{
    struct pollfd ready = {report, POLLIN, 0};
    double end = util_monotonic() + PROBE_SECONDS;
    int n;
    do {
        double left = end - util_monotonic();
        n = poll(&ready, 1, left > 0 ? (int)(left * 1000) : 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0 && read(report, fact, sizeof *fact) != (ssize_t)sizeof *fact) {
        errno = 0;
        probe_no(fact, "the probe died");
    } else if (n <= 0) {
        errno = ETIME;
        probe_no(fact, "no answer within %d seconds", PROBE_SECONDS);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void run_in_child(size_t index, const char *folder, struct probe_fact *fact)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        probe_no(fact, "make a pipe");
        return;
    }
    cleanup_fd int from = report[0], to = report[1];
    pid_t pid = fork();
    if (pid < 0) {
        probe_no(fact, "start a process");
        return;
    }
    if (pid == 0)
        child(index, folder, to);
    util_close(&to);
    await(pid, from, fact);
}

void probe_run(size_t index, const char *state, struct probe_fact *fact)
{
    char folder[PATH_MAX] = "";
    *fact = (struct probe_fact){.ok = false};
    if (probes[index].folder) {
        if (snprintf(folder, sizeof folder, "%s/probe-XXXXXX", state) >= (int)sizeof folder || !mkdtemp(folder)) {
            probe_no(fact, "make a folder in %.200s", state);
            return;
        }
    }
    run_in_child(index, folder, fact);
    struct err ignored;
    if (*folder)
        tree_remove(AT_FDCWD, folder, &ignored);
}
