#include "device.h"

#include "mounts.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Kernel Documentation/admin-guide/devices.txt */
static const struct {
    const char *name;
    unsigned major, minor;
} nodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

static const struct {
    const char *name, *to;
} links[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

static int add_node(struct place *place, const char *target, const char *name, dev_t identity, struct err *err)
{
    char host[32];
    snprintf(host, sizeof host, "/dev/%s", name);
    cleanup_fd int copy = mounts_copy(AT_FDCWD, host, err);
    struct stat st;
    if (copy < 0)
        return -1;
    if (fstat(copy, &st) < 0)
        return err_sys(err, "look at %s", host);
    if (!S_ISCHR(st.st_mode) || st.st_rdev != identity)
        return err_set(err, ENODEV, "the host's %s is not the device of that name", host);
    return place_attach(place, target, false, copy, err);
}

static int add_pts(struct place *place, const char *target, struct err *err)
{
    const struct mount_option options[] = {{"newinstance", NULL}, {"ptmxmode", "0666"}, {"mode", "620"}, {NULL, NULL}};
    cleanup_fd int fs = mounts_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
    if (fs < 0)
        return -1;
    return place_attach(place, target, true, fs, err);
}

int device_fill(struct place *place, const char *path, struct err *err)
{
    char target[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        snprintf(target, sizeof target, "%s/%s", path, nodes[i].name);
        if (add_node(place, target, nodes[i].name, makedev(nodes[i].major, nodes[i].minor), err) < 0)
            return err_wrap(err, "%s", nodes[i].name);
    }
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        snprintf(target, sizeof target, "%s/%s", path, links[i].name);
        if (place_symlink(place, target, links[i].to, err) < 0)
            return -1;
    }
    snprintf(target, sizeof target, "%s/pts", path);
    return add_pts(place, target, err);
}
