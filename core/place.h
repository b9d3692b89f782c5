/* place.h - directories, links and files on the skeleton of a root that is being built, by descriptor only.
 *
 * Things are created on the skeleton's own filesystem and nowhere else: a row that would need a new directory
 * below a bind of the host, or below something that a task wrote, is refused. */
#ifndef MOONBOX_PLACE_H
#define MOONBOX_PLACE_H

#include "err.h"

#include <stdbool.h>
#include <sys/types.h>

#define PLACE_STAGING "/.staging"

struct place {
    int root;  /* the skeleton's root, owned */
    dev_t dev; /* its filesystem */
};

/* Takes `root`. */
int place_init(struct place *place, int root, struct err *err);

/* An O_PATH descriptor of what lies at an absolute path, or -1 with errno. */
int place_open(const struct place *place, const char *path);

/* The same, made when absent (parents 0755): a directory, or an empty file to mount over. */
int place_make_target(const struct place *place, const char *path, bool directory, struct err *err);

int place_symlink(const struct place *place, const char *path, const char *to, struct err *err);
int place_file(const struct place *place, const char *path, const char *text, mode_t mode, struct err *err);

/* Unmounts everything from the staging point and removes it. */
int place_drop_staging(const struct place *place, struct err *err);

#endif
