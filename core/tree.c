#include "tree.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* As many directories as are held open at once. */
enum { MAX_DEPTH = 200 };

static DIR *open_directory(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (!dir)
        close(fd);
    return dir;
}

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static void measure(int at, const char *name, dev_t dev, int depth, struct tree_usage *usage)
{
    cleanup_dir DIR *dir = depth < MAX_DEPTH ? open_directory(at, name) : NULL;
    if (!dir) {
        usage->partial = usage->partial || depth >= MAX_DEPTH || errno != ENOENT;
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (is_dot(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        usage->bytes += (uint64_t)st.st_blocks * 512;
        usage->inodes++;
        if (S_ISDIR(st.st_mode) && st.st_dev == dev)
            measure(dirfd(dir), entry->d_name, dev, depth + 1, usage);
    }
}

int tree_measure(int at, const char *name, struct tree_usage *usage, struct err *err)
{
    struct stat st;
    *usage = (struct tree_usage){0};
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "measure %s", name);
    usage->bytes = (uint64_t)st.st_blocks * 512;
    usage->inodes = 1;
    if (S_ISDIR(st.st_mode))
        measure(at, name, st.st_dev, 0, usage);
    return 0;
}

struct removal {
    int top;        /* where subtrees that lie too deep are moved to */
    unsigned moved; /* names them */
};

static int remove_entry(struct removal *removal, int at, const char *name, int depth);

/* One directory's entries; its own removal is the caller's. */
static int empty_directory(struct removal *removal, int at, const char *name, int depth)
{
    cleanup_dir DIR *dir = open_directory(at, name);
    if (!dir && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
        dir = open_directory(at, name);
    if (!dir)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (is_dot(entry->d_name))
            continue;
        if (remove_entry(removal, dirfd(dir), entry->d_name, depth + 1) == 0)
            continue;
        if (errno != EACCES || fchmod(dirfd(dir), 0700) < 0 ||
            remove_entry(removal, dirfd(dir), entry->d_name, depth + 1) < 0)
            return -1;
    }
    return 0;
}

static int move_up(struct removal *removal, int at, const char *name)
{
    char unique[48];
    snprintf(unique, sizeof unique, ".removed-%d-%u", (int)getpid(), removal->moved++);
    return renameat(at, name, removal->top, unique);
}

static int remove_entry(struct removal *removal, int at, const char *name, int depth)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno == EACCES)
        return -1;
    if (depth >= MAX_DEPTH)
        return move_up(removal, at, name);
    if (empty_directory(removal, at, name, depth) < 0)
        return -1;
    return unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int tree_remove(int at, const char *name, struct err *err)
{
    struct removal removal = {.top = at};
    if (remove_entry(&removal, at, name, 0) < 0)
        return err_sys(err, "remove %s", name);
    /* Moved subtrees may hold further ones that lie too deep, which get later numbers. */
    for (unsigned i = 0; i < removal.moved; i++) {
        char unique[48];
        snprintf(unique, sizeof unique, ".removed-%d-%u", (int)getpid(), i);
        if (remove_entry(&removal, at, unique, 0) < 0)
            return err_sys(err, "remove a deep part of %s", name);
    }
    return 0;
}
