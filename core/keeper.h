/* keeper.h - the process that owns what a sandbox has on the host: its storage folder and its control groups.  A disk
 * image (core/image) needs no process to go: it is only held here, by descriptors.
 *
 * It exists so that nothing outlives a supervisor: the keeper waits on a pipe whose other end only the supervisor
 * holds; when that closes, for whatever reason, kill -9 included, it removes the groups and the folder and ends.  In
 * between it measures the folder, for a disk limit that the kernel does not hold.  An ordinary user's keeper lives in
 * a user namespace with the sandbox's id map, where it may remove what the agent's ids own and can't be kept from
 * looking by a mode. */
#ifndef MOONBOX_KEEPER_H
#define MOONBOX_KEEPER_H

#include "err.h"
#include "idmap.h"
#include "image.h"
#include "plan.h"
#include "tree.h"

struct keeper {
    struct idmap map; /* of every sandbox that uses the storage */
    int pidfd;
    int lifeline; /* write end: paths of control groups, NUL-terminated, an empty one asks for a measurement; closing it
                   * ends the keeper */
    int lock;     /* the storage folder, held with flock(2) while we live; -1 none */
    int reports;  /* read end: struct tree_usage records */
    char *path;   /* of the storage folder, owned; NULL none */
    int folder;   /* O_PATH of the storage folder; -1 none */
    struct image image;
};

/* One that keeps nothing yet. */
#define KEEPER_NONE                                                                                                    \
    ((struct keeper){.pidfd = -1,                                                                                      \
                     .lifeline = -1,                                                                                   \
                     .reports = -1,                                                                                    \
                     .folder = -1,                                                                                     \
                     .lock = -1,                                                                                       \
                     .map = {.lock = -1},                                                                              \
                     .image = {.device = -1, .mounted = -1}})

/* What a keeper is to keep, beside the control groups that it is told of. */
struct keeper_request {
    const char *lock_dir; /* where root's id ranges are locked */
    const char *path;     /* a folder to make (its parent exists, it does not) with upper/ and work/; NULL none */
    const char *template; /* of a disk image instead; NULL none */
    double period;        /* seconds between measurements of the folder, 0 = none */
};

/* Takes the ids, and starts the process: at once for a folder, else when the first control group is given to it. */
int keeper_start(struct keeper *keeper, const struct plan *plan, const struct keeper_request *request, struct err *err);

/* Gives a control group, which is about to be made, into its care. */
int keeper_watch_group(struct keeper *keeper, const char *path, struct err *err);

/* Asks for a measurement at once; it comes like the others. 1 asked, 0 there is no folder, -1 with err set. */
int keeper_ask_measure(struct keeper *keeper, struct err *err);

/* The newest measurement since the last call: 1 = in *usage, 0 = none, -1 = the keeper has died. */
int keeper_report(struct keeper *keeper, struct tree_usage *usage);

/* Has the process of a keeper without a folder begin to remove the groups and end, and does not wait: the caller removes
 * them as well, and who is late finds nothing. keeper_watch_group would start another process. */
void keeper_remove_groups(struct keeper *keeper);

/* Ends the keeper and waits until what it kept is gone. Safe on one that never started (all -1). */
int keeper_stop(struct keeper *keeper, struct err *err);

#endif
