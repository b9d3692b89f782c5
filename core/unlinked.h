/* unlinked.h - what a sandbox's processes hold open of its storage folder and have deleted: a walk over the folder does
 * not meet it, and the disk keeps it until the last descriptor goes (unlink(2)). */
#ifndef MOONBOX_UNLINKED_H
#define MOONBOX_UNLINKED_H

#include "plan.h"

#include <sys/types.h>

struct unlinked_usage {
    uint64_t bytes; /* allocated, st_blocks * 512 */
    uint64_t files; /* each counted once, however many descriptors lead to it */
    bool partial;   /* the time was over before everything had been looked at */
};

/* Looks at the descriptors of all threads below process `init` (the host's pid) for at most about `seconds`. Files count
 * that lie on the mounts of the plan's MOUNT_WRITABLE rows. Nothing of a tenant is opened, only looked at (proc(5),
 * statx(2)). Not seen: a process that an ordinary user may not look into because it is not dumpable (prctl(2)), a file
 * that is only mapped, a descriptor that is in flight (unix(7)). Never fails: what can't be looked at is left out. */
void unlinked_measure(pid_t init, const struct plan *plan, double seconds, struct unlinked_usage *usage);

#endif
