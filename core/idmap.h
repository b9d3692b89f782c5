/* idmap.h - which ids of the host a sandbox's ids stand for (user_namespaces(7)).
 *
 * Never host id 0.  Root takes a free slot of 65,536 ids, held by a lock for as long as the sandbox or its storage
 * lives; an ordinary user maps the agent to himself (IDS_OWN) or to his subordinate ids through newuidmap(1)
 * (IDS_SUBORDINATE). */
#ifndef MOONBOX_IDMAP_H
#define MOONBOX_IDMAP_H

#include "err.h"
#include "plan.h"

#include <stdbool.h>
#include <sys/types.h>

/* The first of root's slots: inside the range that systemd's UIDS-GIDS document leaves to containers
 * (524288..1879048191), far above the first entries of /etc/subuid. */
enum { IDMAP_RANGE = 65536, IDMAP_FIRST = 1610612736 };

struct idmap {
    bool range;     /* true: 0..65535 inside are base.. outside; false: the agent's id alone is the caller's */
    bool helper;    /* written by newuidmap and newgidmap, and the caller's own id is mapped behind the range */
    uid_t uid_base; /* outside, when range */
    gid_t gid_base;
    uid_t agent_uid; /* inside */
    gid_t agent_gid;
    int lock; /* keeps a slot of root's; -1 none */
};

/* Chooses the mapping for a plan. As root a slot is taken under `lock_dir`, which is made when absent.
 * The caller frees it with idmap_release. */
int idmap_choose(struct idmap *map, const struct plan *plan, const char *lock_dir, struct err *err);
void idmap_release(struct idmap *map);

/* The agent's ids as the host sees them. */
uid_t idmap_host_uid(const struct idmap *map);
gid_t idmap_host_gid(const struct idmap *map);

/* Writes the maps of a child that waits in a fresh user namespace. */
int idmap_write(const struct idmap *map, pid_t child, struct err *err);

#endif
