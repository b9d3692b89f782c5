#include "image.h"

#include "mounts.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum { BLOCK = 4096, INODE = 256, LOOP_TRIES = 64 };

static const char *const makers[] = {"/usr/sbin/mke2fs", "/sbin/mke2fs"};

static const char *maker(void)
{
    for (size_t i = 0; i < ARRAY_LEN(makers); i++)
        if (access(makers[i], X_OK) == 0)
            return makers[i];
    return NULL;
}

static int open_free_device(char *path, size_t size, struct err *err)
{
    cleanup_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0)
        return err_sys(err, "get a loop device from /dev/loop-control");
    snprintf(path, size, "/dev/loop%d", number);
    int device = open(path, O_RDWR | O_CLOEXEC);
    return device >= 0 ? device : err_sys(err, "open %s", path);
}

int image_possible(struct err *err)
{
    char path[32];
    if (geteuid() != 0)
        return err_set(err, EPERM, "only root can mount an image");
    if (!maker())
        return err_set(err, ENOENT, "mke2fs is not there (package e2fsprogs)");
    cleanup_fd int device = open_free_device(path, sizeof path, err);
    if (device < 0)
        return -1;
    cleanup_fd int ext4 = fsopen("ext4", FSOPEN_CLOEXEC);
    return ext4 < 0 ? err_sys(err, "open a new ext4") : 0;
}

/* The data of the image, and what ext4 needs beside it: its inodes, bitmaps and descriptors, and what it holds back for
 * itself (a fiftieth, at most 4096 blocks: ext4_calculate_resv_clusters). */
static uint64_t image_size(uint64_t bytes, uint64_t inodes)
{
    const uint64_t most_held = 4096ull * BLOCK;
    uint64_t held = bytes / 50 < most_held ? bytes / 50 : most_held;
    uint64_t size = bytes + held + inodes * INODE + bytes / 1024 + (2u << 20);
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* Named, so that no configuration of the host's changes what a sandbox gets. */
#define BASE "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file"
static const char features[] = BASE ",huge_file,dir_nlink,extra_isize,metadata_csum";

static int run_maker(const char *path, uint64_t inodes, struct err *err)
{
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)inodes);
    const char *const argv[] = {"mke2fs", "-q",     "-F",   "-t",  "ext4",
                                "-b",     "4096",   "-I",   "256", "-m",
                                "0",      "-N",     number, "-E",  "nodiscard,lazy_itable_init=1",
                                "-O",     features, path,   NULL};
    const char *const env[] = {"LC_ALL=C", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    pid_t pid;
    int status, failed = posix_spawn(&pid, maker(), &actions, NULL, (char **)argv, (char **)env);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return err_set(err, failed, "start mke2fs: %s", strerror(failed));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, "wait for mke2fs");
    return status == 0 ? 0 : err_set(err, EIO, "mke2fs failed on %s (status %d)", path, status);
}

/* In a file that has no name until it is whole, so that whoever is killed here leaves none. */
static int make_nameless(int fd, const char *path, uint64_t size, uint64_t inodes, struct err *err)
{
    char ours[64];
    if (ftruncate(fd, (off_t)size) < 0)
        return err_sys(err, "set the size of %s", path);
    snprintf(ours, sizeof ours, "/proc/%d/fd/%d", getpid(), fd);
    if (run_maker(ours, inodes, err) < 0)
        return -1;
    snprintf(ours, sizeof ours, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, ours, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
        return err_sys(err, "name %s", path);
    return 0;
}

/* Where there are no such files: under another name. */
static int make_named(const char *path, uint64_t size, uint64_t inodes, struct err *err)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.new-%d", path, (int)getpid()) >= (int)sizeof temporary)
        return err_set(err, ENAMETOOLONG, "%s", path);
    cleanup_fd int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "make %s", temporary);
    int result = 0;
    if (ftruncate(fd, (off_t)size) < 0)
        result = err_sys(err, "set the size of %s", temporary);
    else if (run_maker(temporary, inodes, err) < 0)
        result = -1;
    else if (rename(temporary, path) < 0)
        result = err_sys(err, "rename %s", temporary);
    if (result < 0)
        unlink(temporary);
    return result;
}

int image_make_template(const char *path, uint64_t bytes, uint64_t inodes, struct err *err)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    if (!maker())
        return err_set(err, ENOENT, "mke2fs is not there (package e2fsprogs)");
    if (!slash || snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path) >= (int)sizeof directory)
        return err_set(err, EINVAL, "%s is no path of a template", path);
    cleanup_fd int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return make_nameless(fd, path, image_size(bytes, inodes), inodes, err);
    if (errno != EOPNOTSUPP)
        return err_sys(err, "make a file in %s", directory);
    return make_named(path, image_size(bytes, inodes), inodes, err);
}

/* Copies what is not a hole. */
static int copy_data(int from, int to)
{
    static char buffer[1 << 16];
    off_t at = 0, end;
    while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
        end = lseek(from, at, SEEK_HOLE);
        if (end < 0)
            return -1;
        while (at < end) {
            size_t want = end - at < (off_t)sizeof buffer ? (size_t)(end - at) : sizeof buffer;
            ssize_t got = pread(from, buffer, want, at);
            if (got <= 0 || pwrite(to, buffer, (size_t)got, at) != got)
                return -1;
            at += got;
        }
    }
    return errno == ENXIO ? 0 : -1;
}

