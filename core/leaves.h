/* leaves.h - a control group for each command of a sandbox, below the sandbox's own (version 2), so that who runs out of
 * memory is killed with all that it has started, setsid(2) or not, and nobody else is (memory.oom.group, kernel
 * Documentation/admin-guide/cgroup-v2).
 *
 *   G         the sandbox's: all limits, and no process ("No Internal Process Constraint")
 *   G/init    process 1, the subreapers of commands
 *   G/c1 …    one command each and what descends from it; used again when nobody is in it any more
 *
 * A process enters its leaf by being born in it: to move it there would take 7 to 11 ms (an RCU grace period), and its
 * first pages would be counted elsewhere.  Init is the one who gives birth, so it is handed the leaf's directory with
 * each command, its user may write to the cgroup.procs of G and of the leaves, which the kernel asks for
 * (cgroup_css_set_fork), and it may call clone3(2), which its commands may not (core/seccomp.h).  No command ever has a
 * descriptor of a group or a view of their filesystem.  Init itself moves, once, which is nearly all that leaves add to a
 * start: it must make its cgroup namespace in G, and then leave G empty.
 *
 * A leaf's own limit is a little below the sandbox's.  So one that grows alone reaches its own first, in which there is
 * nobody else to be killed; and what it leaves in memory filesystems, which no kill gives back, leaves room for a command
 * that removes it. */
#ifndef MOONBOX_LEAVES_H
#define MOONBOX_LEAVES_H

#include "cgroup.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum { LEAVES_MOST = 256 };

struct leaf {
    struct leaf *next;
    char name[16]; /* never used twice */
    int fd;        /* O_PATH of its directory */
    bool taken;    /* a command runs in it */
    bool spent;    /* somebody in it was killed: it is not used again */
    bool told;     /* leaf_kills has said so */
};

struct leaves {
    int group, init; /* directories of G and of G/init; -1: the sandbox has no leaves */
    uid_t agent;     /* init's user, as the host sees it */
    uint64_t memory; /* bytes, of one leaf */
    uint64_t kills;  /* of all, when leaves_orphan looked last */
    struct leaf *list;
    unsigned n, last;
};

/* Without leaves. */
#define LEAVES_NONE ((struct leaves){.group = -1, .init = -1})

/* Whether commands of a sandbox with these limits can have leaves here: there must be memory groups of version 2 and a
 * limit, and the caller must be able to let `agent` write to them. */
bool leaves_possible(const struct cgroup_support *support, const struct cgroup_limits *limits, uid_t agent);

/* Makes G/init in the sandbox's groups, in which nobody is yet. The caller frees it with leaves_close in any case; the
 * groups go with G. */
int leaves_open(struct leaves *leaves, const struct cgroup *group, uint64_t memory, uid_t agent, struct err *err);
void leaves_close(struct leaves *leaves);

/* By which a process that is alone in G moves into G/init and gives G's children a memory limit of their own: two
 * descriptors, the caller's. It unshares its cgroup namespace before, whose root must be G: with `nsdelegate` nobody is
 * born outside of it. */
enum { LEAVES_ENTRANCES = 2 };
int leaves_entrances(const struct leaves *leaves, int fds[LEAVES_ENTRANCES], struct err *err);
int leaves_enter(const int fds[LEAVES_ENTRANCES], struct err *err);

/* An empty leaf, for one command; it is the caller's until leaves_release. NULL with err: EAGAIN when commands have
 * left processes in LEAVES_MOST of them. */
struct leaf *leaves_take(struct leaves *leaves, struct err *err);
void leaves_release(struct leaf *leaf);

/* How many processes were killed in it for want of memory. */
uint64_t leaf_kills(struct leaf *leaf);

/* The same in G/init. */
uint64_t leaves_init_kills(const struct leaves *leaves);

/* A leaf in which somebody was killed, which leaf_kills has not said yet, and no command runs; NULL none. */
struct leaf *leaves_orphan(struct leaves *leaves, uint64_t *kills);

#endif
