/* warden_shared.h - the program's own warden (core/warden), for the control groups of all sandboxes that have no storage
 * folder: a process for each of them would take a tenth of their start.
 *
 * It is started with the first group, and again when it has died or the program has forked, and ends with the program. */
#ifndef MOONBOX_WARDEN_SHARED_H
#define MOONBOX_WARDEN_SHARED_H

#include "err.h"

#include <stddef.h>

/* Has it remove these control groups when the program ends; before they are made. As warden_keep. */
int warden_shared_keep(const char *paths, size_t length, struct err *err);

/* A descriptor, the caller's, at whose end the warden of the last groups has died; -1 with errno set. */
int warden_shared_death(void);

/* They were removed. */
void warden_shared_forget(const char *paths, size_t length);

#endif
