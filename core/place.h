/* place.h - directories, links and files on the skeleton of a root that is being built, by descriptor only.
 *
 * Things are created on the skeleton's own filesystem and nowhere else: a row that would need a new directory
 * below a bind of the host, or below something that a task wrote, is refused. */
#ifndef MOONBOX_PLACE_H
#define MOONBOX_PLACE_H

#include "err.h"

#include <stdbool.h>
#include <sys/types.h>

enum { PLACE_MAX_PARENT = 128 };

struct place {
    int root;  /* the skeleton's root, owned */
    dev_t dev; /* its filesystem */
    /* The directory that something was made in last: rows come in groups (/etc, /dev). */
    int parent;
    char parent_path[PLACE_MAX_PARENT];
};

/* Takes `root`. */
int place_init(struct place *place, int root, struct err *err);
void place_free(struct place *place);

/* An O_PATH descriptor of what lies at an absolute path, or -1 with errno. */
int place_open(const struct place *place, const char *path);

/* The same of a directory, made when absent, as its parents are (0755). */
int place_make_directory(struct place *place, const char *path, struct err *err);

/* Attaches a mount at an absolute path, where a directory, or an empty file to mount over, is made when nothing is. */
int place_attach(struct place *place, const char *path, bool directory, int mount, struct err *err);

/* Attaches a mount over what lies in the root already: `target` is of place_open. */
int place_cover(struct place *place, int target, int mount, struct err *err);

int place_symlink(struct place *place, const char *path, const char *to, struct err *err);
int place_file(struct place *place, const char *path, const char *text, mode_t mode, struct err *err);

/* Attaches a filesystem outside of the skeleton, over the host's /usr as this mount namespace sees it (nothing of it is
 * needed any more), where it goes with everything of the host's. An overlay's layers and the sources of copies must be
 * attached somewhere (open_tree(2); clone_private_mount before Linux 6.15), and unmounting them one by one would cost
 * an RCU grace period each. */
int place_stage(int fs, struct err *err);

#endif
