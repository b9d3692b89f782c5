/* launch.c - theory of operation.
 *
 *   supervisor (this process)                    child, then init (process 1 of the sandbox)
 *   ------------------------------------------   ------------------------------------------------
 *   choose the ids                  core/idmap
 *   open what the host grants       core/mounts
 *   make v2 control groups          core/cgroup
 *   publish ports, start the gateway  core/gateway, when the plan has a network
 *   clone into new namespaces       core/sys     core/child: waits
 *   write the id maps               core/idmap   .
 *   let go ------------------------------------> builds the root (core/root)
 *   make v1 control groups          core/cgroup  .
 *   hand them over ----------------------------> enters them, leaves the outer user namespace, drops everything
 *                                                (core/caps, core/rlimits, core/seccomp)
 *   sandbox_next hears it <--------------------- becomes init (core/init): "ready", or the step that failed
 *
 * launch() does not wait for the child.  Commands follow through sandbox_start (core/sandbox); init, which comes to be
 * only when every step has passed, turns them into processes (core/command).  There the way ends: command_start
 * executes it.
 *
 * The child works in a copy of our memory, so it must be let go only when all that it needs is in place, and whatever
 * fails on either side ends it: its socket closes, or its parent-death signal comes.  What lies on the host outside of
 * processes (folders, control groups) belongs to the keeper (core/keeper), which is told before each thing is made. */
#include "launch.h"

#include "block.h"
#include "cgroup_io.h"
#include "child.h"
#include "failpoint.h"
#include "mounts.h"
#include "owner.h"
#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Bytes of a flow log: about a million connections. */
enum { FLOWS_MOST = 256 << 20 };

struct launch {
    const struct plan *plan;
    const struct launch_options *options;
    struct sandbox *sandbox;
    const struct idmap *map;
    int *grants; /* one for each mount row */
    int disk;    /* a mount of the keeper's image for this sandbox; -1 none */
    int child_socket;
    int go; /* eventfd(2) that lets the child go; -1 none */
};

static int choose_ids(struct launch *l, struct err *err)
{
    l->map = &l->sandbox->own_map;
    if (!l->options->keeper)
        return idmap_choose(&l->sandbox->own_map, l->plan, l->options->lock_dir, err);
    l->map = &l->options->keeper->map;
    return 0;
}

/* With privileges over the host, a bind that is to look like the agent's own gets its owner mapped. A read-only one
 * on a filesystem without idmapped mounts may do without: reading depends on modes alone. */
static int grant(struct launch *l, const struct mount_row *row, int *out, struct err *err)
{
    struct stat st;
    cleanup_fd int fd = mounts_copy(AT_FDCWD, row->source, err);
    if (fd < 0)
        return row->optional && err->code == ENOENT ? 0 : -1;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "look at it");
    if (mounts_map_owner(fd, st.st_uid, st.st_gid, idmap_host_uid(l->map), idmap_host_gid(l->map), err) < 0 &&
        !(row->read_only && err->code == EINVAL))
        return -1;
    *out = steal_fd(&fd);
    return 0;
}

/* As an ordinary user the child opens everything itself, with the caller's own rights and no others. */
static int open_grants(struct launch *l, struct err *err)
{
    l->grants = malloc((l->plan->n_mounts + 1) * sizeof *l->grants);
    if (!l->grants)
        return err_sys(err, "allocate");
    for (size_t i = 0; i < l->plan->n_mounts; i++)
        l->grants[i] = -1;
    if (geteuid() != 0)
        return 0;
    for (size_t i = 0; i < l->plan->n_mounts; i++)
        if (l->plan->mounts[i].as_agent && grant(l, &l->plan->mounts[i], &l->grants[i], err) < 0)
            return err_wrap(err, "%s", l->plan->mounts[i].source);
    return 0;
}

static int mount_disk(struct launch *l, struct err *err)
{
    const struct keeper *keeper = l->options->keeper;
    if (!keeper || keeper->image.device < 0)
        return 0;
    l->disk = image_mount(&keeper->image, err);
    return l->disk < 0 ? -1 : 0;
}

static int note_group(void *keeper, const char *path)
{
    return keeper_note_group(keeper, path);
}

