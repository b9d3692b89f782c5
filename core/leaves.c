#include "leaves.h"

#include "cgroup_usage.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a leaf's limit leaves to the others: an eighth, at most this. */
enum { SHARE = 8, MOST_LEFT = 32 << 20 };

bool leaves_possible(const struct cgroup_support *support, const struct cgroup_limits *limits, uid_t agent)
{
    return support->controllers[CGROUP_MEMORY].version == 2 && limits->memory > 0 &&
           (geteuid() == 0 || agent == geteuid());
}

/* The kernel asks the parent of who is to be born there whether it may write. */
static int let_agent_write(int dir, uid_t agent, struct err *err)
{
    if (agent != geteuid() && fchownat(dir, "cgroup.procs", agent, (gid_t)-1, 0) < 0)
        return err_sys(err, "give a control group to the agent");
    return 0;
}

int leaves_open(struct leaves *leaves, const struct cgroup *group, uint64_t memory, uid_t agent, struct err *err)
{
    uint64_t left = memory / SHARE < MOST_LEFT ? memory / SHARE : MOST_LEFT;
    *leaves = LEAVES_NONE;
    leaves->agent = agent;
    leaves->memory = memory - left;
    int fd = cgroup_clone_fd(group);
    if (util_write_file(fd, "memory.oom.group", "0") < 0)
        return err_sys(err, "write 0 to memory.oom.group");
    if (let_agent_write(fd, agent, err) < 0)
        return -1;
    if (mkdirat(fd, "init", 0755) < 0)
        return err_sys(err, "make init's control group");
    leaves->init = openat(fd, "init", O_PATH | O_DIRECTORY | O_CLOEXEC);
    leaves->group = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return leaves->init >= 0 && leaves->group >= 0 ? 0 : err_sys(err, "open init's control group");
}

static void free_leaf(struct leaf *leaf)
{
    util_close(&leaf->fd);
    free(leaf);
}

void leaves_close(struct leaves *leaves)
{
    util_close(&leaves->group);
    util_close(&leaves->init);
    while (leaves->list) {
        struct leaf *leaf = leaves->list;
        leaves->list = leaf->next;
        free_leaf(leaf);
    }
}

int leaves_entrances(const struct leaves *leaves, int fds[LEAVES_ENTRANCES], struct err *err)
{
    fds[0] = openat(leaves->init, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    fds[1] = fds[0] < 0 ? -1 : openat(leaves->group, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
    if (fds[1] >= 0)
        return 0;
    err_sys(err, "open init's control group");
    util_close(&fds[0]);
    return -1;
}

int leaves_enter(const int fds[LEAVES_ENTRANCES], struct err *err)
{
    static const char pass_on[] = "+memory";
    if (cgroup_enter(fds[0], err) < 0)
        return -1;
    return util_write_all(fds[1], pass_on, sizeof pass_on - 1) == 0
               ? 0
               : err_sys(err, "pass the memory controller on to the commands' groups");
}

/* Somebody of an earlier command may still be in it. */
static bool is_empty(const struct leaf *leaf)
{
    char text[128];
    return util_read_file(leaf->fd, "cgroup.events", text, sizeof text) > 0 && strstr(text, "populated 0") != NULL;
}

static uint64_t count_kills(struct leaf *leaf)
{
    uint64_t kills = cgroup_keyed(leaf->fd, "memory.events", "oom_kill");
    leaf->spent = leaf->spent || kills > 0;
    return kills;
}

static struct leaf *find_empty(struct leaves *leaves)
{
    for (struct leaf **link = &leaves->list; *link;) {
        struct leaf *leaf = *link;
        if (!leaf->taken && !leaf->spent && is_empty(leaf) && count_kills(leaf) == 0)
            return leaf;
        /* What the dead have left in memory is still counted there, and in G. */
        if (!leaf->taken && leaf->told && unlinkat(leaves->group, leaf->name, AT_REMOVEDIR) == 0) {
            *link = leaf->next;
            leaves->n--;
            free_leaf(leaf);
        } else {
            link = &leaf->next;
        }
    }
    return NULL;
}

static int set_up(const struct leaves *leaves, struct leaf *leaf, struct err *err)
{
    char limit[32];
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)leaves->memory);
    leaf->fd = openat(leaves->group, leaf->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (leaf->fd < 0)
        return err_sys(err, "open it");
    if (util_write_file(leaf->fd, "memory.oom.group", "1") < 0 || util_write_file(leaf->fd, "memory.max", limit) < 0)
        return err_sys(err, "limit it");
    return let_agent_write(leaf->fd, leaves->agent, err);
}

static struct leaf *add_leaf(struct leaves *leaves, struct err *err)
{
    struct leaf *leaf = calloc(1, sizeof *leaf);
    if (!leaf)
        return err_sys(err, "allocate"), NULL;
    leaf->fd = -1;
    snprintf(leaf->name, sizeof leaf->name, "c%u", ++leaves->last);
    if (mkdirat(leaves->group, leaf->name, 0755) < 0) {
        err_sys(err, "make it");
        return free(leaf), NULL;
    }
    if (set_up(leaves, leaf, err) < 0) {
        unlinkat(leaves->group, leaf->name, AT_REMOVEDIR);
        return free_leaf(leaf), NULL;
    }
    leaf->next = leaves->list;
    leaves->list = leaf;
    leaves->n++;
    return leaf;
}

struct leaf *leaves_take(struct leaves *leaves, struct err *err)
{
    struct leaf *leaf = find_empty(leaves);
    if (!leaf && leaves->n >= LEAVES_MOST) {
        err_set(err, EAGAIN, "%d commands of this sandbox run or have left processes behind: end some of them first",
                LEAVES_MOST);
        return NULL;
    }
    if (!leaf && !(leaf = add_leaf(leaves, err))) {
        err_wrap(err, "the command's control group");
        return NULL;
    }
    leaf->taken = true;
    return leaf;
}

void leaves_release(struct leaf *leaf)
{
    leaf->taken = false;
}

uint64_t leaf_kills(struct leaf *leaf)
{
    uint64_t kills = count_kills(leaf);
    leaf->told = leaf->told || kills > 0;
    return kills;
}

uint64_t leaves_init_kills(const struct leaves *leaves)
{
    return cgroup_keyed(leaves->init, "memory.events", "oom_kill");
}

struct leaf *leaves_orphan(struct leaves *leaves, uint64_t *kills)
{
    uint64_t now = cgroup_keyed(leaves->group, "memory.events", "oom_kill");
    if (now == leaves->kills)
        return NULL;
    for (struct leaf *leaf = leaves->list; leaf; leaf = leaf->next)
        if (!leaf->taken && !leaf->told && (*kills = leaf_kills(leaf)) > 0)
            return leaf;
    leaves->kills = now;
    return NULL;
}
