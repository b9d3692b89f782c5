/* cgroup.h - control groups: limits on a whole sandbox that the kernel holds.
 *
 * Version 2 where it has the controllers (kernel Documentation/admin-guide/cgroup-v2), version 1 where they are
 * bound there (…/cgroup-v1), and both on a hybrid host: limits by v1, kill and freeze by v2.  Groups are made in
 * "moonbox" below the root of a hierarchy as root, and as an ordinary user in the nearest group above his own that
 * he may write and that passes the controllers on (systemd's delegation).  What a group can't hold is reported,
 * never guessed: the caller decides whether watching will do. */
#ifndef MOONBOX_CGROUP_H
#define MOONBOX_CGROUP_H

#include "cgroup_find.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup_limits {
    double cpus;        /* of CPU time a second; 0 none */
    uint64_t memory;    /* bytes; 0 none; swap is not given on top */
    uint64_t processes; /* 0 none */
};

/* One sandbox's groups: at most one directory a hierarchy. */
struct cgroup {
    struct {
        int version;
        int fd;
        int tasks; /* v1: open for writing, so that the child needs no path; -1 none */
        char path[CGROUP_MAX_PATH];
        bool has[CGROUP_CONTROLLERS];
    } groups[CGROUP_CONTROLLERS + 2];
    int n;
    int freezer;    /* the group that freezes; -1 not made yet */
    bool limits_io; /* what it reads from or writes to a disk */
};

/* Makes the groups called `name` for the limits that are set and that the host can hold. */
int cgroup_create(struct cgroup *group, const struct cgroup_support *support, const char *name,
                  const struct cgroup_limits *limits, struct err *err);

/* The v2 group's directory for CLONE_INTO_CGROUP, borrowed; -1 none. */
int cgroup_clone_fd(const struct cgroup *group);

/* Whether the groups must exist before the process does: a v2 group is entered by being born in it. */
bool cgroup_before_birth(const struct cgroup_support *support);

/* The v1 groups' files that a process enters them by, borrowed; at most CGROUP_MAX_V1. Returns their number. */
enum { CGROUP_MAX_V1 = CGROUP_CONTROLLERS + 1 };
int cgroup_entrances(const struct cgroup *group, int fds[CGROUP_MAX_V1]);

/* Moves the calling process, which has one thread, in by such a file. Only a thread that moves itself is spared the
 * wait for an RCU grace period, about 5 ms (kernel/cgroup/cgroup.c, cgroup_procs_write_start). */
int cgroup_enter(int entrance, struct err *err);

/* For the other files of this facility: makes and opens the group, or finds it; and sets the cpu limit of group `i`. */
int cgroup_add(struct cgroup *group, const char *parent, int version, const char *name, struct err *err);
int cgroup_limit_cpu(const struct cgroup *group, int i, double cpus, struct err *err);

/* Kills what is left inside (v2) and removes the groups; safe on an empty struct. Waits up to a second for the
 * kernel to let go. */
int cgroup_destroy(struct cgroup *group, struct err *err);

/* Removes the groups below a group in which nobody is any more (version 2); false when somebody is, or can't be seen. */
bool cgroup_clear(int fd);

/* Kills and removes the group at `path`, as far as it is there: what a dead supervisor left. */
void cgroup_remove_path(const char *path);

/* The paths that cgroup_create would make, one call of `tell` each; so that somebody can remove them whatever
 * happens to the caller. A negative answer ends the walk and is returned. */
int cgroup_paths(const struct cgroup_support *support, const char *name, int (*tell)(void *, const char *path),
                 void *context);

#endif
