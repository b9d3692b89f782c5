#include "root.h"

#include "device.h"
#include "mounts.h"
#include "place.h"
#include "storage.h"
#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { HARMLESS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };

struct builder {
    const struct root_request *request;
    struct place place; /* the skeleton, attached */
    int writable;       /* root of the writable filesystem, staged; -1 none */
    int empty;          /* a directory with an empty `dir` and `file` that masks are copied from, staged */
    int proc;
};

/* Says which line of a policy asked for what failed. Returns -1. */
static int name_row(const struct mount_row *row, struct err *err)
{
    return row->from ? err_wrap(err, "%s", row->from) : -1;
}

/* All sources are copied before anything is attached that could lie over them. */
static int copy_sources(struct builder *b, struct err *err)
{
    const struct plan *plan = b->request->plan;
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct mount_row *row = &plan->mounts[i];
        if (row->kind != MOUNT_BIND || b->request->sources[i] >= 0)
            continue;
        b->request->sources[i] = mounts_copy(AT_FDCWD, row->source, err);
        if (b->request->sources[i] >= 0 || (row->optional && err->code == ENOENT))
            continue;
        if (row->from && err->code == ENOENT)
            err_set(err, ENOENT, "this host has no %s; a row with optional = true leaves out what is not there",
                    row->source);
        return name_row(row, err);
    }
    return 0;
}

static int row_bind(struct builder *b, const struct mount_row *row, int copy, struct err *err)
{
    struct stat st;
    if (copy < 0)
        return 0;
    if (fstat(copy, &st) < 0)
        return err_sys(err, "look at %s", row->source);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "%s is neither a directory nor a regular file", row->source);
    if (mounts_restrict(copy, HARMLESS | (row->read_only ? MOUNT_ATTR_RDONLY : 0), err) < 0)
        return -1;
    return place_attach(&b->place, row->target, S_ISDIR(st.st_mode), copy, err);
}

static int row_writable(struct builder *b, const struct mount_row *row, struct err *err)
{
    cleanup_fd int copy = mounts_copy(b->writable, row->target + 1, err); /* as harmless as its source */
    if (copy < 0)
        return -1;
    return place_attach(&b->place, row->target, true, copy, err);
}

static int row_tmpfs(struct builder *b, const struct mount_row *row, struct err *err)
{
    char size[32], inodes[32], mode[16];
    snprintf(size, sizeof size, "%llu", (unsigned long long)row->size);
    snprintf(inodes, sizeof inodes, "%llu", (unsigned long long)row->inodes);
    snprintf(mode, sizeof mode, "%o", row->mode);
    const struct mount_option options[] = {{"size", size}, {"nr_inodes", inodes}, {"mode", mode}, {NULL, NULL}};
    cleanup_fd int fs = mounts_new("tmpfs", options, HARMLESS, err);
    if (fs < 0)
        return -1;
    return place_attach(&b->place, row->target, true, fs, err);
}

static int row_proc(struct builder *b, const struct mount_row *row, struct err *err)
{
    cleanup_fd int fs = mounts_new("proc", NULL, HARMLESS | MOUNT_ATTR_NOEXEC, err);
    if (fs < 0)
        return err->code == EPERM ? err_wrap(err, "this host hides parts of its /proc (a container?), so a new one is "
                                                  "refused (mount_namespaces(7))")
                                  : -1;
    if (place_attach(&b->place, row->target, true, fs, err) < 0)
        return -1;
    b->proc = steal_fd(&fs);
    return 0;
}

