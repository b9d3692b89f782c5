/* confine.h - the gateway gives up all that it does not need, before it reads a byte from a sandbox. */
#ifndef MOONBOX_GATEWAY_CONFINE_H
#define MOONBOX_GATEWAY_CONFINE_H

#include "../err.h"

#include <stdbool.h>
#include <sys/types.h>

/* At once after the fork: dies with `parent`, hears no terminal, holds no descriptor but `fds` (which become 3, 4 …, written
 * back), can't be traced or dumped, and may open as many sockets as the host allows. */
int confine_first(pid_t parent, int *fds, int n, struct err *err);

/* For good. Should: leave the host's user namespace for the sandbox's outer one (`user_namespace`, a descriptor) without
 * entering its network; take an id that no process of the sandbox has (`own_ids`); keep CAP_NET_ADMIN over that namespace only
 * when the queue needs it; filter system calls. Mustn't: keep a group, a capability over the host, or a way to open a file. */
int confine_for_good(int user_namespace, bool own_ids, bool verdicts, struct err *err);

#endif
