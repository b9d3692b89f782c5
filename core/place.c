#include "place.h"

#include "mounts.h"
#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

int place_init(struct place *place, int root, struct err *err)
{
    struct stat st;
    place->root = root;
    place->parent = -1;
    if (fstat(root, &st) < 0)
        return err_sys(err, "look at the skeleton");
    place->dev = st.st_dev;
    return 0;
}

void place_free(struct place *place)
{
    util_close(&place->root);
    util_close(&place->parent);
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

/* Opens the directory `path`, made when absent, and remembers it; it must lie on the skeleton. */
static int find_parent(struct place *place, const char *path, const char *what, struct err *err)
{
    struct stat st;
    if (!path[1])
        return place->root;
    if (place->parent >= 0 && strcmp(place->parent_path, path) == 0)
        return place->parent;
    cleanup_fd int fd = place_make_directory(place, path, err);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (st.st_dev != place->dev)
        return err_set(err, EXDEV, "%s does not exist in the sandbox, and nothing is created below %s", what, path);
    util_close(&place->parent);
    place->parent = steal_fd(&fd);
    if (util_copy(place->parent_path, sizeof place->parent_path, path) < 0)
        place->parent_path[0] = '\0';
    return place->parent;
}

/* The directory that `path` lies in, borrowed until the next call, and its last name. */
static int open_parent(struct place *place, const char *path, const char **name, struct err *err)
{
    char parent[PATH_MAX];
    if (split(path, parent, name, err) < 0)
        return -1;
    return find_parent(place, parent, path, err);
}

/* What is made here is ours alone until the root is entered, so one look by name is enough to find a thing that needs
 * no following; links and whatever is mounted there are resolved inside the root. */
static int find_here(struct place *place, int parent, const char *name, const char *path)
{
    struct stat st;
    cleanup_fd int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    return S_ISLNK(st.st_mode) ? place_open(place, path) : steal_fd(&fd);
}

/* The parent of `path` when it is one that lies on the skeleton for certain: the root, or what find_parent found last. */
static int known_parent(const struct place *place, const char *parent_path)
{
    if (!parent_path[1])
        return place->root;
    return place->parent >= 0 && strcmp(place->parent_path, parent_path) == 0 ? place->parent : -1;
}

/* Where something is to be attached: `name` in `parent` (borrowed), made just now; or, with parent -1, what lay there
 * already. */
struct target {
    int parent;
    const char *name;
    int found; /* owned; -1 none */
};

static int make(struct place *place, const char *path, bool directory, struct target *target, struct err *err)
{
    char parent_path[PATH_MAX];
    *target = (struct target){.parent = -1, .found = -1};
    if (split(path, parent_path, &target->name, err) < 0)
        return -1;
    int parent = known_parent(place, parent_path);
    if (parent < 0) {
        target->found = place_open(place, path);
        if (target->found >= 0)
            return 0;
        if (errno != ENOENT)
            return err_sys(err, "open %s in the root", path);
        parent = find_parent(place, parent_path, path, err);
        if (parent < 0)
            return -1;
    }
    /* Most are new. */
    if ((directory ? mkdirat(parent, target->name, 0755) : mknodat(parent, target->name, S_IFREG | 0644, 0)) == 0) {
        target->parent = parent;
        return 0;
    }
    if (errno != EEXIST)
        return err_sys(err, "make %s in the root", path);
    target->found = find_here(place, parent, target->name, path);
    return target->found >= 0 ? 0 : err_sys(err, "open %s in the root", path);
}

int place_make_directory(struct place *place, const char *path, struct err *err)
{
    struct target target;
    if (make(place, path, true, &target, err) < 0)
        return -1;
    if (target.parent >= 0)
        target.found = openat(target.parent, target.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return target.found >= 0 ? target.found : err_sys(err, "open %s in the root", path);
}

/* What is covered may be what find_parent remembers, or lie above it. */
int place_cover(struct place *place, int target, int mount, struct err *err)
{
    util_close(&place->parent);
    return mounts_attach(mount, target, err);
}

int place_attach(struct place *place, const char *path, bool directory, int mount, struct err *err)
{
    struct target target;
    if (make(place, path, directory, &target, err) < 0)
        return -1;
    int result;
    struct stat st;
    if (target.parent >= 0)
        result = mounts_attach_at(mount, target.parent, target.name, err);
    else if (fstat(target.found, &st) == 0 && S_ISDIR(st.st_mode) != directory)
        result = err_set(err, ENOTDIR, "a %s can't lie over a %s", directory ? "directory" : "file",
                         directory ? "file" : "directory");
    else
        result = place_cover(place, target.found, mount, err);
    util_close(&target.found);
    return result;
}

int place_symlink(struct place *place, const char *path, const char *to, struct err *err)
{
    const char *name;
    int parent = open_parent(place, path, &name, err);
    if (parent < 0)
        return -1;
    if (symlinkat(to, parent, name) < 0)
        return err_sys(err, "link %s", path);
    return 0;
}

int place_file(struct place *place, const char *path, const char *text, mode_t mode, struct err *err)
{
    const char *name;
    int parent = open_parent(place, path, &name, err);
    if (parent < 0)
        return -1;
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    cleanup_fd int fd = openat(parent, name, flags, mode);
    if (fd < 0 && errno == EEXIST && unlinkat(parent, name, 0) == 0)
        fd = openat(parent, name, flags, mode);
    if (fd < 0 || util_write_all(fd, text, strlen(text)) < 0)
        return err_sys(err, errno == EFBIG ? "write %s, against the limit of ulimit -f" : "write %s", path);
    return 0;
}

int place_stage(int fs, struct err *err)
{
    cleanup_fd int point = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return point < 0 ? err_sys(err, "open /usr") : mounts_attach(fs, point, err);
}