static int row_read_only(struct builder *b, const struct mount_row *row, struct err *err)
{
    cleanup_fd int target = place_open(&b->place, row->target);
    if (target < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open it");
    cleanup_fd int copy = mounts_copy(target, "", err);
    if (copy < 0 || mounts_restrict(copy, MOUNT_ATTR_RDONLY, err) < 0)
        return -1;
    return place_cover(&b->place, target, copy, err);
}

static int row_mask(struct builder *b, const struct mount_row *row, struct err *err)
{
    cleanup_fd int target = place_open(&b->place, row->target);
    struct stat st;
    if (target < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open it");
    if (fstat(target, &st) < 0)
        return err_sys(err, "look at it");
    cleanup_fd int cover = mounts_copy(b->empty, S_ISDIR(st.st_mode) ? "dir" : "file", err);
    return cover < 0 ? -1 : place_cover(&b->place, target, cover, err);
}

static int apply_row(struct builder *b, size_t i, struct err *err)
{
    const struct mount_row *row = &b->request->plan->mounts[i];
    switch (row->kind) {
    case MOUNT_BIND:
        return row_bind(b, row, b->request->sources[i], err);
    case MOUNT_SYMLINK:
        return place_symlink(&b->place, row->target, row->text, err);
    case MOUNT_FILE:
        return place_file(&b->place, row->target, row->text, row->mode, err);
    case MOUNT_WRITABLE:
        return row_writable(b, row, err);
    case MOUNT_TMPFS:
        return row_tmpfs(b, row, err);
    case MOUNT_PROC:
        return row_proc(b, row, err);
    case MOUNT_DEV:
        return device_fill(&b->place, row->target, err);
    case MOUNT_READ_ONLY:
        return row_read_only(b, row, err);
    case MOUNT_MASK:
        return row_mask(b, row, err);
    }
    return err_set(err, EINVAL, "unknown kind of mount row %d", (int)row->kind);
}

static int make_skeleton(struct builder *b, struct err *err)
{
    const struct mount_option options[] = {{"size", "16m"}, {"nr_inodes", "16k"}, {"mode", "755"}, {NULL, NULL}};
    cleanup_fd int fs = mounts_new("tmpfs", options, HARMLESS, err);
    if (fs < 0)
        return -1;
    cleanup_fd int point = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (point < 0)
        return err_sys(err, "open /tmp");
    if (mounts_attach(fs, point, err) < 0)
        return -1;
    return place_init(&b->place, steal_fd(&fs), err);
}

/* On the skeleton, where its /proc will lie over it: a filesystem of its own would cost its making and its end. */
static int make_empty(struct builder *b, struct err *err)
{
    cleanup_fd int home = place_make_directory(&b->place, "/proc", err);
    if (home < 0)
        return -1;
    if (mkdirat(home, "empty", 0755) < 0 || mknodat(home, "empty/file", S_IFREG | 0444, 0) < 0 ||
        mkdirat(home, "empty/dir", 0555) < 0)
        return err_sys(err, "make the empty file and directory");
    b->empty = mounts_copy(home, "empty", err);
    if (b->empty < 0 || mounts_restrict(b->empty, HARMLESS | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY, err) < 0)
        return -1;
    return place_stage(b->empty, err);
}

static int build(struct builder *b, struct err *err)
{
    const struct plan *plan = b->request->plan;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(err, "make all mounts private");
    if (copy_sources(b, err) < 0)
        return -1;
    if (make_skeleton(b, err) < 0)
        return err_wrap(err, "skeleton");
    if (make_empty(b, err) < 0)
        return err_wrap(err, "masks");
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct mount_row *row = &plan->mounts[i];
        if (row->kind == MOUNT_WRITABLE && b->writable < 0) {
            b->writable = storage_mount(plan, b->request->storage, b->request->disk, err);
            if (b->writable < 0)
                return err_wrap(err, "writable filesystem");
        }
        if (apply_row(b, i, err) < 0) {
            err_wrap(err, "%s", row->target);
            return name_row(row, err);
        }
    }
    return 0;
}

/* Swaps the roots without a directory for the old one: pivot_root(2), "pivot_root(".", ".")". */
static int move_in(struct builder *b, struct err *err)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(b->place.root, "", AT_EMPTY_PATH, &read_only, sizeof read_only) < 0)
        return err_sys(err, "make the root read-only");
    if (fchdir(b->place.root) < 0 || sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return err_sys(err, "move into the root");
    return 0;
}

int root_enter(const struct root_request *request, int *proc, struct err *err)
{
    struct builder b = {.request = request, .writable = -1, .empty = -1, .proc = -1};
    b.place.root = b.place.parent = -1;
    int result = build(&b, err);
    if (result == 0)
        result = move_in(&b, err);
    util_close(&b.writable);
    util_close(&b.empty);
    place_free(&b.place);
    *proc = b.proc;
    return result;
}
