/* tree.h - walks over directory trees that a tenant made: by descriptor, never through a symlink, never onto
 * another filesystem, with a bounded number of open files whatever the depth. */
#ifndef MOONBOX_TREE_H
#define MOONBOX_TREE_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct tree_usage {
    uint64_t bytes;  /* allocated, st_blocks * 512 */
    uint64_t inodes; /* a file with many links is counted once a link */
    bool partial;    /* something could not be measured: too deep, or not readable */
};

/* Measures everything below `name` in `dirfd`. Files that vanish meanwhile are no error. */
int tree_measure(int dirfd, const char *name, struct tree_usage *usage, struct err *err);

/* Removes `name` in `dirfd` and everything below it; directories that deny it are given mode 0700 first (their
 * owner may). A tree that is not there is success. */
int tree_remove(int dirfd, const char *name, struct err *err);

#endif
