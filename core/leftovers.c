#include "leftovers.h"

#include "tree.h"
#include "util.h"

#include <fcntl.h>
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
    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) && is_old(&st, age) &&
           unlinkat(parent, name, AT_REMOVEDIR) == 0;
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
    int gone = sweep(support->unified, age, remove_group);
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        if (support->controllers[c].version == 1)
            gone += sweep(support->controllers[c].parent, age, remove_group);
    return gone;
}
