#include "storage.h"

#include "mounts.h"
#include "place.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { HARMLESS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };

/* Makes `path` (absolute) below `root`: parents as root's, the last directory the agent's. */
static int make_directory(int root, const struct plan *plan, const struct mount_row *row, struct err *err)
{
    char path[PATH_MAX];
    if (util_copy(path, sizeof path, row->target + 1) < 0)
        return err_sys(err, "%s", row->target);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(root, path, 0755) < 0 && errno != EEXIST)
            return err_sys(err, "make %s", path);
        *slash = '/';
    }
    if (mkdirat(root, path, row->mode) < 0)
        return errno == EEXIST ? 0 : err_sys(err, "make %s", path);
    if (fchownat(root, path, plan->uid, plan->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "give %s to the agent", path);
    return 0;
}

static int make_directories(int root, const struct plan *plan, struct err *err)
{
    for (size_t i = 0; i < plan->n_mounts; i++)
        if (plan->mounts[i].kind == MOUNT_WRITABLE && make_directory(root, plan, &plan->mounts[i], err) < 0)
            return -1;
    return 0;
}

static int mount_memory(const struct plan *plan, struct err *err)
{
    char size[32], inodes[32];
    snprintf(size, sizeof size, "%llu", (unsigned long long)plan->storage_size);
    snprintf(inodes, sizeof inodes, "%llu", (unsigned long long)plan->storage_inodes);
    const struct mount_option options[] = {{"size", size}, {"nr_inodes", inodes}, {"mode", "755"}, {NULL, NULL}};
    cleanup_fd int fs = mounts_new("tmpfs", options, HARMLESS, err);
    if (fs < 0 || make_directories(fs, plan, err) < 0 || place_stage(fs, err) < 0)
        return -1;
    return steal_fd(&fs);
}

static int mount_image(const struct plan *plan, int disk, struct err *err)
{
    if (place_stage(disk, err) < 0)
        return -1;
    cleanup_fd int data = openat(disk, "data", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (data < 0)
        return err_sys(err, "open the disk's directory");
    return make_directories(data, plan, err) < 0 ? -1 : steal_fd(&data);
}

static int mount_folder(const struct plan *plan, int folder, struct err *err)
{
    const struct mount_option lower_options[] = {{"size", "1m"}, {"mode", "755"}, {NULL, NULL}};
    cleanup_fd int lower = mounts_new("tmpfs", lower_options, HARMLESS, err);
    if (lower < 0 || make_directories(lower, plan, err) < 0 || place_stage(lower, err) < 0)
        return -1;
    char lower_path[64], upper_path[64], work_path[64];
    snprintf(lower_path, sizeof lower_path, "/proc/self/fd/%d", lower);
    snprintf(upper_path, sizeof upper_path, "/proc/self/fd/%d/upper", folder);
    snprintf(work_path, sizeof work_path, "/proc/self/fd/%d/work", folder);
    const struct mount_option options[] = {
        {"lowerdir", lower_path}, {"upperdir", upper_path}, {"workdir", work_path}, {"userxattr", NULL}, {NULL, NULL}};
    cleanup_fd int fs = mounts_new("overlay", options, HARMLESS, err);
    if (fs < 0 || place_stage(fs, err) < 0)
        return -1;
    return steal_fd(&fs);
}

int storage_mount(const struct plan *plan, int folder, int disk, struct err *err)
{
    if (plan->storage == STORAGE_MEMORY)
        return mount_memory(plan, err);
    return disk >= 0 ? mount_image(plan, disk, err) : mount_folder(plan, folder, err);
}
