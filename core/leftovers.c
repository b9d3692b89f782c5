#include "leftovers.h"

#include "tree.h"
#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* A folder is made before it is locked, a group before a process is in it: the young are left alone. */
static bool is_old(const struct stat *st, double age)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)(now.tv_sec - st->st_ctim.tv_sec) > age;
}

static bool remove_folder(int parent, const char *name, double age)
{
    struct stat st;
    struct err err;
    cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !is_old(&st, age) || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return false;
    return tree_remove(parent, name, &err) == 0;
}

static bool remove_group(int parent, const char *name, double age)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) || !is_old(&st, age))
        return false;
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return true;
    cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && cgroup_clear(fd) && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

static int sweep(const char *directory, double age, bool (*remove_one)(int, const char *, double))
{
    int gone = 0;
    cleanup_dir DIR *dir = *directory ? opendir(directory) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
            gone += remove_one(dirfd(dir), entry->d_name, age);
    return gone;
}

int leftovers_sweep_folders(const char *directory, double age)
{
    return sweep(directory, age, remove_folder);
}

int leftovers_sweep_groups(const struct cgroup_support *support, double age)
{
    char frozen[CGROUP_MAX_PATH + 16] = "";
    if (support->freezer.version > 0)
        snprintf(frozen, sizeof frozen, "%s/moonbox", support->freezer.parent);
    int gone = sweep(support->unified, age, remove_group) + sweep(frozen, age, remove_group);
    if (support->io.version == 1)
        gone += sweep(support->io.parent, age, remove_group);
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        if (support->controllers[c].version == 1)
            gone += sweep(support->controllers[c].parent, age, remove_group);
    return gone;
}

struct search {
    int found;
    bool remove;
};

static int at_group(void *context, const char *path)
{
    struct search *search = context;
    if (search->remove)
        cgroup_remove_path(path);
    search->found += access(path, F_OK) == 0;
    return 0;
}

/* How much of it there is, after an attempt to remove it when `remove` says so. */
static int count_left(const struct cgroup_support *support, const char *directory, const char *name, bool remove)
{
    struct search search = {0, remove};
    char path[CGROUP_MAX_PATH + 64];
    cleanup_fd int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0 && remove)
        remove_folder(parent, name, -1);
    if (parent >= 0 && faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        search.found++;
    if (support->freezer.version > 0) {
        snprintf(path, sizeof path, "%s/moonbox/%s", support->freezer.parent, name);
        at_group(&search, path);
    }
    cgroup_paths(support, name, at_group, &search);
    return search.found;
}

bool leftovers_remove(const struct cgroup_support *support, const char *directory, const char *name, double seconds)
{
    double deadline = util_monotonic() + seconds;
    while (count_left(support, directory, name, false) > 0 && util_monotonic() < deadline)
        poll(NULL, 0, 10);
    return count_left(support, directory, name, true) == 0;
}
