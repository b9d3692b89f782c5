#include "place.h"

#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

int place_init(struct place *place, int root, struct err *err)
{
    struct stat st;
    place->root = root;
    if (fstat(root, &st) < 0)
        return err_sys(err, "look at the skeleton");
    place->dev = st.st_dev;
    return 0;
}

int place_open(const struct place *place, const char *path)
{
    return sys_open_in_root(place->root, path, O_PATH);
}

/* Splits "/a/b" into its parent's path ("/a") and last name ("b"). */
static int split(const char *path, char parent[PATH_MAX], const char **name, struct err *err)
{
    if (path[0] != '/' || util_copy(parent, PATH_MAX, path) < 0)
        return err_set(err, EINVAL, "%s is not an absolute path", path);
    char *slash = strrchr(parent, '/');
    *name = path + (slash - parent) + 1;
    slash[slash == parent] = '\0';
    if (!**name)
        return err_set(err, EINVAL, "%s has no last name", path);
    return 0;
}

/* The parent directory of `path`, made when absent; it must lie on the skeleton. */
static int open_parent(const struct place *place, const char *path, const char **name, struct err *err)
{
    char parent[PATH_MAX];
    if (split(path, parent, name, err) < 0)
        return -1;
    cleanup_fd int fd = parent[1] ? place_make_target(place, parent, true, err) : place_open(place, "/");
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (st.st_dev != place->dev)
        return err_set(err, EXDEV, "%s does not exist in the sandbox, and nothing is created below %s", path, parent);
    return steal_fd(&fd);
}

int place_make_target(const struct place *place, const char *path, bool directory, struct err *err)
{
    int found = place_open(place, path);
    if (found >= 0)
        return found;
    if (errno != ENOENT)
        return err_sys(err, "open %s in the root", path);
    const char *name;
    cleanup_fd int parent = open_parent(place, path, &name, err);
    if (parent < 0)
        return -1;
    if (directory ? mkdirat(parent, name, 0755) < 0 : mknodat(parent, name, S_IFREG | 0644, 0) < 0)
        return err_sys(err, "make %s in the root", path);
    int made = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return made >= 0 ? made : err_sys(err, "open %s in the root", path);
}

int place_symlink(const struct place *place, const char *path, const char *to, struct err *err)
{
    const char *name;
    cleanup_fd int parent = open_parent(place, path, &name, err);
    if (parent < 0)
        return -1;
    if (symlinkat(to, parent, name) < 0)
        return err_sys(err, "link %s", path);
    return 0;
}

int place_file(const struct place *place, const char *path, const char *text, mode_t mode, struct err *err)
{
    const char *name;
    cleanup_fd int parent = open_parent(place, path, &name, err);
    if (parent < 0)
        return -1;
    if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
        return err_sys(err, "replace %s", path);
    cleanup_fd int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 || util_write_all(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0)
        return err_sys(err, "write %s", path);
    return 0;
}

int place_drop_staging(const struct place *place, struct err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/self/fd/%d%s", place->root, PLACE_STAGING);
    while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        continue;
    if (errno != EINVAL && errno != ENOENT)
        return err_sys(err, "unmount the staging point");
    if (unlinkat(place->root, PLACE_STAGING + 1, AT_REMOVEDIR) < 0)
        return err_sys(err, "remove the staging point");
    return 0;
}
