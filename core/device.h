/* device.h - the minimal /dev: null zero full random urandom tty, a private devpts, and the usual links. */
#ifndef MOONBOX_DEVICE_H
#define MOONBOX_DEVICE_H

#include "err.h"
#include "place.h"

/* Fills `path` (normally "/dev") on the skeleton. Each node is a copy of the host's mount of it, and its identity
 * (character device, major, minor) is checked on the very descriptor that is then mounted. */
int device_fill(struct place *place, const char *path, struct err *err);

#endif
