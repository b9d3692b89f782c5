#include "keeper.h"

#include "failpoint.h"
#include "util.h"
#include "warden_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int make_folder(int parent, const char *name, const struct idmap *map, int *lock, struct err *err)
{
    static const char *const parts[] = {"upper", "work"};
    if (mkdirat(parent, name, 0700) < 0)
        return err_sys(err, "make the storage folder");
    cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_sys(err, "open and lock the storage folder");
    if (geteuid() == 0 && fchown(fd, map->uid_base, map->gid_base) < 0)
        return err_sys(err, "give the storage folder to the sandbox's ids");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (mkdirat(fd, parts[i], 0755) < 0)
            return err_sys(err, "make %s in the storage folder", parts[i]);
        if (geteuid() == 0 && fchownat(fd, parts[i], map->uid_base, map->gid_base, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(err, "give %s to the sandbox's ids", parts[i]);
    }
    /* An overlay without them mounts, and then fails at the first deletion. */
    if (fsetxattr(fd, "user.moonbox", "1", 1, 0) < 0)
        return err_sys(err, "the storage folder's filesystem has no user extended attributes, which a sandbox's "
                            "overlay needs (use a state directory on ext4, XFS or btrfs)");
    if (fremovexattr(fd, "user.moonbox") < 0)
        return err_sys(err, "clean the storage folder");
    *lock = steal_fd(&fd);
    return 0;
}

static int open_parent(const char *path, const char **name, struct err *err)
{
    const char *slash = strrchr(path, '/');
    if (path[0] != '/' || !slash[1])
        return err_set(err, EINVAL, "%s is not an absolute path of a folder", path);
    cleanup_free char *parent = strndup(path, (size_t)(slash - path) + (slash == path));
    int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    *name = slash + 1;
    return fd >= 0 ? fd : err_sys(err, "open the parent of %s", path);
}

static int open_folder(struct keeper *keeper, int parent, const char *name, struct err *err)
{
    if (make_folder(parent, name, &keeper->map, &keeper->lock, err) < 0)
        return -1;
    keeper->folder = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return keeper->folder >= 0 ? 0 : err_sys(err, "open it");
}

/* No process is needed: the image goes with its descriptors. */
static int keep_image(struct keeper *keeper, const char *template, struct err *err)
{
    if (!template || image_open(&keeper->image, template, &keeper->map, err) == 0)
        return 0;
    idmap_release(&keeper->map);
    return err_wrap(err, "make the sandbox's disk");
}

int keeper_start(struct keeper *keeper, const struct plan *plan, const struct keeper_request *request, struct err *err)
{
    const char *path = request->path, *name = NULL;
    *keeper = KEEPER_NONE;
    cleanup_fd int parent = path ? open_parent(path, &name, err) : -1;
    if ((path && parent < 0) || idmap_choose(&keeper->map, plan, request->lock_dir, err) < 0)
        return -1;
    if (!path)
        return keep_image(keeper, request->template, err);
    if (!(keeper->path = strdup(path)))
        return err_sys(err, "start the keeper");
    const struct warden_folder folder = {parent, name, request->period, &keeper->map};
    /* The warden first: from here on nothing can be left behind. */
    if (failpoint("keeper", "start", err) == 0 && warden_start(&keeper->warden, &folder, err) == 0 &&
        failpoint("keeper", "make the folder", err) == 0 && open_folder(keeper, parent, name, err) == 0 &&
        failpoint("keeper", "started", err) == 0)
        return 0;
    struct err ignored;
    keeper_stop(keeper, &ignored);
    return err_wrap(err, "%s", path);
}

int keeper_note_group(struct keeper *keeper, const char *path)
{
    size_t size = strlen(path) + 1;
    char *grown = realloc(keeper->groups, keeper->groups_length + size);
    if (!grown)
        return -1;
    memcpy(grown + keeper->groups_length, path, size);
    keeper->groups = grown;
    keeper->groups_length += size;
    return 0;
}

int keeper_watch_groups(struct keeper *keeper, struct err *err)
{
    size_t told = keeper->groups_told, length = keeper->groups_length - told;
    if (length == 0)
        return 0;
    keeper->groups_told = keeper->groups_length;
    if (keeper->path)
        return warden_keep(&keeper->warden, keeper->groups + told, length, err);
    if (warden_shared_keep(keeper->groups + told, length, err) < 0)
        return -1;
    if (keeper->warden.reports < 0)
        keeper->warden.reports = warden_shared_death();
    return keeper->warden.reports >= 0 ? 0 : err_sys(err, "watch the keeper");
}

void keeper_forget_groups(struct keeper *keeper)
{
    if (keeper->path && keeper->groups_told > 0)
        warden_forget(&keeper->warden, keeper->groups, keeper->groups_told);
    else if (keeper->groups_told > 0)
        warden_shared_forget(keeper->groups, keeper->groups_told);
    util_free(&keeper->groups);
    keeper->groups_length = keeper->groups_told = 0;
}

int keeper_ask_measure(struct keeper *keeper, struct err *err)
{
    if (!keeper->path)
        return 0;
    return warden_measure(&keeper->warden, err) == 0 ? 1 : -1;
}

int keeper_report(struct keeper *keeper, struct tree_usage *usage)
{
    struct tree_usage newest;
    int found = 0;
    for (;;) {
        ssize_t got = read(keeper->warden.reports, &newest, sizeof newest);
        if (got == 0)
            return -1;
        if (got != (ssize_t)sizeof newest)
            return found;
        *usage = newest;
        found = 1;
    }
}

int keeper_stop(struct keeper *keeper, struct err *err)
{
    util_close(&keeper->folder);
    util_close(&keeper->lock);
    int result = warden_end(&keeper->warden, err);
    util_free(&keeper->path);
    util_free(&keeper->groups);
    image_close(&keeper->image);
    idmap_release(&keeper->map);
    return result;
}
