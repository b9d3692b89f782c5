/* cgroup_io.h - limits on what a sandbox reads from and writes to a disk, as control groups hold them. */
#ifndef MOONBOX_CGROUP_IO_H
#define MOONBOX_CGROUP_IO_H

#include "cgroup.h"

/* Of one disk, each second: bytes and operations; 0 no limit. */
struct cgroup_io {
    dev_t disk; /* a whole one */
    uint64_t read, write, read_ops, write_ops;
};

/* The version of the groups that can limit what is read from and written to a disk: 2; 1, reading only; 0, none. Lets
 * the groups below have that controller, where it is version 2 and they have not. */
int cgroup_io_version(const struct cgroup_support *support);

/* Limits that, and makes a group for it where it is version 1. Before any process is in. */
int cgroup_limit_io(struct cgroup *group, const struct cgroup_support *support, const char *name,
                    const struct cgroup_io *limits, struct err *err);

/* Takes the limits on disks away, of a group's directory or of a sandbox: what dies must not wait for its last writes
 * at the rate that it was held to while it lived. */
void cgroup_lift_io(int fd);
void cgroup_lift_all_io(const struct cgroup *group);

#endif
