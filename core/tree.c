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
    int top;        /* the tree's own root, where subtrees that lie too deep are moved to */
    unsigned moved; /* names them */
};

/* By descriptor: the tenant may still live and put a link in the directory's place, and chmod(2) follows links. */
static int unlock_directory(int at, const char *name)
{
    char path[32];
    cleanup_fd int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return chmod(path, 0700);
}

/* Opens a directory so that its entries can be removed, as far as its owner can see to that. */
static DIR *open_to_empty(int at, const char *name)
{
    struct stat st;
    DIR *dir = open_directory(at, name);
    if (!dir && errno == EACCES && unlock_directory(at, name) == 0)
        dir = open_directory(at, name);
    if (dir && fstat(dirfd(dir), &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU)
        (void)!fchmod(dirfd(dir), S_IRWXU);
    return dir;
}

static int move_up(struct removal *removal, int at, const char *name)
{
    for (int tries = 0; tries < 1000; tries++) {
        char unique[48];
        snprintf(unique, sizeof unique, ".removed-%d-%u", (int)getpid(), removal->moved++);
        if (renameat(at, name, removal->top, unique) == 0)
            return 0;
        /* A directory that gets another parent must itself be writable, for its "..". */
        if (errno == EACCES && tries == 0 && unlock_directory(at, name) == 0)
            continue;
        if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
            return -1;
    }
    return -1;
}

static int remove_entry(struct removal *removal, int at, const char *name, int depth);

static int remove_entries(struct removal *removal, DIR *dir, int depth)
{
    for (struct dirent *entry; (entry = readdir(dir));)
        if (!is_dot(entry->d_name) && remove_entry(removal, dirfd(dir), entry->d_name, depth) < 0)
            return -1;
    return 0;
}

static int remove_entry(struct removal *removal, int at, const char *name, int depth)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return -1;
    if (depth >= MAX_DEPTH)
        return move_up(removal, at, name);
    cleanup_dir DIR *dir = open_to_empty(at, name);
    if (!dir || remove_entries(removal, dir, depth + 1) < 0)
        return -1;
    return unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

/* Each round takes MAX_DEPTH levels off what the last one moved to the root. */
static int remove_in_rounds(int at, const char *name)
{
    for (;;) {
        cleanup_dir DIR *dir = open_to_empty(at, name);
        if (!dir)
            return errno == ENOENT ? 0 : -1;
        struct removal removal = {.top = dirfd(dir)};
        if (remove_entries(&removal, dir, 1) < 0)
            return -1;
        if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if ((errno != ENOTEMPTY && errno != EEXIST) || removal.moved == 0)
            return -1;
    }
}

int tree_remove(int at, const char *name, struct err *err)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if ((errno != EISDIR && errno != EPERM) || remove_in_rounds(at, name) < 0)
        return err_sys(err, "remove %s", name);
    return 0;
}
