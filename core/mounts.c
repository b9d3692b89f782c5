#include "mounts.h"

#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* The kernel says more in the context's log than errno can: "e overlay: upper fs does not support ...". */
static int fail_with_log(int context, const char *type, const char *what, struct err *err)
{
    int saved = errno;
    char log[256];
    ssize_t got = read(context, log, sizeof log - 1);
    if (got <= 2) {
        errno = saved;
        return err_sys(err, "%s: %s", type, what);
    }
    log[got] = '\0';
    log[strcspn(log, "\n")] = '\0';
    return err_set(err, saved, "%s: %s: %s (%s)", type, what, strerror(saved), log + 2);
}

int mounts_new(const char *type, const struct mount_option *options, uint64_t attributes, struct err *err)
{
    cleanup_fd int context = fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0)
        return err_sys(err, "open a new %s", type);
    for (const struct mount_option *o = options; o && o->key; o++) {
        unsigned command = o->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
        if (fsconfig(context, command, o->key, o->value, 0) < 0)
            return fail_with_log(context, type, o->key, err);
    }
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fail_with_log(context, type, "create", err);
    int fd = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
    return fd >= 0 ? fd : fail_with_log(context, type, "mount", err);
}

int mounts_copy(int dirfd, const char *path, struct err *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (*path ? 0 : AT_EMPTY_PATH);
    int fd = open_tree(dirfd, path, flags);
    return fd >= 0 ? fd : err_sys(err, "copy the mount at %s", *path ? path : "a descriptor");
}

int mounts_restrict(int fd, uint64_t attributes, struct err *err)
{
    struct mount_attr attr = {.attr_set = attributes};
    if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
        return err_sys(err, "restrict a mount");
    return 0;
}

int mounts_attach(int fd, int target, struct err *err)
{
    if (move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return err_sys(err, "attach a mount");
    return 0;
}

int mounts_attach_at(int fd, int directory, const char *name, struct err *err)
{
    if (move_mount(fd, "", directory, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, "attach a mount");
    return 0;
}

static int write_single_map(pid_t pid, const char *file, unsigned inside, unsigned outside)
{
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    snprintf(text, sizeof text, "%u %u 1\n", inside, outside);
    return util_write_file(AT_FDCWD, path, text);
}

/* A user namespace that exists only to carry a map: its process ends as soon as a descriptor holds it. */
static int map_namespace(unsigned in_uid, unsigned in_gid, unsigned out_uid, unsigned out_gid)
{
    pid_t pid = sys_clone3(CLONE_NEWUSER, -1, NULL);
    if (pid == 0)
        for (;;)
            pause();
    if (pid < 0)
        return -1;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    int fd = -1;
    if (write_single_map(pid, "uid_map", in_uid, out_uid) == 0 &&
        write_single_map(pid, "gid_map", in_gid, out_gid) == 0)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    int saved = errno;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    errno = saved;
    return fd;
}

int mounts_map_owner(int fd, unsigned host_uid, unsigned host_gid, unsigned uid, unsigned gid, struct err *err)
{
    cleanup_fd int userns = map_namespace(host_uid, host_gid, uid, gid);
    if (userns < 0)
        return err_sys(err, "make the id map of a mount");
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
    if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0)
        return 0;
    /* mount_setattr(2), "ID-mapped mounts": EINVAL where the filesystem has none. */
    if (errno == EINVAL)
        return err_set(err, EINVAL,
                       "map the owner of a mount: its filesystem can't do that under this kernel (ext4, xfs "
                       "and btrfs can, tmpfs from Linux 6.3 on); bind from one that can");
    return err_sys(err, "map the owner of a mount");
}
