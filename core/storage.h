/* storage.h - the one writable filesystem of a sandbox, seen from inside its new namespaces.
 *
 * STORAGE_MEMORY: a tmpfs of the plan's size.  STORAGE_DISK: an overlay whose upper directory is in the storage
 * folder on the host (made by core/keeper), with `userxattr`, the form that needs no privilege over the host
 * (kernel Documentation/filesystems/overlayfs, "User xattr"). */
#ifndef MOONBOX_STORAGE_H
#define MOONBOX_STORAGE_H

#include "err.h"
#include "plan.h"

/* Mounts it, staged (core/place), with every MOUNT_WRITABLE directory of the plan in it, owned by the
 * agent. `folder` is a descriptor of the storage folder, or -1 for memory. Returns its root's descriptor. */
int storage_mount(const struct plan *plan, int folder, struct err *err);

#endif
