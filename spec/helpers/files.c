/* files - tries to change or to reach what a sandbox must not.
 *
 *   files write PATH...     opens each for writing (a directory: makes a file in it)
 *   files map PATH...       maps each shared and writable from a read-only descriptor
 *   files mount PATH...     remounts, covers, detaches, and changes each mount's attributes
 *   files mknod DIR         makes device nodes
 *   files handle PATH...    opens the root of each one's filesystem by a forged handle, and itself by its own
 *   files setid DIR         makes set-user-id and set-group-id files by every call that takes a mode
 *   files open PATH...      opens each for reading and for writing */
#include "answer.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

static void name_it(char *to, size_t size, const char *action, const char *path)
{
    snprintf(to, size, "%s:%s", action, path);
}

static void try_write(const char *path)
{
    char name[512], child[512];
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        snprintf(child, sizeof child, "%s/moonbox-spec-made", path);
        name_it(name, sizeof name, "create", path);
        int fd = open(child, O_WRONLY | O_CREAT | O_EXCL, 0600);
        answer(name, fd);
        if (fd >= 0)
            unlink(child);
    }
    name_it(name, sizeof name, "write", path);
    answer(name, open(path, O_WRONLY));
    name_it(name, sizeof name, "chmod", path);
    answer(name, chmod(path, st.st_mode & 07777));
    name_it(name, sizeof name, "utime", path);
    answer(name, utimensat(AT_FDCWD, path, NULL, 0));
    name_it(name, sizeof name, "truncate", path);
    answer(name, truncate(path, st.st_size));
    name_it(name, sizeof name, "xattr", path);
    answer(name, syscall(SYS_setxattr, path, "user.moonbox", "x", 1, 0));
}

static void try_map(const char *path)
{
    char name[512];
    int fd = open(path, O_RDONLY);
    name_it(name, sizeof name, "map", path);
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    answer(name, at == MAP_FAILED ? -1 : 0);
    at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    name_it(name, sizeof name, "protect", path);
    answer(name, at == MAP_FAILED ? -1 : mprotect(at, 4096, PROT_READ | PROT_WRITE));
    name_it(name, sizeof name, "reopen", path);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    answer(name, open(link, O_RDWR));
}

static void try_mount(const char *path)
{
    enum { REMOUNT = 32, BIND = 4096, MOVE = 8192, NOSUID = 2 };
    struct mount_attr attr = {.attr_clr = MOUNT_ATTR_RDONLY};
    char name[512];
    name_it(name, sizeof name, "remount", path);
    answer(name, mount(NULL, path, NULL, REMOUNT | BIND | NOSUID, NULL));
    name_it(name, sizeof name, "bind", path);
    answer(name, mount("/tmp", path, NULL, BIND, NULL));
    name_it(name, sizeof name, "tmpfs", path);
    answer(name, mount("none", path, "tmpfs", 0, NULL));
    name_it(name, sizeof name, "move", path);
    answer(name, mount(path, "/tmp", NULL, MOVE, NULL));
    name_it(name, sizeof name, "umount", path);
    answer(name, umount2(path, 2));
    name_it(name, sizeof name, "setattr", path);
    answer(name, syscall(SYS_mount_setattr, AT_FDCWD, path, 0x8000, &attr, sizeof attr));
    name_it(name, sizeof name, "open_tree", path);
    answer(name, syscall(SYS_open_tree, AT_FDCWD, path, 1));
}

static void try_mknod(const char *dir)
{
    static const struct {
        const char *name;
        mode_t type;
        unsigned major, minor;
    } nodes[] = {{"mem", S_IFCHR, 1, 1},    {"kmem", S_IFCHR, 1, 2},   {"port", S_IFCHR, 1, 4},
                 {"kmsg", S_IFCHR, 1, 11},  {"loop", S_IFBLK, 7, 0},   {"disk", S_IFBLK, 8, 0},
                 {"vda", S_IFBLK, 254, 0},  {"tun", S_IFCHR, 10, 200}, {"fuse", S_IFCHR, 10, 229},
                 {"kvm", S_IFCHR, 10, 232}, {"null", S_IFCHR, 1, 3}};
    char path[512], name[64];
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, nodes[i].name);
        snprintf(name, sizeof name, "mknod:%s", nodes[i].name);
        answer(name, mknod(path, nodes[i].type | 0666, makedev(nodes[i].major, nodes[i].minor)));
    }
}

