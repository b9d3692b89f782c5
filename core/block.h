/* block.h - the disk that a filesystem lies on, as control groups know it. */
#ifndef MOONBOX_BLOCK_H
#define MOONBOX_BLOCK_H

#include "err.h"

#include <sys/types.h>

/* The number of the whole disk, not of a partition, under the filesystem of `fd` (O_PATH will do). -1 with err set where
 * limits on a disk would not see what is written there: no disk of one's own below it (tmpfs, overlayfs, network, btrfs
 * with its several), or a filesystem whose delayed writes are nobody's (kernel Documentation/admin-guide/cgroup-v2,
 * "Writeback"). */
int block_disk(int fd, dev_t *disk, struct err *err);

#endif
