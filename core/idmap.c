#include "idmap.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SLOTS = 1024 };

extern char **environ;

/* First usable range of /etc/subuid or /etc/subgid for a user: 1 found, 0 none. */
static int subordinate_range(const char *file, const char *name, uid_t uid, unsigned *base)
{
    FILE *f = fopen(file, "re");
    if (!f)
        return 0;
    char line[512], number[16];
    int found = 0;
    snprintf(number, sizeof number, "%u", uid);
    while (!found && fgets(line, sizeof line, f)) {
        char *save = NULL, *who = strtok_r(line, ":", &save), *first = strtok_r(NULL, ":", &save);
        char *count = strtok_r(NULL, ":\n", &save);
        if (!who || !first || !count || (strcmp(who, name) != 0 && strcmp(who, number) != 0))
            continue;
        if (strtoul(count, NULL, 10) >= IDMAP_RANGE) {
            *base = (unsigned)strtoul(first, NULL, 10);
            found = *base > 0;
        }
    }
    fclose(f);
    return found;
}

/* True when some line of the file gives out ids that root's slots would use. */
static bool slots_are_given_out(const char *file)
{
    FILE *f = fopen(file, "re");
    if (!f)
        return false;
    char line[512];
    bool overlap = false;
    const unsigned long last = (unsigned long)IDMAP_FIRST + (unsigned long)SLOTS * IDMAP_RANGE;
    while (!overlap && fgets(line, sizeof line, f)) {
        char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
        if (!count)
            continue;
        unsigned long from = strtoul(first + 1, NULL, 10), n = strtoul(count + 1, NULL, 10);
        overlap = from < last && from + n > (unsigned long)IDMAP_FIRST;
    }
    fclose(f);
    return overlap;
}

static int take_slot(struct idmap *map, const char *lock_dir, struct err *err)
{
    if (slots_are_given_out("/etc/subuid") || slots_are_given_out("/etc/subgid"))
        return err_set(err, EBUSY, "/etc/subuid or /etc/subgid gives out ids from %d on, which moonbox uses as root",
                       IDMAP_FIRST);
    if (mkdir(lock_dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "make %s", lock_dir);
    cleanup_fd int dir = open(lock_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return err_sys(err, "open %s", lock_dir);
    unsigned start = (unsigned)getpid() * 7u;
    for (unsigned i = 0; i < SLOTS; i++) {
        unsigned slot = (start + i) % SLOTS;
        char name[16];
        snprintf(name, sizeof name, "%u", slot);
        cleanup_fd int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return err_sys(err, "open %s/%s", lock_dir, name);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue;
        map->uid_base = map->gid_base = IDMAP_FIRST + slot * IDMAP_RANGE;
        map->lock = steal_fd(&fd);
        return 0;
    }
    return err_set(err, EAGAIN, "all %d id ranges are in use by sandboxes", SLOTS);
}

/* From /etc/passwd itself: the entries of /etc/subuid are for its users, and no name service has to be loaded. */
static void user_name(uid_t uid, char *name, size_t size)
{
    FILE *f = fopen("/etc/passwd", "re");
    if (!f)
        return;
    for (struct passwd *pw; (pw = fgetpwent(f));)
        if (pw->pw_uid == uid && util_copy(name, size, pw->pw_name) == 0)
            break;
    fclose(f);
}

static int find_subordinate(struct idmap *map, struct err *err)
{
    char name[256] = "";
    user_name(geteuid(), name, sizeof name);
    unsigned uids = 0, gids = 0;
    if (!subordinate_range("/etc/subuid", name, geteuid(), &uids) ||
        !subordinate_range("/etc/subgid", name, geteuid(), &gids))
        return err_set(err, ENOENT,
                       "ids = \"subordinate\" needs %d ids for this user in /etc/subuid and /etc/subgid "
                       "(usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s)",
                       IDMAP_RANGE, *name ? name : "USER");
    map->uid_base = uids;
    map->gid_base = gids;
    map->helper = true;
    return 0;
}

int idmap_choose(struct idmap *map, const struct plan *plan, const char *lock_dir, struct err *err)
{
    *map = (struct idmap){.agent_uid = plan->uid, .agent_gid = plan->gid, .lock = -1};
    if (geteuid() == 0) {
        map->range = true;
        return take_slot(map, lock_dir, err);
    }
    map->range = plan->ids == IDS_SUBORDINATE;
    return map->range ? find_subordinate(map, err) : 0;
}

void idmap_release(struct idmap *map)
{
    util_close(&map->lock);
}

uid_t idmap_host_uid(const struct idmap *map)
{
    return map->range ? map->uid_base + map->agent_uid : geteuid();
}

gid_t idmap_host_gid(const struct idmap *map)
{
    return map->range ? map->gid_base + map->agent_gid : getegid();
}

static int run_helper(const char *tool, pid_t child, unsigned base, unsigned own, struct err *err)
{
    char pid[16], first[16], behind[16], self[16], count[16];
    snprintf(pid, sizeof pid, "%d", child);
    snprintf(first, sizeof first, "%u", base);
    snprintf(count, sizeof count, "%d", IDMAP_RANGE);
    snprintf(behind, sizeof behind, "%d", IDMAP_RANGE);
    snprintf(self, sizeof self, "%u", own);
    char zero[] = "0", one[] = "1",
         *argv[] = {(char *)(uintptr_t)tool, pid, zero, first, count, behind, self, one, NULL};
    pid_t helper;
    int status = 0, failed = posix_spawnp(&helper, tool, NULL, NULL, argv, environ);
    if (failed)
        return err_set(err, failed, "start %s (package uidmap): %s", tool, strerror(failed));
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status != 0)
        return err_set(err, EPERM, "%s refused to map %u ids from %u on", tool, IDMAP_RANGE, base);
    return 0;
}

/* Where a pid namespace was made without its own procfs, a path below /proc is of somebody else. */
static bool proc_is_ours(void)
{
    char text[16];
    ssize_t length = readlink("/proc/self", text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    return atoi(text) == getpid();
}

static int write_map(pid_t child, const char *file, const char *text, struct err *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", child, file);
    if (util_write_file(AT_FDCWD, path, text) == 0)
        return 0;
    err_sys(err, "write %s (moonbox doctor says what this host allows)", path);
    if (!proc_is_ours())
        err_set(err, err->code,
                "/proc is not of moonbox's own pid namespace; mount one there (mount -t proc proc /proc)");
    return -1;
}

int idmap_write(const struct idmap *map, pid_t child, struct err *err)
{
    char uids[64], gids[64];
    if (map->helper) {
        if (run_helper("newuidmap", child, map->uid_base, geteuid(), err) < 0)
            return -1;
        return run_helper("newgidmap", child, map->gid_base, getegid(), err);
    }
    if (map->range) {
        snprintf(uids, sizeof uids, "0 %u %d\n", map->uid_base, IDMAP_RANGE);
        snprintf(gids, sizeof gids, "0 %u %d\n", map->gid_base, IDMAP_RANGE);
    } else {
        snprintf(uids, sizeof uids, "%u %u 1\n", map->agent_uid, geteuid());
        snprintf(gids, sizeof gids, "%u %u 1\n", map->agent_gid, getegid());
        /* A process that could drop groups would gain what a group is denied: user_namespaces(7), CVE-2014-8989. */
        if (write_map(child, "setgroups", "deny", err) < 0)
            return -1;
    }
    if (write_map(child, "uid_map", uids, err) < 0)
        return -1;
    return write_map(child, "gid_map", gids, err);
}