static void try_handle(const char *path)
{
    struct {
        struct file_handle head;
        unsigned char bytes[128];
    } handle;
    char name[512];
    int mount_id, fd = open(path, O_RDONLY);
    memset(&handle, 0, sizeof handle);
    handle.head.handle_bytes = sizeof handle.bytes;
    if (name_to_handle_at(AT_FDCWD, path, &handle.head, &mount_id, 0) == 0) {
        name_it(name, sizeof name, "own", path);
        answer(name, open_by_handle_at(fd, &handle.head, O_RDONLY));
    }
    /* FILEID_INO32_GEN: an inode's number and its generation. Number 2 is the root of ext4. */
    static const unsigned inodes[] = {1, 2, 64, 128, 256};
    for (size_t i = 0; i < sizeof inodes / sizeof inodes[0]; i++) {
        unsigned pair[2] = {inodes[i], 0};
        handle.head.handle_bytes = sizeof pair;
        handle.head.handle_type = 1;
        memcpy(handle.head.f_handle, pair, sizeof pair);
        snprintf(name, sizeof name, "inode%u:%s", inodes[i], path);
        answer(name, open_by_handle_at(fd, &handle.head, O_RDONLY));
    }
}

static void try_setid(const char *dir)
{
    static const unsigned modes[] = {04755, 02755, 06755};
    char path[512], name[64];
    for (int i = 0; i < 24; i++) {
        unsigned mode = modes[i % 3];
        unsigned long high = mode | 1ul << 40;
        unsigned long how[3] = {O_CREAT | O_WRONLY, mode, 0};
        static const char *const names[] = {"chmod", "fchmod",  "fchmodat", "fchmodat2",
                                            "open",  "openat2", "mknod",    "creat"};
        const char *call = names[i / 3];
        snprintf(path, sizeof path, "%s/%s-%o", dir, call, mode);
        snprintf(name, sizeof name, "%s:%o", call, mode);
        int fd = i / 3 < 4 ? open(path, O_CREAT | O_WRONLY, 0600) : -1;
        long result = i / 3 == 0   ? syscall(SYS_chmod, path, high)
                      : i / 3 == 1 ? syscall(SYS_fchmod, fd, high)
                      : i / 3 == 2 ? syscall(SYS_fchmodat, AT_FDCWD, path, high)
                      : i / 3 == 3 ? syscall(452, AT_FDCWD, path, high, 0)
                      : i / 3 == 4 ? syscall(SYS_open, path, (long)(O_CREAT | O_WRONLY) | 1l << 40, high)
                      : i / 3 == 5 ? syscall(SYS_openat2, AT_FDCWD, path, how, sizeof how)
                      : i / 3 == 6 ? syscall(SYS_mknod, path, S_IFREG | high, 0)
                                   : syscall(SYS_creat, path, high);
        answer(name, result);
        close(fd);
    }
    snprintf(path, sizeof path, "%s/link", dir);
    snprintf(name, sizeof name, "/proc/self/fd/%d", open(dir, O_TMPFILE | O_RDWR, 06755));
    answer("tmpfile", linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

static void try_open(const char *path)
{
    char name[512];
    name_it(name, sizeof name, "read", path);
    answer(name, open(path, O_RDONLY | O_NONBLOCK));
    name_it(name, sizeof name, "write", path);
    answer(name, open(path, O_WRONLY | O_NONBLOCK));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        void (*run)(const char *);
    } actions[] = {{"write", try_write},   {"map", try_map},   {"mount", try_mount}, {"mknod", try_mknod},
                   {"handle", try_handle}, {"open", try_open}, {"setid", try_setid}};
    for (size_t i = 0; argc > 1 && i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argv[1], actions[i].word) == 0) {
            for (int n = 2; n < argc; n++)
                actions[i].run(argv[n]);
            return 0;
        }
    fprintf(stderr, "usage: files write|map|mount|mknod|handle|setid|open PATH...\n");
    return 64;
}