/* A file without a name in the directory that the first `length` bytes of `at` name. */
static int open_nameless(const char *at, size_t length)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%.*s", (int)length, at) >= (int)sizeof path - 32)
        return -1;
    int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EOPNOTSUPP)
        return fd;
    memcpy(path + strlen(path), "/new-XXXXXX", sizeof "/new-XXXXXX"); /* an older kernel's overlay: it has a name */
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Through the descriptor, for the file has no name. A file on an overlay takes the flag and fails at the first reading
 * when what it lies on, such as a tmpfs, can't do it (Linux 6.1). */
static bool takes_direct(int file)
{
    char path[64];
    cleanup_free void *block = aligned_alloc(BLOCK, BLOCK);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    cleanup_fd int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    return block && direct >= 0 && pread(direct, block, BLOCK, 0) == BLOCK;
}

static int copy_template(const char *template, struct err *err)
{
    struct stat st;
    cleanup_fd int from = open(template, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0)
        return err_sys(err, "open %s", template);
    const char *slash = strrchr(template, '/');
    cleanup_fd int to = slash ? open_nameless(template, (size_t)(slash - template)) : -1;
    if (to < 0 || ftruncate(to, st.st_size) < 0 || copy_data(from, to) < 0)
        return err_sys(err, "copy %s", template);
    return steal_fd(&to);
}

/* Another process may take the device that was free a moment ago. Direct, where the file can: what the tenant writes lies
 * in its own page cache, charged to it, and not in that of the image file a second time. */
static int attach(struct image *image, int file, struct err *err)
{
    const uint32_t direct = takes_direct(file) ? LO_FLAGS_DIRECT_IO : 0;
    for (int tries = 0; tries < LOOP_TRIES; tries++) {
        cleanup_fd int device = open_free_device(image->path, sizeof image->path, err);
        if (device < 0)
            return -1;
        struct loop_config config = {.fd = (uint32_t)file, .block_size = BLOCK};
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR | direct;
        if (ioctl(device, LOOP_CONFIGURE, &config) == 0) {
            image->device = steal_fd(&device);
            return 0;
        }
        if (errno != EBUSY)
            return err_sys(err, "set %s up", image->path);
    }
    return err_set(err, EBUSY, "no loop device stays free");
}

/* noinit_itable: the kernel would write the empty inode tables out. nobarrier: a flush inside need not be one on the
 * host's disk, for nobody reads the image after a crash. */
int image_mount(const struct image *image, struct err *err)
{
    const struct mount_option options[] = {
        {"source", image->path}, {"noinit_itable", NULL}, {"nobarrier", NULL}, {"errors", "remount-ro"}, {NULL, NULL}};
    return mounts_new("ext4", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
}

static int make_data(const struct image *image, const struct idmap *map, struct err *err)
{
    if (mkdirat(image->mounted, "data", 0755) < 0 ||
        fchownat(image->mounted, "data", map->uid_base, map->gid_base, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "make the directory for the sandbox's data");
    return 0;
}

static int attach_and_mount(struct image *image, int file, struct err *err)
{
    image->device = image->mounted = -1;
    if (attach(image, file, err) < 0)
        return -1;
    image->mounted = image_mount(image, err);
    return image->mounted < 0 ? -1 : 0;
}

static int try_file(const struct image *image, struct err *err)
{
    cleanup_fd int fd = openat(image->mounted, "try", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || util_write_all(fd, "try", 3) < 0 || fsync(fd) < 0)
        return err_sys(err, "write on a disk image");
    return 0;
}

int image_try(const char *directory, struct err *err)
{
    enum { SMALL = 4 << 20, FEW = 16 };
    char path[64];
    cleanup_fd int file = open_nameless(directory, strlen(directory));
    if (file < 0 || ftruncate(file, SMALL) < 0)
        return err_sys(err, "make an image in %s", directory);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), file);
    struct image image = {.device = -1, .mounted = -1};
    int result =
        run_maker(path, FEW, err) == 0 && attach_and_mount(&image, file, err) == 0 && try_file(&image, err) == 0
            ? 0
            : err_wrap(err, "try a disk image in %s", directory);
    image_close(&image);
    return result;
}

int image_open(struct image *image, const char *template, const struct idmap *map, struct err *err)
{
    image->device = image->mounted = -1;
    cleanup_fd int file = copy_template(template, err);
    if (file < 0)
        return -1;
    if (attach_and_mount(image, file, err) == 0 && make_data(image, map, err) == 0)
        return 0;
    image_close(image);
    return -1;
}

int image_usage(const struct image *image, struct image_usage *usage)
{
    struct statfs fs;
    if (fstatfs(image->mounted, &fs) < 0)
        return -1;
    usage->bytes = (fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
    usage->inodes = fs.f_files - fs.f_ffree;
    usage->full = fs.f_bavail == 0 || fs.f_ffree == 0;
    return 0;
}

void image_close(struct image *image)
{
    util_close(&image->mounted);
    util_close(&image->device);
}
