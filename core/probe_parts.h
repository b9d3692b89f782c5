/* probe_parts.h - what the probe_*.c files share. Every function here runs in a probe's own process. */
#ifndef MOONBOX_PROBE_PARTS_H
#define MOONBOX_PROBE_PARTS_H

#include "probe.h"

/* What a probe is given. `folder`: a new, empty folder on the state's filesystem, which is removed
 * afterwards; "" where the table doesn't ask for one. `name`, `number`: what the table says. */
struct probe_case {
    const char *folder;
    const char *name;
    int number;
};

typedef void probe_function(const struct probe_case *with, struct probe_fact *fact);

/* Sets the fact to "works", or to "doesn't" with errno and the step that failed. probe_no takes errno. */
void probe_yes(struct probe_fact *fact, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void probe_no(struct probe_fact *fact, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Moves the process into a new user namespace (and the other CLONE_NEW* of `flags`) with its own id as root's
 * there, and takes all mounts from the host's propagation. 0, or -1 with the fact set. */
int probe_enter(int flags, struct probe_fact *fact);

/* probe_namespaces.c */
probe_function probe_namespaces, probe_proc, probe_network, probe_id_range;
/* probe_capture.c */
probe_function probe_nftables, probe_capture;
/* probe_files.c */
probe_function probe_overlay, probe_overlay_tmpfs, probe_mount_api, probe_idmapped, probe_user_xattr, probe_loop;
/* probe_kernel.c */
probe_function probe_kernel, probe_sysctl, probe_apparmor, probe_confined, probe_seccomp, probe_landlock, probe_clone3,
    probe_pidfd, probe_openat2, probe_close_range, probe_cgroup_version, probe_controller, probe_cgroup_kill,
    probe_cgroup_io, probe_memory_peak;
/* probe_host.c */
probe_function probe_program, probe_id_helper, probe_subordinate, probe_fuse, probe_kvm;

#endif
