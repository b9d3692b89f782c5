#include "cgroup.h"

#include "cgroup_io.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PERIOD_US = 100000 };

/* Bytes that TCP may hold in a sandbox, of its memory and at most: enough for thousands of connections. */
enum { TCP_PART = 2, TCP_MOST = 256 << 20 };

/* The group of a parent directory, made when it is not there yet: controllers that are mounted together share it. */
int cgroup_add(struct cgroup *group, const char *parent, int version, const char *name, struct err *err)
{
    char path[CGROUP_MAX_PATH];
    if (snprintf(path, sizeof path, "%s/%s", parent, name) >= (int)sizeof path)
        return err_set(err, ENAMETOOLONG, "%s/%s is too long", parent, name);
    for (int i = 0; i < group->n; i++)
        if (strcmp(group->groups[i].path, path) == 0)
            return i;
    if (mkdir(path, 0755) < 0)
        return err_sys(err, "make the control group %s", path);
    int i = group->n++;
    util_copy(group->groups[i].path, sizeof path, path);
    group->groups[i].version = version;
    group->groups[i].fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    group->groups[i].tasks = version == 1 ? openat(group->groups[i].fd, "tasks", O_WRONLY | O_CLOEXEC) : -1;
    if (group->groups[i].fd < 0 || (version == 1 && group->groups[i].tasks < 0))
        return err_sys(err, "open %s", path);
    return i;
}

static int put(const struct cgroup *group, int i, const char *file, const char *text, struct err *err)
{
    if (util_write_file(group->groups[i].fd, file, text) < 0)
        return err_sys(err, "write %s to %s/%s", text, group->groups[i].path, file);
    return 0;
}

static int put_number(const struct cgroup *group, int i, const char *file, uint64_t number, struct err *err)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return put(group, i, file, text, err);
}

int cgroup_limit_cpu(const struct cgroup *group, int i, double cpus, struct err *err)
{
    char text[64];
    uint64_t quota = (uint64_t)(cpus * PERIOD_US);
    if (group->groups[i].version == 2) {
        snprintf(text, sizeof text, "%llu %d", (unsigned long long)quota, PERIOD_US);
        return put(group, i, "cpu.max", text, err);
    }
    if (put_number(group, i, "cpu.cfs_period_us", PERIOD_US, err) < 0)
        return -1;
    return put_number(group, i, "cpu.cfs_quota_us", quota, err);
}

/* Swap would let a sandbox grow past its limit at the host's expense. A kernel that accounts no swap has no file. */
static int forbid_swap(const struct cgroup *group, int i, uint64_t memory, struct err *err)
{
    const char *file = group->groups[i].version == 2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
    if (faccessat(group->groups[i].fd, file, W_OK, 0) < 0)
        return 0;
    return put_number(group, i, file, group->groups[i].version == 2 ? 0 : memory, err);
}

/* Version 1 counts what TCP connections hold by itself, and left alone without a limit (kernel Documentation/admin-guide/
 * cgroup-v1/memory, 2.7): a sandbox then fills the one account that the whole host has (tcp(7), tcp_mem) from its loopback. */
static int limit_tcp(const struct cgroup *group, int i, uint64_t memory, struct err *err)
{
    const char *file = "memory.kmem.tcp.limit_in_bytes";
    if (group->groups[i].version == 2 || faccessat(group->groups[i].fd, file, W_OK, 0) < 0)
        return 0;
    return put_number(group, i, file, memory / TCP_PART < TCP_MOST ? memory / TCP_PART : TCP_MOST, err);
}

static int limit_memory(const struct cgroup *group, int i, uint64_t memory, struct err *err)
{
    const char *file = group->groups[i].version == 2 ? "memory.max" : "memory.limit_in_bytes";
    if (put_number(group, i, file, memory, err) < 0)
        return -1;
    /* Who runs out of memory goes as a whole: half a tree of processes is nothing that a task could rely on. Version 1
     * has no such file, and the supervisor sees to it. */
    if (group->groups[i].version == 2 && faccessat(group->groups[i].fd, "memory.oom.group", W_OK, 0) == 0 &&
        put(group, i, "memory.oom.group", "1", err) < 0)
        return -1;
    return limit_tcp(group, i, memory, err) < 0 ? -1 : forbid_swap(group, i, memory, err);
}

static int limit(struct cgroup *group, int i, enum cgroup_controller controller, const struct cgroup_limits *limits,
                 struct err *err)
{
    group->groups[i].has[controller] = true;
    switch (controller) {
    case CGROUP_CPU:
        return limits->cpus > 0 ? cgroup_limit_cpu(group, i, limits->cpus, err) : 0;
    case CGROUP_MEMORY:
        return limits->memory ? limit_memory(group, i, limits->memory, err) : 0;
    case CGROUP_PIDS:
        return limits->processes ? put_number(group, i, "pids.max", limits->processes, err) : 0;
    case CGROUP_CONTROLLERS:
        break;
    }
    return err_set(err, EINVAL, "unknown controller");
}