/* The disk of the sandbox's own, or the one that its storage folder is on. */
static int limit_disk(struct launch *l, const struct cgroup_support *support, struct err *err)
{
    const struct plan *plan = l->plan;
    const struct keeper *keeper = l->options->keeper;
    struct cgroup_io limits = {0, plan->disk_read, plan->disk_write, plan->disk_read_ops, plan->disk_write_ops};
    struct stat st;
    if (!limits.read && !limits.write && !limits.read_ops && !limits.write_ops)
        return 0;
    if (!keeper || (keeper->image.device < 0 && keeper->folder < 0))
        return err_set(err, ENODEV, "files in memory are on no disk whose use could be limited");
    if (keeper->image.device < 0 && block_disk(keeper->folder, &limits.disk, err) < 0)
        return -1;
    if (keeper->image.device >= 0 && fstat(keeper->image.device, &st) < 0)
        return err_sys(err, "look at the disk");
    if (keeper->image.device >= 0)
        limits.disk = st.st_rdev;
    return cgroup_limit_io(&l->sandbox->cgroup, support, l->options->name, &limits, err);
}

static int make_groups(struct launch *l, const struct cgroup_support *support, struct err *err)
{
    const struct cgroup_limits limits = {l->plan->cpus, l->plan->memory, l->plan->processes};
    struct keeper *keeper = l->options->keeper;
    if (keeper && cgroup_paths(support, l->options->name, note_group, keeper) < 0)
        return err_sys(err, "note the control groups");
    if (keeper && keeper_watch_groups(keeper, err) < 0)
        return err_wrap(err, "give them to the keeper");
    if (cgroup_create(&l->sandbox->cgroup, support, l->options->name, &limits, err) < 0)
        return -1;
    uid_t agent = idmap_host_uid(l->map);
    if (l->options->leaves && leaves_possible(support, &limits, agent) &&
        leaves_open(&l->sandbox->leaves, &l->sandbox->cgroup, limits.memory, agent, err) < 0)
        return -1;
    return limit_disk(l, support, err);
}

/* A v2 group is entered by being born in it. */
static int make_groups_first(struct launch *l, struct err *err)
{
    if (!l->options->groups || l->options->groups_late)
        return 0;
    const struct cgroup_support *support = l->options->groups();
    return cgroup_before_birth(support) ? make_groups(l, support, err) : 0;
}

/* v1 groups are made while the child builds its root. */
static int send_groups(struct launch *l, struct err *err)
{
    int entrances[CGROUP_MAX_V1 + LEAVES_ENTRANCES];
    const struct cgroup_support *support = l->options->groups ? l->options->groups() : NULL;
    bool first = support && cgroup_before_birth(support);
    if (first && l->options->groups_late)
        return err_set(err, ESTALE, "this host makes control groups of version 2 now, and the child is in none");
    if (support && !first && make_groups(l, support, err) < 0)
        return -1;
    size_t joined = (size_t)cgroup_entrances(&l->sandbox->cgroup, entrances), n = joined;
    if (l->sandbox->leaves.group >= 0) {
        if (leaves_entrances(&l->sandbox->leaves, entrances + n, err) < 0)
            return -1;
        n += LEAVES_ENTRANCES;
    }
    int result = 0;
    if (wire_send(l->sandbox->socket, WIRE_GROUPS, 0, NULL, 0, entrances, n) < 0 && errno != EPIPE)
        result = err_sys(err, "send the control groups to the child");
    for (size_t i = joined; i < n; i++)
        util_close(&entrances[i]);
    return result;
}

static int catch_signals(struct launch *l, struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    return l->options->signals ? sandbox_watch_signals(l->sandbox, err) : 0;
}

static int publish_ports(struct launch *l, struct err *err)
{
    if (!l->plan->publishes)
        return 0;
    return publish_open(l->plan->rules, l->plan->rules_length, &l->sandbox->published, err);
}

/* Forked before the sandbox is, so that nothing of it is in there; what it serves, the child hands over. */
static int start_gateway(struct launch *l, struct err *err)
{
    const struct launch_options *options = l->options;
    const struct gateway_request request = {.rules = l->plan->rules,
                                            .rules_length = l->plan->rules_length,
                                            .flows = options->flows,
                                            .flows_most = FLOWS_MOST,
                                            .step = options->step,
                                            .published = &l->sandbox->published,
                                            .own_ids = l->map->range,
                                            .prepare_hook = options->prepare_hook,
                                            .hook_context = options->hook_context};
    int result = l->plan->rules ? gateway_start(&l->sandbox->gateway, &request, err) : 0;
    publish_close(&l->sandbox->published);
    return result;
}

static pid_t clone_owned(struct launch *l, uint64_t spaces, struct err *err)
{
    int group = cgroup_clone_fd(&l->sandbox->cgroup);
    if (geteuid() == 0)
        return owner_clone(l->map->uid_base, spaces, group, &l->sandbox->pidfd, err);
    pid_t pid = sys_clone3(spaces, group, &l->sandbox->pidfd);
    return pid < 0 ? owner_no_clone(err) : pid;
}

