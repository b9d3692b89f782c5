#include "inside.h"

#include "util.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static uint64_t proportional_size(int dir, const char *pid)
{
    char path[NAME_MAX + 32], text[4096];
    snprintf(path, sizeof path, "%s/smaps_rollup", pid);
    if (util_read_file(dir, path, text, sizeof text) > 0) {
        const char *pss = strstr(text, "\nPss:"), *swap = strstr(text, "\nSwapPss:");
        if (pss)
            return (strtoull(pss + 5, NULL, 10) + (swap ? strtoull(swap + 9, NULL, 10) : 0)) * 1024;
    }
    snprintf(path, sizeof path, "%s/statm", pid);
    if (util_read_file(dir, path, text, sizeof text) <= 0)
        return 0;
    const char *resident = strchr(text, ' ');
    return resident ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t cpu_time(int dir, const char *pid)
{
    char path[NAME_MAX + 32], text[1024];
    snprintf(path, sizeof path, "%s/stat", pid);
    if (util_read_file(dir, path, text, sizeof text) <= 0)
        return 0;
    char *field = strrchr(text, ')'), *save = NULL;
    uint64_t ticks = 0;
    int number = 3;
    for (field = field ? strtok_r(field + 1, " ", &save) : NULL; field && number <= 17;
         field = strtok_r(NULL, " ", &save), number++)
        if (number >= 14) /* utime stime cutime cstime */
            ticks += strtoull(field, NULL, 10);
    return ticks * 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
}

static void note_full(const struct mntent *mount, const struct statfs *fs, struct wire_usage *usage)
{
    if (!*usage->full && !hasmntopt(mount, "ro") && (fs->f_bfree == 0 || fs->f_ffree == 0) &&
        util_copy(usage->full, sizeof usage->full, mount->mnt_dir) < 0)
        usage->full[0] = '\0';
}

/* What lies in the tmpfs of the sandbox's mounts is memory too. A filesystem that is mounted twice counts once. */
static uint64_t tmpfs_bytes(struct wire_usage *usage)
{
    enum { MAX_FILESYSTEMS = 64 };
    dev_t seen[MAX_FILESYSTEMS];
    size_t n = 0;
    uint64_t bytes = 0;
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    for (struct mntent *mount; mounts && (mount = getmntent(mounts));) {
        struct stat st;
        struct statfs fs;
        if (strcmp(mount->mnt_type, "tmpfs") != 0 || stat(mount->mnt_dir, &st) < 0 || statfs(mount->mnt_dir, &fs) < 0 ||
            fs.f_type != TMPFS_MAGIC)
            continue; /* something else may lie over it */
        bool known = n == MAX_FILESYSTEMS;
        for (size_t i = 0; i < n && !known; i++)
            known = seen[i] == st.st_dev;
        if (known)
            continue;
        seen[n++] = st.st_dev;
        note_full(mount, &fs, usage);
        bytes += (fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
    }
    if (mounts)
        endmntent(mounts);
    return bytes;
}

void inside_measure(struct wire_usage *usage)
{
    struct rusage waited;
    memset(usage, 0, sizeof *usage);
    if (getrusage(RUSAGE_CHILDREN, &waited) == 0)
        usage->cpu_us = (uint64_t)(waited.ru_utime.tv_sec + waited.ru_stime.tv_sec) * 1000000u +
                        (uint64_t)(waited.ru_utime.tv_usec + waited.ru_stime.tv_usec);
    usage->memory = tmpfs_bytes(usage);
    cleanup_dir DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || strcmp(entry->d_name, "1") == 0)
            continue;
        usage->processes++;
        usage->memory += proportional_size(dirfd(proc), entry->d_name);
        usage->cpu_us += cpu_time(dirfd(proc), entry->d_name);
    }
}
