/* cgroup_find.h - where control groups can be made on this host, and by which version. */
#ifndef MOONBOX_CGROUP_FIND_H
#define MOONBOX_CGROUP_FIND_H

enum cgroup_controller { CGROUP_CPU, CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CONTROLLERS };
enum { CGROUP_MAX_PATH = 512 };

/* Where one controller's groups can be made, as found by doing. */
struct cgroup_place {
    int version; /* 0 nowhere, 1, 2 */
    char parent[CGROUP_MAX_PATH];
};

struct cgroup_support {
    struct cgroup_place controllers[CGROUP_CONTROLLERS];
    char unified[CGROUP_MAX_PATH]; /* parent for a v2 group (kill, freeze), "" none */
    struct cgroup_place io;        /* of version 1; the group `parent` is made when it is used */
    struct cgroup_place freezer; /* without it, a hierarchy that can freeze; nothing is made there before it is used */
};

const char *cgroup_controller_name(enum cgroup_controller controller);

/* Looks where groups can be made; `moonbox` groups are created on the way, nothing else changes. Never fails: what is
 * not found is version 0. */
void cgroup_find(struct cgroup_support *support);

/* The same, once a process; static. */
const struct cgroup_support *cgroup_found(void);

#endif
