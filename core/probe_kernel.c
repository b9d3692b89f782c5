#include "probe_parts.h"

#include "cgroup_io.h"
#include "seccomp.h"
#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

void probe_kernel(const struct probe_case *with, struct probe_fact *fact)
{
    struct utsname name;
    (void)with;
    if (uname(&name) < 0)
        probe_no(fact, "uname");
    else
        probe_yes(fact, "%s %s %s", name.sysname, name.release, name.machine);
}

/* A switch below /proc/sys: the detail is its value; not ok where the kernel doesn't have it. */
void probe_sysctl(const struct probe_case *with, struct probe_fact *fact)
{
    char path[128], text[64];
    snprintf(path, sizeof path, "/proc/sys/%s", with->name);
    ssize_t n = util_read_file(AT_FDCWD, path, text, sizeof text);
    if (n < 0) {
        probe_no(fact, "read %s", path);
        return;
    }
    text[strcspn(text, "\n")] = '\0';
    probe_yes(fact, "%s", text);
}

/* The AppArmor profile that confines moonbox; ok also without one. */
void probe_apparmor(const struct probe_case *with, struct probe_fact *fact)
{
    char text[128];
    (void)with;
    if (util_read_file(AT_FDCWD, "/proc/self/attr/apparmor/current", text, sizeof text) <= 0)
        strcpy(text, "none");
    text[strcspn(text, "\n")] = '\0';
    probe_yes(fact, "%s", text);
}

/* Not ok when a filter is on moonbox itself: a container's, which can refuse namespaces and mounts. */
void probe_confined(const struct probe_case *with, struct probe_fact *fact)
{
    char text[8192];
    (void)with;
    const char *line = NULL;
    if (util_read_file(AT_FDCWD, "/proc/self/status", text, sizeof text) > 0)
        line = strstr(text, "\nSeccomp:");
    errno = 0;
    if (line && strstr(line, "Seccomp:\t2") == line + 1)
        probe_no(fact, "a system call filter is on moonbox itself");
    else
        probe_yes(fact, "no system call filter is on moonbox itself");
}

void probe_seccomp(const struct probe_case *with, struct probe_fact *fact)
{
    struct err err;
    (void)with;
    double start = util_monotonic();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        probe_no(fact, "no_new_privs");
    } else if (seccomp_install(SECCOMP_PROFILE_DEFAULT, SECCOMP_ALL, &err) < 0) {
        errno = err.code;
        probe_no(fact, "%.200s", err.text);
    } else {
        double took = (util_monotonic() - start) * 1e6;
        if (unshare(CLONE_NEWUTS) == 0 || errno != EPERM)
            probe_no(fact, "the filter doesn't refuse what it should");
        else
            probe_yes(fact, "filters installed in %.0f microseconds", took);
    }
}

void probe_landlock(const struct probe_case *with, struct probe_fact *fact)
{
    enum { ASK_VERSION = 1 };
    (void)with;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
    if (version < 0)
        probe_no(fact, "landlock_create_ruleset");
    else
        probe_yes(fact, "version %ld", version);
}

void probe_clone3(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    cleanup_fd int pidfd = -1;
    pid_t pid = sys_clone3(0, -1, &pidfd);
    if (pid == 0)
        _exit(0);
    if (pid < 0) {
        probe_no(fact, "clone3");
        return;
    }
    waitpid(pid, NULL, __WALL);
    probe_yes(fact, "works");
}

void probe_pidfd(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    cleanup_fd int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd < 0 || sys_pidfd_send_signal(fd, 0) < 0)
        probe_no(fact, "pidfd_open and pidfd_send_signal");
    else
        probe_yes(fact, "works");
}

void probe_openat2(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    cleanup_fd int root = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_fd int fd = root < 0 ? -1 : sys_openat2(root, "/self", O_PATH | O_NOFOLLOW, 0, RESOLVE_IN_ROOT);
    if (fd < 0)
        probe_no(fact, "openat2");
    else
        probe_yes(fact, "works");
}

void probe_close_range(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    if (syscall(SYS_close_range, 1000000U, ~0U, 0) < 0)
        probe_no(fact, "close_range");
    else
        probe_yes(fact, "works");
}

/* How the machine mounts control groups (systemd's three layouts): the root is version 2, or a tmpfs that
 * holds hierarchies of version 1, with or without one of version 2 beside them. */
void probe_cgroup_version(const struct probe_case *with, struct probe_fact *fact)
{
    struct statfs root, beside;
    (void)with;
    if (statfs("/sys/fs/cgroup", &root) < 0)
        probe_no(fact, "look at /sys/fs/cgroup");
    else if (root.f_type == CGROUP2_SUPER_MAGIC)
        probe_yes(fact, "version 2");
    else if (root.f_type != TMPFS_MAGIC)
        probe_no(fact, "no control groups in /sys/fs/cgroup");
    else if (statfs("/sys/fs/cgroup/unified", &beside) == 0 && beside.f_type == CGROUP2_SUPER_MAGIC)
        probe_yes(fact, "version 1, with version 2 beside it");
    else
        probe_yes(fact, "version 1");
}

/* Where the groups of one controller can be made: a group is made there, and removed. */
void probe_controller(const struct probe_case *with, struct probe_fact *fact)
{
    struct cgroup_support support;
    char path[CGROUP_MAX_PATH + 32];
    cgroup_find(&support);
    const struct cgroup_place *place = &support.controllers[with->number];
    if (place->version == 0) {
        errno = 0;
        probe_no(fact, "no control group in which moonbox may make groups with this controller");
        return;
    }
    snprintf(path, sizeof path, "%s/probe-%d", place->parent, getpid());
    if (mkdir(path, 0755) < 0) {
        probe_no(fact, "make a group in %.200s", place->parent);
        return;
    }
    rmdir(path);
    probe_yes(fact, "version %d in %.200s", place->version, place->parent);
}

void probe_cgroup_io(const struct probe_case *with, struct probe_fact *fact)
{
    static const char *const found[] = {NULL, "version 1, reading only", "version 2"};
    struct cgroup_support support;
    (void)with;
    cgroup_find(&support);
    int version = cgroup_io_version(&support);
    errno = 0;
    if (version == 0)
        probe_no(fact, "no control group in which moonbox may limit the use of disks");
    else
        probe_yes(fact, "%s", found[version]);
}

static void has_file(const char *group, const char *file, struct probe_fact *fact)
{
    char path[CGROUP_MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", group, file);
    errno = ENOENT;
    if (!*group || access(path, F_OK) < 0)
        probe_no(fact, "no %s", file);
    else
        probe_yes(fact, "%.200s", path);
}

void probe_cgroup_kill(const struct probe_case *with, struct probe_fact *fact)
{
    struct cgroup_support support;
    (void)with;
    cgroup_find(&support);
    has_file(support.unified, "cgroup.kill", fact);
}

void probe_memory_peak(const struct probe_case *with, struct probe_fact *fact)
{
    struct cgroup_support support;
    (void)with;
    cgroup_find(&support);
    const struct cgroup_place *place = &support.controllers[CGROUP_MEMORY];
    has_file(place->parent, place->version == 1 ? "memory.max_usage_in_bytes" : "memory.peak", fact);
}
