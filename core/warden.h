/* warden.h - the process that removes what its program has on the host, when that ends.
 *
 * It waits on a pipe whose other end only the program holds; when that closes, for whatever reason, kill -9 included, it
 * removes the control groups that it was told of and its folder, and ends. In between it measures the folder, for a disk
 * limit that the kernel does not hold. A storage folder has one of its own (core/keeper); all control groups of a program
 * without one share another (core/warden_shared). */
#ifndef MOONBOX_WARDEN_H
#define MOONBOX_WARDEN_H

#include "err.h"
#include "idmap.h"

#include <stddef.h>

struct warden {
    int pidfd;
    int lifeline; /* write end, non-blocking */
    int reports;  /* read end: struct tree_usage records (core/tree); its end says that the warden has died */
};

#define WARDEN_NONE ((struct warden){.pidfd = -1, .lifeline = -1, .reports = -1})

/* A folder that may not be there yet. */
struct warden_folder {
    int parent;       /* the directory that holds it; borrowed */
    const char *name; /* in it */
    double period;    /* seconds between measurements, 0 = none */
    /* An ordinary user's warden of a folder lives in a user namespace with this map, where it may remove what the agent's
     * ids own and can't be kept from looking by a mode. */
    const struct idmap *map;
};

/* Starts one, without control groups; `folder` NULL: none. */
int warden_start(struct warden *warden, const struct warden_folder *folder, struct err *err);

/* Has it remove the control groups at the end; before they are made. `paths` are absolute and NUL-terminated, one after
 * the other, `length` bytes in all, at most PIPE_BUF. */
int warden_keep(const struct warden *warden, const char *paths, size_t length, struct err *err);

/* They were removed. One that is not told of so is looked for at the end, and not found. */
void warden_forget(const struct warden *warden, const char *paths, size_t length);

/* Asks for a measurement of the folder at once. */
int warden_measure(const struct warden *warden, struct err *err);

/* Ends it and waits until all that it kept is gone. Safe on WARDEN_NONE. */
int warden_end(struct warden *warden, struct err *err);

/* Lets go of one that has died, or that is another process's. */
void warden_drop(struct warden *warden);

#endif