static int make_all(struct cgroup *group, const struct cgroup_support *support, const char *name,
                    const struct cgroup_limits *limits, struct err *err)
{
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        const struct cgroup_place *place = &support->controllers[c];
        if (!place->version)
            continue;
        int i = cgroup_add(group, place->parent, place->version, name, err);
        if (i < 0 || limit(group, i, (enum cgroup_controller)c, limits, err) < 0)
            return -1;
    }
    if (*support->unified && cgroup_add(group, support->unified, 2, name, err) < 0)
        return -1;
    return 0;
}

int cgroup_create(struct cgroup *group, const struct cgroup_support *support, const char *name,
                  const struct cgroup_limits *limits, struct err *err)
{
    memset(group, 0, sizeof *group);
    group->freezer = -1;
    if (make_all(group, support, name, limits, err) == 0)
        return 0;
    struct err ignored;
    cgroup_destroy(group, &ignored);
    return -1;
}

int cgroup_clone_fd(const struct cgroup *group)
{
    for (int i = 0; i < group->n; i++)
        if (group->groups[i].version == 2)
            return group->groups[i].fd;
    return -1;
}

bool cgroup_before_birth(const struct cgroup_support *support)
{
    return *support->unified != '\0';
}

int cgroup_entrances(const struct cgroup *group, int fds[CGROUP_MAX_V1])
{
    int n = 0;
    for (int i = 0; i < group->n && n < CGROUP_MAX_V1; i++)
        if (group->groups[i].version == 1)
            fds[n++] = group->groups[i].tasks;
    return n;
}

int cgroup_enter(int entrance, struct err *err)
{
    return util_write_all(entrance, "0", 1) == 0 ? 0 : err_sys(err, "enter a control group");
}

/* Version 1 has no cgroup.kill, which also reaches the groups below. Pids are signalled only while they are listed in the
 * group that we own. */
static void kill_members(int fd)
{
    char text[16384];
    /* What version 1 has frozen does not even die; others have no such file. */
    (void)!util_write_file(fd, "freezer.state", "THAWED");
    if (util_write_file(fd, "cgroup.kill", "1") == 0 || util_read_file(fd, "cgroup.procs", text, sizeof text) <= 0)
        return;
    char *save = NULL;
    for (char *pid = strtok_r(text, "\n", &save); pid; pid = strtok_r(NULL, "\n", &save))
        if (atoi(pid) > 1)
            kill(atoi(pid), SIGKILL);
}

/* The groups of commands (core/leaves) below a sandbox's; how many could be removed. */
static int remove_children(int fd)
{
    int gone = 0, copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        util_close(&copy);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        cleanup_fd int child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0)
            kill_members(child);
        gone += unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0;
    }
    return gone;
}

bool cgroup_clear(int fd)
{
    char text[128];
    if (util_read_file(fd, "cgroup.events", text, sizeof text) <= 0 || !strstr(text, "populated 0"))
        return false;
    remove_children(fd);
    return true;
}

static int remove_group(int fd, const char *path)
{
    for (int tries = 0; tries < 200; tries++) {
        if (rmdir(path) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY)
            return -1;
        kill_members(fd);
        if (remove_children(fd) == 0)
            poll(NULL, 0, 5);
    }
    errno = EBUSY;
    return -1;
}

int cgroup_destroy(struct cgroup *group, struct err *err)
{
    int result = 0;
    cgroup_lift_all_io(group);
    for (int i = 0; i < group->n; i++) {
        if (remove_group(group->groups[i].fd, group->groups[i].path) < 0)
            result = err_sys(err, "remove the control group %s", group->groups[i].path);
        util_close(&group->groups[i].fd);
        util_close(&group->groups[i].tasks);
    }
    group->n = 0;
    return result;
}

void cgroup_remove_path(const char *path)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    cgroup_lift_io(fd);
    remove_group(fd, path);
}

int cgroup_paths(const struct cgroup_support *support, const char *name, int (*tell)(void *, const char *path),
                 void *context)
{
    const char *parents[CGROUP_CONTROLLERS + 2];
    int n = 0;
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        parents[n++] = support->controllers[c].parent;
    parents[n++] = support->unified;
    parents[n++] = support->io.parent;
    for (int i = 0; i < n; i++) {
        char path[CGROUP_MAX_PATH];
        bool seen = !*parents[i];
        for (int j = 0; j < i; j++)
            seen = seen || strcmp(parents[i], parents[j]) == 0;
        if (!seen && snprintf(path, sizeof path, "%s/%s", parents[i], name) < (int)sizeof path &&
            tell(context, path) < 0)
            return -1;
    }
    return 0;
}
