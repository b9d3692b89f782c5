#include "cgroup_find.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const names[CGROUP_CONTROLLERS] = {"cpu", "memory", "pids"};

const char *cgroup_controller_name(enum cgroup_controller controller)
{
    return names[controller];
}

static bool has_word(const char *list, const char *word, const char *separators)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || strchr(separators, at[-1])) && (!at[length] || strchr(separators, at[length])))
            return true;
    return false;
}

/* Reads `dir/file` and looks for a word in it. */
static bool file_has(const char *dir, const char *file, const char *word)
{
    char path[CGROUP_MAX_PATH + 64], text[1024];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    return util_read_file(AT_FDCWD, path, text, sizeof text) > 0 && has_word(text, word, " \n");
}

static bool write_to(const char *dir, const char *file, const char *text)
{
    char path[CGROUP_MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    return util_write_file(AT_FDCWD, path, text) == 0;
}

static bool make_group(char *path, size_t size, const char *parent)
{
    return snprintf(path, size, "%s/moonbox", parent) < (int)size && (mkdir(path, 0755) == 0 || errno == EEXIST);
}

/* Reads `dir/file`, a list of words; "" when it can't be read. */
static void read_list(const char *dir, const char *file, char *text, size_t size)
{
    char path[CGROUP_MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (util_read_file(AT_FDCWD, path, text, size) < 0)
        text[0] = '\0';
}

/* Passes the controllers on from `dir` to its children as far as it has them. True when it passes any on. */
static bool enable_controllers(const char *dir)
{
    char have[1024], passed[1024];
    bool any = false;
    read_list(dir, "cgroup.controllers", have, sizeof have);
    read_list(dir, "cgroup.subtree_control", passed, sizeof passed);
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        char text[32];
        snprintf(text, sizeof text, "+%s", names[c]);
        bool on = has_word(passed, names[c], " \n");
        if (!on && has_word(have, names[c], " \n"))
            on = write_to(dir, "cgroup.subtree_control", text);
        any = any || on;
    }
    return any;
}

static void use_unified(struct cgroup_support *support, const char *parent)
{
    char passed[1024];
    read_list(parent, "cgroup.subtree_control", passed, sizeof passed);
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        if (has_word(passed, names[c], " \n")) {
            util_copy(support->unified, sizeof support->unified, parent);
            support->controllers[c].version = 2;
            util_copy(support->controllers[c].parent, CGROUP_MAX_PATH, parent);
        }
}

/* The calling process's own path in the v2 hierarchy ("0::/user.slice/…"). */
static bool own_path(char *path, size_t size)
{
    char text[8192];
    if (util_read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof text) <= 0)
        return false;
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return false;
    line = strchr(line, '/');
    size_t length = strcspn(line, "\n");
    if (length >= size)
        return false;
    memcpy(path, line, length);
    path[length] = '\0';
    return true;
}

/* As an ordinary user: from one's own group upwards, the first that may be written, lets processes be moved into its
 * children, and passes memory on. The own group holds the shell, so usually it is the one above (a group with
 * processes can't pass controllers on: cgroup-v2, "No Internal Process Constraint"). */
static void find_delegated(struct cgroup_support *support, const char *mount)
{
    char own[CGROUP_MAX_PATH], dir[CGROUP_MAX_PATH], group[CGROUP_MAX_PATH], path[CGROUP_MAX_PATH + 16];
    if (!own_path(own, sizeof own))
        return;
    for (;;) {
        if (snprintf(dir, sizeof dir, "%s%s", mount, strcmp(own, "/") == 0 ? "" : own) >= (int)sizeof dir)
            return;
        snprintf(path, sizeof path, "%s/cgroup.procs", dir);
        if (access(dir, W_OK) == 0 && access(path, W_OK) == 0) {
            enable_controllers(dir);
            if (file_has(dir, "cgroup.subtree_control", "memory") && make_group(group, sizeof group, dir)) {
                enable_controllers(group);
                use_unified(support, group);
                return;
            }
        }
        char *slash = strrchr(own, '/');
        if (!slash || own[1] == '\0')
            return;
        slash[slash == own] = '\0';
    }
}

static void add_freezer(struct cgroup_support *support, const char *mount, int version)
{
    if (geteuid() != 0 || support->freezer.version > version)
        return;
    support->freezer.version = version; /* version 2 is better: what it has frozen can be killed */
    util_copy(support->freezer.parent, CGROUP_MAX_PATH, mount);
}

static void add_unified(struct cgroup_support *support, const char *mount)
{
    char group[CGROUP_MAX_PATH];
    add_freezer(support, mount, 2);
    if (geteuid() != 0) {
        find_delegated(support, mount);
        return;
    }
    if (!enable_controllers(mount) || !make_group(group, sizeof group, mount))
        return;
    enable_controllers(group);
    use_unified(support, group);
}

static void add_blkio(struct cgroup_support *support, const char *mount)
{
    char path[CGROUP_MAX_PATH];
    snprintf(path, sizeof path, "%s/blkio.throttle.read_bps_device", mount);
    if (access(mount, W_OK) < 0 || access(path, F_OK) < 0)
        return;
    support->io.version = 1;
    snprintf(support->io.parent, sizeof support->io.parent, "%s/moonbox", mount);
}

static void add_v1(struct cgroup_support *support, const char *mount, const char *options)
{
    char group[CGROUP_MAX_PATH];
    bool wanted = false;
    if (has_word(options, "freezer", ","))
        add_freezer(support, mount, 1);
    if (has_word(options, "blkio", ","))
        add_blkio(support, mount);
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        wanted = wanted || has_word(options, names[c], ",");
    if (!wanted || !make_group(group, sizeof group, mount) || access(group, W_OK) < 0)
        return;
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        if (has_word(options, names[c], ",")) {
            support->controllers[c].version = 1;
            util_copy(support->controllers[c].parent, CGROUP_MAX_PATH, group);
        }
}

/* A line of proc_pid_mountinfo(5): fields 5 (mount point) before " - ", then type, source, super options. */
static void add_mount(struct cgroup_support *support, char *line)
{
    char *dash = strstr(line, " - ");
    if (!dash)
        return;
    *dash = '\0';
    char *save = NULL, *type = strtok_r(dash + 3, " ", &save), *field = NULL, *mount = NULL, *save2 = NULL;
    strtok_r(NULL, " ", &save);
    char *options = strtok_r(NULL, " \n", &save);
    if (!type || !options || strncmp(type, "cgroup", 6) != 0)
        return;
    int number = 1;
    for (field = strtok_r(line, " ", &save2); field; field = strtok_r(NULL, " ", &save2), number++)
        if (number == 5)
            mount = field;
    if (!mount || strlen(mount) > 200)
        return;
    if (strcmp(type, "cgroup2") == 0 && !*support->unified)
        add_unified(support, mount);
    else if (strcmp(type, "cgroup") == 0)
        add_v1(support, mount, options);
}

void cgroup_find(struct cgroup_support *support)
{
    memset(support, 0, sizeof *support);
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, f) > 0)
        add_mount(support, line);
    free(line);
    fclose(f);
}

const struct cgroup_support *cgroup_found(void)
{
    static struct cgroup_support support;
    static bool found;
    if (!found)
        cgroup_find(&support);
    found = true;
    return &support;
}
