/* root.h - builds a sandbox's root directory from the mount rows of its plan, and moves into it.
 *
 * Theory of operation.  The root is a small tmpfs, the skeleton, which holds directories, links and synthesized
 * files and becomes read-only at the end.  Everything else is mounted onto it: system directories of the host
 * (read-only), scratch tmpfs, /proc, devices, and the directories that the task may write.  Those all come from
 * ONE writable filesystem, an overlay over the storage folder or a tmpfs, so that freezing a task means freezing
 * one thing.  Since a task never writes to the skeleton, no path that is walked while a root is built can have been
 * prepared by a tenant, except below a writable directory, where nothing is created and no link is followed out of
 * the root (openat2, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
 *
 * Runs in the child: inside new user, mount and pid namespaces, with all capabilities over them and none outside. */
#ifndef MOONBOX_ROOT_H
#define MOONBOX_ROOT_H

#include "err.h"
#include "plan.h"

struct root_request {
    const struct plan *plan;
    int *sources; /* per mount row: a detached tree that the host side has prepared, or -1; filled up here */
    int storage;  /* directory with upper/ and work/ for STORAGE_DISK, else -1 */
    int disk;     /* a detached mount of a disk image, instead; -1 none */
};

/* Builds the root and makes it the process's root and current directory; nothing of the host remains mounted.
 * Returns a descriptor of the new procfs in *proc (the caller's) for use before it is confined. */
int root_enter(const struct root_request *request, int *proc, struct err *err);

#endif
