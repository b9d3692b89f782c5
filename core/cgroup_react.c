#include "cgroup_react.h"

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ROUNDS = 50 };

int cgroup_throttle(const struct cgroup *group, double cpus, struct err *err)
{
    for (int i = 0; i < group->n; i++)
        if (group->groups[i].has[CGROUP_CPU])
            return cgroup_limit_cpu(group, i, cpus, err);
    return err_set(err, EOPNOTSUPP, "there is no cpu control group to give it less time with");
}

static int version_2(const struct cgroup *group)
{
    for (int i = 0; i < group->n; i++)
        if (group->groups[i].version == 2)
            return i;
    return -1;
}

int cgroup_freezer_path(const struct cgroup *group, const struct cgroup_support *support, char *path, size_t size)
{
    if (group->n == 0)
        return -1;
    if (group->freezer >= 0 || version_2(group) >= 0)
        return 0;
    if (support->freezer.version == 0)
        return -1;
    snprintf(path, size, "%s/moonbox/%s", support->freezer.parent, strrchr(group->groups[0].path, '/') + 1);
    return 1;
}

static int find_freezer(struct cgroup *group, const struct cgroup_support *support, struct err *err)
{
    char parent[CGROUP_MAX_PATH];
    if (group->n > 0 && group->freezer < 0)
        group->freezer = version_2(group);
    if (group->n > 0 && group->freezer >= 0)
        return group->freezer;
    if (group->n == 0 || support->freezer.version == 0)
        return err_set(err, EOPNOTSUPP, "there is no control group that can freeze");
    if (snprintf(parent, sizeof parent, "%s/moonbox", support->freezer.parent) >= (int)sizeof parent)
        return err_set(err, ENAMETOOLONG, "%s is too long", support->freezer.parent);
    if (mkdir(parent, 0755) < 0 && errno != EEXIST)
        return err_sys(err, "make %s", parent);
    const char *name = strrchr(group->groups[0].path, '/') + 1;
    group->freezer = cgroup_add(group, parent, support->freezer.version, name, err);
    return group->freezer;
}

/* Whoever comes into a frozen group freezes. Moves what is in group `from` there; returns how many were not there yet,
 * for a child may be made between the reading and the moving of its parent. */
static int gather(const struct cgroup *group, int from, int to)
{
    char text[65536], there[65536], line[32], pid[16];
    int moved = 0;
    if (util_read_file(group->groups[from].fd, "cgroup.procs", text, sizeof text) <= 0)
        return 0;
    there[0] = '\n';
    if (util_read_file(group->groups[to].fd, "cgroup.procs", there + 1, sizeof there - 1) < 0)
        there[1] = '\0';
    char *save = NULL;
    for (char *next = strtok_r(text, "\n", &save); next; next = strtok_r(NULL, "\n", &save)) {
        snprintf(line, sizeof line, "\n%.15s\n", next);
        snprintf(pid, sizeof pid, "%.15s", next);
        if (!strstr(there, line) && util_write_file(group->groups[to].fd, "cgroup.procs", pid) == 0)
            moved++;
    }
    return moved;
}

int cgroup_freeze(struct cgroup *group, const struct cgroup_support *support, bool on, struct err *err)
{
    int freezer = find_freezer(group, support, err);
    if (freezer < 0)
        return -1;
    bool second = group->groups[freezer].version == 2;
    const char *file = second ? "cgroup.freeze" : "freezer.state";
    const char *text = second ? (on ? "1" : "0") : (on ? "FROZEN" : "THAWED");
    if (util_write_file(group->groups[freezer].fd, file, text) < 0)
        return err_sys(err, "write %s to %s/%s", text, group->groups[freezer].path, file);
    for (int round = 0; on && freezer != 0 && gather(group, 0, freezer) > 0; round++) {
        if (round == ROUNDS)
            return err_set(err, EAGAIN, "its processes multiply faster than they can be frozen");
    }
    return 0;
}

void cgroup_thaw(const struct cgroup *group)
{
    if (group->freezer >= 0 && group->n > 0 && group->groups[group->freezer].version == 1)
        (void)!util_write_file(group->groups[group->freezer].fd, "freezer.state", "THAWED");
}
