/* cgroup_react.h - what a supervisor may do to a sandbox that runs: give it less processor time, or stop it for a while. */
#ifndef MOONBOX_CGROUP_REACT_H
#define MOONBOX_CGROUP_REACT_H

#include "cgroup.h"

#include <stdbool.h>

/* Gives it only this much processor time from now on. err->code EOPNOTSUPP where there is no such group. */
int cgroup_throttle(const struct cgroup *group, double cpus, struct err *err);

/* Stops every process of it, or lets them go on. On a host whose groups can't freeze a group is made that can:
 * cgroup_freezer_path says which, so that somebody can be told first (1 = in path, 0 = none is needed, -1 = can't). */
int cgroup_freeze(struct cgroup *group, const struct cgroup_support *support, bool on, struct err *err);
void cgroup_thaw(const struct cgroup *group); /* what version 1 has frozen does not even die */
int cgroup_freezer_path(const struct cgroup *group, const struct cgroup_support *support, char *path, size_t size);

#endif
