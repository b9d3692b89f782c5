/* storage.h - the one writable filesystem of a sandbox, seen from inside its new namespaces.
 *
 * STORAGE_MEMORY: a tmpfs of the plan's size.  STORAGE_DISK: an overlay whose upper directory is in the storage
 * folder on the host (made by core/keeper), with `userxattr`, the form that needs no privilege over the host
 * (kernel Documentation/filesystems/overlayfs, "User xattr"); or, from root, a disk image's own filesystem
 * (core/image). */
#ifndef MOONBOX_STORAGE_H
#define MOONBOX_STORAGE_H

#include "err.h"
#include "plan.h"

/* Mounts it, staged (core/place), with every MOUNT_WRITABLE directory of the plan in it, owned by the
 * agent. `folder` is a descriptor of the storage folder, `disk` a detached mount of a disk image; for memory both are -1.
 * Returns its root's descriptor. */
int storage_mount(const struct plan *plan, int folder, int disk, struct err *err);

#endif
