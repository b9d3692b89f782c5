/* keeper.h - what a sandbox has on the host, and who removes it: a storage folder and control groups, which a process that
 * outlives us sees to (core/warden), so that nothing is left whatever happens to us, kill -9 included; or a disk image
 * (core/image), which needs none to go: it is only held here, by descriptors. */
#ifndef MOONBOX_KEEPER_H
#define MOONBOX_KEEPER_H

#include "err.h"
#include "idmap.h"
#include "image.h"
#include "plan.h"
#include "tree.h"
#include "warden.h"

struct keeper {
    struct idmap map;     /* of every sandbox that uses the storage */
    struct warden warden; /* of the folder; without one only `reports`, to see the program's die */
    int lock;             /* the storage folder, held with flock(2) while we live; -1 none */
    char *path;           /* of the storage folder, owned; NULL none */
    int folder;           /* O_PATH of the storage folder; -1 none */
    char *groups;         /* NUL-terminated paths of control groups, one after the other, owned; NULL none */
    size_t groups_length; /* bytes of them */
    size_t groups_told;   /* and of those in the warden's care */
    struct image image;
};

/* One that keeps nothing yet. */
#define KEEPER_NONE                                                                                                    \
    ((struct keeper){                                                                                                  \
        .warden = WARDEN_NONE, .folder = -1, .lock = -1, .map = {.lock = -1}, .image = {.device = -1, .mounted = -1}})

/* What a keeper is to keep, beside the control groups that it is told of. */
struct keeper_request {
    const char *lock_dir; /* where root's id ranges are locked */
    const char *path;     /* a folder to make (its parent exists, it does not) with upper/ and work/; NULL none */
    const char *template; /* of a disk image instead; NULL none */
    double period;        /* seconds between measurements of the folder, 0 = none */
};

/* Takes the ids, and makes the folder or the image. */
int keeper_start(struct keeper *keeper, const struct plan *plan, const struct keeper_request *request, struct err *err);

/* Notes the path of a control group that is about to be made; -1 out of memory. Then gives all that were noted into the
 * warden's care. */
int keeper_note_group(struct keeper *keeper, const char *path);
int keeper_watch_groups(struct keeper *keeper, struct err *err);

/* Asks for a measurement at once; it comes like the others. 1 asked, 0 there is no folder, -1 with err set. */
int keeper_ask_measure(struct keeper *keeper, struct err *err);

/* The newest measurement since the last call: 1 = in *usage, 0 = none, -1 = the keeper has died. */
int keeper_report(struct keeper *keeper, struct tree_usage *usage);

/* All control groups that it has in its care were removed. */
void keeper_forget_groups(struct keeper *keeper);

/* Ends the keeper and waits until what it kept is gone. Safe on one that never started (all -1). */
int keeper_stop(struct keeper *keeper, struct err *err);

#endif
