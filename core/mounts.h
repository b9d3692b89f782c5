/* mounts.h - the new mount interface (fsopen, open_tree, mount_setattr, move_mount) in moonbox's words.
 *
 * Every mount is made detached, gets its attributes, and is only then put in its place, by descriptor: at no moment
 * does a writable or setuid-honouring version of it exist in the tree, and no path is walked twice. */
#ifndef MOONBOX_MOUNTS_H
#define MOONBOX_MOUNTS_H

#include "err.h"

#include <stdint.h>

struct mount_option {
    const char *key, *value; /* value NULL = a flag */
};

/* A new filesystem of `type`, detached. Attributes are MOUNT_ATTR_*. Returns its root's descriptor. */
int mounts_new(const char *type, const struct mount_option *options, uint64_t attributes, struct err *err);

/* A detached copy of what lies at dirfd/path with everything mounted below it. -1 with err set; err->code is the
 * errno, so that ENOENT can be told apart. */
int mounts_copy(int dirfd, const char *path, struct err *err);

/* Adds attributes to the whole detached or attached tree at `fd`. */
int mounts_restrict(int fd, uint64_t attributes, struct err *err);

/* Puts the detached tree `fd` onto the place that `target` (a descriptor) refers to. */
int mounts_attach(int fd, int target, struct err *err);

/* The same over an entry of a directory, without following a link. */
int mounts_attach_at(int fd, int directory, const char *name, struct err *err);

/* A detached tree whose files of the host's `host_uid`/`host_gid` appear as `uid`/`gid` (host ids as well) and are
 * written as the former: an idmapped mount, mount_setattr(2). Needs CAP_SYS_ADMIN on the host. */
int mounts_map_owner(int fd, unsigned host_uid, unsigned host_gid, unsigned uid, unsigned gid, struct err *err);

#endif
