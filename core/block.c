#include "block.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* Of those that say whose a delayed write is; btrfs, which does too, has no device of its own. */
static bool writes_are_told_apart(long type)
{
    return type == EXT4_SUPER_MAGIC || type == XFS_SUPER_MAGIC || type == F2FS_SUPER_MAGIC;
}

int block_disk(int fd, dev_t *disk, struct err *err)
{
    struct stat st;
    struct statfs fs;
    char path[64], text[32];
    unsigned first, second;
    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return err_sys(err, "look at the filesystem");
    if (major(st.st_dev) == 0)
        return err_set(err, ENODEV, "the filesystem there lies on no disk of its own (type %lx)", (long)fs.f_type);
    if (!writes_are_told_apart((long)fs.f_type))
        return err_set(err, EOPNOTSUPP, "the filesystem there does not say whose a delayed write is (type %lx)",
                       (long)fs.f_type);
    /* The directory of a partition is in that of its disk. */
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", major(st.st_dev), minor(st.st_dev));
    const char *at = faccessat(AT_FDCWD, path, F_OK, 0) == 0 ? "../dev" : "dev";
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(st.st_dev), minor(st.st_dev), at);
    if (util_read_file(AT_FDCWD, path, text, sizeof text) < 0)
        return err_sys(err, "read %s", path);
    if (sscanf(text, "%u:%u", &first, &second) != 2)
        return err_set(err, EPROTO, "%s is no device number: %s", path, text);
    *disk = makedev(first, second);
    return 0;
}
