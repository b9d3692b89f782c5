/* owner.h - whose a root's sandbox is, in the kernel's accounts.
 *
 * Who makes a user namespace owns it, and what is counted in it (inotify instances, queued signals, timers, message
 * queues) is counted against the owner as well (user_namespaces(7)).  Owned by host root, one sandbox at its limit
 * would leave nothing to the host and to the others; so each is owned by the first id of its own range, which is
 * nobody else's. */
#ifndef MOONBOX_OWNER_H
#define MOONBOX_OWNER_H

#include "err.h"

#include <stdint.h>
#include <sys/types.h>

/* sys_clone3 with CLONE_NEWUSER in `flags`, as effective user `owner` and with the caller's capabilities, for root
 * only. The caller is root again when it returns, as dumpable and as bound to its parent as before; the child is
 * not. Returns as fork(2) does, -1 with err set. Must not: change another thread's ids, so the caller has one. */
pid_t owner_clone(uid_t owner, uint64_t flags, int cgroup_fd, int *pidfd, struct err *err);

/* Sets err for a clone3 into new namespaces that failed with errno. Returns -1. */
int owner_no_clone(struct err *err);

#endif
