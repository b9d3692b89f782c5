/* plan.h - everything that one sandbox is made of, as plain data.
 *
 * A plan is decoded once (by core/bind/plan.c, from the Lua table that `moonbox plan --json` prints), is const from
 * then on, and owns all its strings.  Nothing in core/ decides anything that is not in here. */
#ifndef MOONBOX_PLAN_H
#define MOONBOX_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum mount_kind {
    MOUNT_BIND,      /* a host file or directory */
    MOUNT_SYMLINK,   /* a link on the root's own skeleton */
    MOUNT_FILE,      /* a small file with a given text on the skeleton */
    MOUNT_WRITABLE,  /* a directory of the one writable filesystem, owned by the agent */
    MOUNT_TMPFS,     /* scratch space of a given size */
    MOUNT_PROC,      /* a fresh procfs of the sandbox's pid namespace */
    MOUNT_DEV,       /* the minimal /dev */
    MOUNT_READ_ONLY, /* what lies there becomes read-only; skipped when absent */
    MOUNT_MASK,      /* what lies there is covered by something empty; skipped when absent */
};

struct mount_row {
    enum mount_kind kind;
    char *target;  /* absolute, inside the sandbox */
    char *source;  /* MOUNT_BIND: absolute, on the host; else NULL */
    char *text;    /* MOUNT_FILE: content; MOUNT_SYMLINK: what it points to; else NULL */
    char *from;    /* FILE:LINE of the policy's row that asked for it, for messages; NULL where none did */
    uint64_t size; /* MOUNT_TMPFS: bytes */
    uint64_t inodes;
    mode_t mode;
    bool read_only;
    bool optional; /* MOUNT_BIND: skipped when the host lacks the source */
    bool as_agent; /* MOUNT_BIND: its owner on the host appears as the agent inside */
};

struct rlimit_row {
    int resource; /* RLIMIT_*, getrlimit(2) */
    uint64_t soft, hard;
};

enum plan_ids { IDS_OWN, IDS_SUBORDINATE };
enum plan_storage { STORAGE_MEMORY, STORAGE_DISK };

struct plan {
    char *policy;
    char *hostname;
    enum plan_ids ids; /* what an ordinary user's agent is mapped to; root always uses a subordinate range */
    uid_t uid;         /* the agent's, inside */
    gid_t gid;

    struct mount_row *mounts;
    size_t n_mounts;
    enum plan_storage storage;
    uint64_t storage_size; /* bytes; 0 = not limited by the filesystem itself */
    uint64_t storage_inodes;

    bool low_ports;        /* ports below 1024 may be bound in the sandbox's own network namespace */
    uint64_t capabilities; /* bit n = CAP_n stays in all five sets */
    int seccomp_profile;   /* enum seccomp_profile */
    mode_t umask;
    struct rlimit_row *rlimits;
    size_t n_rlimits;

    double cpus;     /* 0 = no limit */
    uint64_t memory; /* bytes, 0 = no limit */
    uint64_t processes;
    uint64_t disk_read, disk_write;         /* bytes a second of the disk under the storage; 0 = no limit */
    uint64_t disk_read_ops, disk_write_ops; /* operations a second */

    void *rules;         /* the network's, as rules_decode of gateway/rules.h reads them; NULL: no network */
    size_t rules_length; /* bytes */
    bool publishes;      /* some of the rules are about ports of the sandbox that the host may reach */

    char **env; /* "NAME=value", NULL-terminated */
    char *cwd;  /* absolute, inside */
};

/* Frees all that the plan owns and the plan itself; NULL is fine. */
void plan_free(struct plan *plan);

#endif