static int clone_child(struct launch *l, struct err *err)
{
    /* Without a gateway the child has its network namespace made beside itself (core/netns_beside). */
    const uint64_t network = l->sandbox->gateway.hand_over >= 0 ? CLONE_NEWNET : 0;
    const uint64_t spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | network;
    const struct keeper *keeper = l->options->keeper;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "make a socket pair");
    l->sandbox->socket = pair[0];
    l->child_socket = pair[1];
    l->go = eventfd(0, EFD_CLOEXEC);
    if (l->go < 0)
        return err_sys(err, "make an eventfd");
    pid_t supervisor = getpid();
    pid_t pid = clone_owned(l, spaces, err);
    if (pid < 0)
        return -1;
    if (pid == 0) {
        close(pair[0]);
        const struct child_request request = {.plan = l->plan,
                                              .map = l->map,
                                              .socket = pair[1],
                                              .go = l->go,
                                              .grants = l->grants,
                                              .storage_path = keeper ? keeper->path : NULL,
                                              .storage = keeper ? keeper->folder : -1,
                                              .disk = l->disk,
                                              .supervisor = supervisor,
                                              .pin = l->options->pin,
                                              .leaves = l->sandbox->leaves.group >= 0,
                                              .gateway = l->sandbox->gateway.hand_over};
        child_main(&request);
    }
    l->sandbox->pid = pid;
    util_close(&l->child_socket);
    util_close(&l->sandbox->gateway.hand_over);
    return 0;
}

/* A process that ends can't be written to a moment before it has ended. */
static bool has_ended(int pidfd)
{
    enum { MOMENT = 100 }; /* ms */
    struct pollfd polled = {.fd = pidfd, .events = POLLIN};
    return poll(&polled, 1, MOMENT) > 0;
}

/* Here and below: a child that has failed already says why itself, and sandbox_next hears it. */
static int write_maps(struct launch *l, struct err *err)
{
    return idmap_write(l->map, l->sandbox->pid, err) == 0 || has_ended(l->sandbox->pidfd) ? 0 : -1;
}

/* A byte through the socket would say to the scheduler that we are about to sleep, and the child would be put on our
 * processor (a "sync" wake-up); we go on, so it is to run on another. */
static int let_go(struct launch *l, struct err *err)
{
    return eventfd_write(l->go, 1) == 0 ? 0 : err_sys(err, "let the child go");
}

static const struct {
    const char *name;
    int (*run)(struct launch *, struct err *);
} steps[] = {
    {"choose the ids", choose_ids},
    {"open what the host grants", open_grants},
    {"mount the disk", mount_disk},
    {"make the control groups", make_groups_first},
    {"watch signals", catch_signals},
    {"publish ports", publish_ports},
    {"start the gateway", start_gateway},
    {"clone", clone_child},
    {"write the id maps", write_maps},
    {"let the child go", let_go},
    {"hand the control groups over", send_groups},
};

static void close_grants(struct launch *l)
{
    for (size_t i = 0; l->grants && i < l->plan->n_mounts; i++)
        util_close(&l->grants[i]);
    free(l->grants);
}

int launch(const struct plan *plan, const struct launch_options *options, struct sandbox *sandbox, struct err *err)
{
    memset(sandbox, 0, sizeof *sandbox);
    sandbox->plan = plan;
    sandbox->keeper = options->keeper;
    sandbox->pidfd = sandbox->socket = sandbox->signals = sandbox->own_map.lock = -1;
    sandbox->gateway = (struct gateway_process){.pidfd = -1, .control = -1, .hand_over = -1};
    sandbox->leaves = LEAVES_NONE;
    wire_reader_init(&sandbox->reader);
    struct launch l = {.plan = plan, .options = options, .sandbox = sandbox, .disk = -1, .child_socket = -1, .go = -1};
    int result = 0;
    for (size_t i = 0; i < ARRAY_LEN(steps) && result == 0; i++)
        if (failpoint("launch", steps[i].name, err) < 0 || steps[i].run(&l, err) < 0)
            result = err_wrap(err, "%s", steps[i].name);
    close_grants(&l);
    util_close(&l.disk);
    util_close(&l.child_socket);
    util_close(&l.go);
    if (result < 0) {
        struct err ignored;
        sandbox_close(sandbox, &ignored);
    }
    return result;
}
