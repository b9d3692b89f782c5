#include "image.h"
#include "probe_parts.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : close(fd);
}

/* In an empty working directory: an overlay that takes a new file, a changed one and a deletion. */
static int try_overlay(struct probe_fact *fact)
{
    static const char *const folders[] = {"lower", "upper", "work", "merged"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (mkdir(folders[i], 0700) < 0) {
            probe_no(fact, "make a folder for an overlay");
            return -1;
        }
    if (make_file("lower/old") < 0)
        probe_no(fact, "make a file below an overlay");
    else if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work,userxattr") < 0)
        probe_no(fact, "mount an overlay in a user namespace");
    else if (make_file("merged/new") < 0 || chmod("merged/old", 0640) < 0)
        probe_no(fact, "write on an overlay in a user namespace");
    else if (unlink("merged/old") < 0)
        probe_no(fact, "delete on an overlay in a user namespace");
    else if (access("merged/old", F_OK) == 0 || errno != ENOENT)
        probe_no(fact, "a file deleted on an overlay is still there");
    else
        return 0;
    return -1;
}

void probe_overlay(const struct probe_case *with, struct probe_fact *fact)
{
    if (probe_enter(CLONE_NEWNS, fact) < 0)
        return;
    if (chdir(with->folder) < 0)
        probe_no(fact, "enter %.200s", with->folder);
    else if (try_overlay(fact) == 0)
        probe_yes(fact, "write, change and delete work on the state folder's filesystem");
}

void probe_overlay_tmpfs(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    if (probe_enter(CLONE_NEWNS, fact) < 0)
        return;
    if (mount("none", "/tmp", "tmpfs", 0, "size=1m") < 0 || chdir("/tmp") < 0)
        probe_no(fact, "mount a tmpfs in a user namespace");
    else if (try_overlay(fact) == 0)
        probe_yes(fact, "write, change and delete work on tmpfs");
}

/* The new mount calls: a tmpfs made, a tree cloned, its attributes changed, both moved. */
void probe_mount_api(const struct probe_case *with, struct probe_fact *fact)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if (probe_enter(CLONE_NEWNS, fact) < 0)
        return;
    cleanup_fd int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        probe_no(fact, "fsopen");
        return;
    }
    cleanup_fd int made = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID);
    if (made < 0 || move_mount(made, "", AT_FDCWD, with->folder, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        probe_no(fact, "fsmount and move_mount");
        return;
    }
    cleanup_fd int tree = open_tree(AT_FDCWD, with->folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &read_only, sizeof read_only) < 0) {
        probe_no(fact, "open_tree and mount_setattr");
        return;
    }
    probe_yes(fact, "fsopen, fsmount, move_mount, open_tree and mount_setattr work");
}

/* A user namespace of root's with a map that isn't the host's, held open by its descriptor; -1 with errno. */
static int other_user_namespace(void)
{
    int ready[2];
    char path[64], byte;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    int fd = -1;
    if (read(ready[0], &byte, 1) == 1) {
        snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
        int mapped = util_write_file(AT_FDCWD, path, "0 100000 65536");
        snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
        mapped = mapped < 0 ? mapped : util_write_file(AT_FDCWD, path, "0 100000 65536");
        snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
        fd = mapped < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    }
    int saved = errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    errno = saved;
    return fd;
}

/* mount_setattr(2), "ID-mapped mounts": needs CAP_SYS_ADMIN over the filesystem, so only root's try can pass.
 */
void probe_idmapped(const struct probe_case *with, struct probe_fact *fact)
{
    if (geteuid() != 0) {
        errno = EPERM;
        probe_no(fact, "only root can make idmapped mounts");
        return;
    }
    cleanup_fd int users = other_user_namespace();
    if (users < 0) {
        probe_no(fact, "make a user namespace with subordinate ids");
        return;
    }
    cleanup_fd int tree = open_tree(AT_FDCWD, with->folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr map = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)users};
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &map, sizeof map) < 0)
        probe_no(fact, "idmap a mount of the state folder's filesystem");
    else
        probe_yes(fact, "works on the state folder's filesystem");
}

void probe_user_xattr(const struct probe_case *with, struct probe_fact *fact)
{
    if (setxattr(with->folder, "user.moonbox", "1", 1, 0) < 0)
        probe_no(fact, "set a user attribute on the state folder's filesystem");
    else
        probe_yes(fact, "the state folder's filesystem has user attributes");
}

void probe_loop(const struct probe_case *with, struct probe_fact *fact)
{
    char path[64];
    struct err err;
    if (geteuid() == 0 && (image_possible(&err) < 0 || image_try(with->folder, &err) < 0)) {
        errno = err.code;
        probe_no(fact, "%s", err.text);
        return;
    }
    cleanup_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) {
        probe_no(fact, "open /dev/loop-control");
        return;
    }
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    snprintf(path, sizeof path, "/dev/loop%d", number);
    cleanup_fd int device = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (device < 0)
        probe_no(fact, "open a free loop device");
    else
        probe_yes(fact, geteuid() == 0 ? "a disk image works on the state folder's filesystem"
                                       : "a free loop device was opened");
}
