/* image.h - a disk of a sandbox's own, for root: a sparse ext4 image on a loop device (loop(4)).
 *
 * The kernel then holds the disk limit, in bytes and in inodes, and the tenant meets ENOSPC.  Nothing of it can stay
 * behind: the image has no name, the device goes with its last user (LO_FLAGS_AUTOCLEAR), and its mounts are detached
 * or lie in the sandbox's own mount namespace.  Images are copies of an empty one, the template, because mke2fs takes
 * ten times as long as a copy of what it writes.  There is no journal: what a crash of the host leaves is not used. */
#ifndef MOONBOX_IMAGE_H
#define MOONBOX_IMAGE_H

#include "err.h"
#include "idmap.h"

#include <stdbool.h>
#include <stdint.h>

struct image {
    int device;  /* the loop device; -1 none */
    int mounted; /* root of a detached mount of it, which keeps it and answers for its usage */
    char path[32];
};

/* Whether this process could make images: 0, or -1 with what is missing in err. Looks for a free loop device, ext4 and
 * mke2fs(8); makes nothing. */
int image_possible(struct err *err);

/* Whether images work on the filesystem of `directory`: makes a small one there without a name, mounts it, writes to it
 * and lets go, which takes some 20 ms. 0, or -1 with the step that failed in err. */
int image_try(const char *directory, struct err *err);

/* Makes the template at `path`: an empty filesystem for `bytes` of data in at most `inodes` files. */
int image_make_template(const char *path, uint64_t bytes, uint64_t inodes, struct err *err);

/* A copy of the template, mounted, with a directory "data" that belongs to root of `map`. Its space is taken from the
 * filesystem of the template as it is written to. err->code is ENOENT when there is no such template. */
int image_open(struct image *image, const char *template, const struct idmap *map, struct err *err);

/* One more detached mount of it, which the caller owns. A mount can be put in one mount namespace only. */
int image_mount(const struct image *image, struct err *err);

struct image_usage {
    uint64_t bytes, inodes; /* in use, without what the filesystem itself needs */
    bool full;              /* takes no more bytes, or no more files */
};

/* 0, or -1 with errno set. */
int image_usage(const struct image *image, struct image_usage *usage);

/* Lets go of it; it is gone when the sandboxes that mounted it are. Safe on one with both descriptors -1. */
void image_close(struct image *image);

#endif
