/* cgroup_io.c - how much of a disk a sandbox may read and write a second: io.max of version 2 (kernel
 * Documentation/admin-guide/cgroup-v2, "IO Interface Files"), blkio.throttle of version 1 (cgroup-v1/blkio-controller).
 *
 * Version 1 charges delayed writes, which most are, to nobody, so only reading is limited there. */
#include "cgroup_io.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Whether a group passes the controller on to those below. To ask again for what is so already would wait for groups that
 * are just being removed (kernel/cgroup/cgroup.c, cgroup_lock_and_drain_offline). */
static bool shows_io(const char *path)
{
    char text[1024];
    if (util_read_file(AT_FDCWD, path, text, sizeof text) < 0)
        return false;
    for (char *save = NULL, *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
        if (strcmp(word, "io") == 0)
            return true;
    return false;
}

static bool passes_io_on(const char *dir)
{
    char path[CGROUP_MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/cgroup.subtree_control", dir);
    return shows_io(path) || (util_write_file(AT_FDCWD, path, "+io") == 0 && shows_io(path));
}

static bool has(const char *dir, const char *file)
{
    char path[CGROUP_MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    return access(path, W_OK) == 0;
}

/* Of version 2 only together with the memory of version 2: by whose memory it is, a delayed write is told apart. */
int cgroup_io_version(const struct cgroup_support *support)
{
    char above[CGROUP_MAX_PATH];
    if (*support->unified && support->controllers[CGROUP_MEMORY].version == 2) {
        util_copy(above, sizeof above, support->unified);
        *strrchr(above, '/') = '\0';
        if (passes_io_on(above) && passes_io_on(support->unified) && has(support->unified, "io.max"))
            return 2;
    }
    return support->io.version;
}

static int limit_second(const struct cgroup *group, const struct cgroup_io *limits, struct err *err)
{
    static const char *const keys[] = {"rbps", "wbps", "riops", "wiops"};
    const uint64_t values[] = {limits->read, limits->write, limits->read_ops, limits->write_ops};
    char text[160];
    int fd = cgroup_clone_fd(group);
    int at = snprintf(text, sizeof text, "%u:%u", major(limits->disk), minor(limits->disk));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (values[i])
            at += snprintf(text + at, sizeof text - (size_t)at, " %s=%llu", keys[i], (unsigned long long)values[i]);
    return util_write_file(fd, "io.max", text) == 0 ? 0 : err_sys(err, "write \"%s\" to io.max", text);
}

static int throttle_reads(int fd, const char *file, dev_t disk, uint64_t value, struct err *err)
{
    char text[64];
    snprintf(text, sizeof text, "%u:%u %llu", major(disk), minor(disk), (unsigned long long)value);
    if (value && util_write_file(fd, file, text) < 0)
        return err_sys(err, "write \"%s\" to %s", text, file);
    return 0;
}

static int limit_first(struct cgroup *group, const struct cgroup_support *support, const char *name,
                       const struct cgroup_io *limits, struct err *err)
{
    if (limits->write || limits->write_ops)
        return err_set(err, EOPNOTSUPP, "control groups of version 1 do not see delayed writes");
    if (mkdir(support->io.parent, 0755) < 0 && errno != EEXIST)
        return err_sys(err, "make %s", support->io.parent);
    int i = cgroup_add(group, support->io.parent, 1, name, err);
    if (i < 0)
        return -1;
    int fd = group->groups[i].fd;
    if (throttle_reads(fd, "blkio.throttle.read_bps_device", limits->disk, limits->read, err) < 0)
        return -1;
    return throttle_reads(fd, "blkio.throttle.read_iops_device", limits->disk, limits->read_ops, err);
}

int cgroup_limit_io(struct cgroup *group, const struct cgroup_support *support, const char *name,
                    const struct cgroup_io *limits, struct err *err)
{
    group->limits_io = true;
    switch (cgroup_io_version(support)) {
    case 2:
        return limit_second(group, limits, err);
    case 1:
        return limit_first(group, support, name, limits, err);
    default:
        return err_set(err, EOPNOTSUPP, "there is no io control group");
    }
}

/* Writes `rest` behind the device of each line of `file`. */
static void rewrite(int fd, const char *file, const char *rest)
{
    char text[4096], line[128];
    if (util_read_file(fd, file, text, sizeof text) <= 0)
        return;
    for (char *save = NULL, *at = strtok_r(text, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
        snprintf(line, sizeof line, "%.*s %s", (int)strcspn(at, " "), at, rest);
        (void)!util_write_file(fd, file, line);
    }
}

void cgroup_lift_io(int fd)
{
    rewrite(fd, "io.max", "rbps=max wbps=max riops=max wiops=max");
    rewrite(fd, "blkio.throttle.read_bps_device", "0");
    rewrite(fd, "blkio.throttle.read_iops_device", "0");
}

void cgroup_lift_all_io(const struct cgroup *group)
{
    for (int i = 0; i < group->n && group->limits_io; i++)
        cgroup_lift_io(group->groups[i].fd);
}
