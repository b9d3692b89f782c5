/* leftovers.h - what is left on the host when a supervisor and its keeper were both killed. */
#ifndef MOONBOX_LEFTOVERS_H
#define MOONBOX_LEFTOVERS_H

#include "cgroup.h"

#include <stdbool.h>

/* Removes every storage folder in `directory` that is older than `age` seconds and that no supervisor holds locked.
 * Returns their number; what can't be removed stays and is tried again next time. */
int leftovers_sweep_folders(const char *directory, double age);

/* Removes every empty control group of moonbox's that is older than `age` seconds. Returns their number. */
int leftovers_sweep_groups(const struct cgroup_support *support, double age);

/* Waits at most `seconds` until nothing is left of the sandbox whose supervisor, now dead, called what it has on the host
 * `name`: its keeper removes that. Then does what the keeper did not. True when nothing is left. */
bool leftovers_remove(const struct cgroup_support *support, const char *directory, const char *name, double seconds);

#endif
