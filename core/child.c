#include "child.h"

#include "affinity.h"
#include "arguments.h"
#include "caps.h"
#include "capture.h"
#include "cgroup.h"
#include "failpoint.h"
#include "gateway/gateway.h"
#include "init.h"
#include "leaves.h"
#include "netns.h"
#include "netns_beside.h"
#include "rlimits.h"
#include "root.h"
#include "seccomp.h"
#include "setid.h"
#include "sys.h"
#include "util.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct child {
    const struct child_request *request;
    int socket;
    int storage;   /* the storage folder in our own mount namespace; -1 none */
    int proc;      /* the sandbox's procfs, until it is confined */
    int factory;   /* to the gateway, which asks init for sockets; -1 none */
    int score;     /* init's oom_score_adj, where commands have leaves; -1 not open */
    int host_proc; /* the caller's procfs; -1 closed */
    struct netns_beside network;
};

static int die_with_supervisor(struct child *c, struct err *err)
{
    (void)c;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 0 : err_sys(err, "set the parent-death signal");
}

static int wait_for_supervisor(struct child *c, struct err *err)
{
    struct pollfd polled[] = {{.fd = c->request->go, .events = POLLIN}, {.fd = c->socket, .events = POLLRDHUP}};
    while (poll(polled, ARRAY_LEN(polled), -1) < 0 && errno == EINTR)
        continue;
    return polled[0].revents & POLLIN ? 0 : err_set(err, EPIPE, "the supervisor went away");
}

static int reset_signals(struct child *c, struct err *err)
{
    (void)c;
    sigset_t all;
    sys_default_signals();
    sigfillset(&all);
    return sigprocmask(SIG_SETMASK, &all, NULL) == 0 ? 0 : err_sys(err, "block signals");
}

static int new_session(struct child *c, struct err *err)
{
    (void)c;
    return setsid() >= 0 ? 0 : err_sys(err, "setsid");
}

/* An overlay's layers must lie in the mount namespace that mounts it, so the supervisor's descriptor will not do. */
static int open_storage(struct child *c, struct err *err)
{
    const struct child_request *request = c->request;
    struct stat expected, found;
    if (!request->storage_path)
        return 0;
    c->storage = open(request->storage_path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->storage < 0 || fstat(c->storage, &found) < 0 || fstat(request->storage, &expected) < 0)
        return err_sys(err, "open %s", request->storage_path);
    if (found.st_dev != expected.st_dev || found.st_ino != expected.st_ino)
        return err_set(err, ESTALE, "%s was replaced", request->storage_path);
    return 0;
}

/* Root of the outer namespace where it has a range; else the one id that there is. */
static int outer_ids(struct child *c, struct err *err)
{
    if (!c->request->map->range)
        return 0;
    if (setgroups(0, NULL) < 0)
        return err_sys(err, "drop the supplementary groups");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(err, "become the outer namespace's root");
    return 0;
}

/* Sandboxes go before the machine's own services when memory runs out (proc(5), oom_score_adj). Our files in /proc are
 * ours while we are dumpable, which no tenant can use yet. */
static int first_to_go(struct child *c, struct err *err)
{
    (void)c;
    enum { SANDBOX_SCORE = 200 };
    char text[16] = "";
    if (prctl(PR_SET_DUMPABLE, 1) < 0)
        return err_sys(err, "become dumpable");
    cleanup_fd int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return err_sys(err, "read oom_score_adj");
    if (atoi(text) >= SANDBOX_SCORE)
        return 0;
    snprintf(text, sizeof text, "%d", SANDBOX_SCORE);
    return pwrite(fd, text, strlen(text), 0) >= 0 ? 0 : err_sys(err, "set oom_score_adj");
}

static int enter_groups(const struct child *c, const int *fds, int n, struct err *err)
{
    int joined = c->request->leaves ? n - LEAVES_ENTRANCES : n;
    for (int i = 0; i < joined; i++)
        if (cgroup_enter(fds[i], err) < 0)
            return -1;
    if (joined < 0)
        return err_set(err, EPROTO, "the supervisor sent no group for init");
    if (unshare(CLONE_NEWCGROUP) < 0)
        return err_sys(err, "unshare the cgroup namespace");
    return c->request->leaves ? leaves_enter(fds + joined, err) : 0;
}

/* What was charged until here (the skeleton) is the supervisor's; a tenant's first instruction comes later. The
 * namespace, made after, shows our groups as "/". */
static int control_groups(struct child *c, struct err *err)
{
    struct wire_header header;
    int fds[WIRE_MAX_FDS], n = 0;
    cleanup_free char *payload = NULL;
    if (wire_receive(c->socket, &header, &payload, fds) != 1 || header.type != WIRE_GROUPS)
        return err_set(err, EPIPE, "the supervisor went away");
    while (n < WIRE_MAX_FDS && fds[n] >= 0)
        n++;
    int result = enter_groups(c, fds, n, err);
    for (int i = 0; i < n; i++)
        util_close(&fds[i]);
    return result;
}

static int host_name(struct child *c, struct err *err)
{
    const char *name = c->request->plan->hostname;
    if (sethostname(name, strlen(name)) < 0 || setdomainname("", 0) < 0)
        return err_sys(err, "set the host name");
    return 0;
}

/* Without a gateway the namespace is made while the root is. Its settings are the caller's procfs's to write. */
static int begin_network(struct child *c, struct err *err)
{
    bool captured = c->request->gateway >= 0;
    if ((captured || c->request->plan->low_ports) &&
        (c->host_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return err_sys(err, "open /proc");
    return captured ? 0 : netns_begin(&c->network, err);
}

/* The clone has made the namespace. */
static int captured_network(struct child *c, struct err *err)
{
    struct capture capture;
    if (c->request->gateway < 0)
        return 0;
    if (capture_setup(&capture, c->host_proc, c->request->plan->low_ports, err) < 0)
        return err_wrap(err, "this host can't give one (moonbox doctor says what is missing)");
    int result = gateway_hand_over(c->request->gateway, &capture, err);
    capture_close(&capture);
    return result;
}

static int join_network(struct child *c, struct err *err)
{
    int result = c->request->gateway < 0 ? netns_join(&c->network, err) : 0;
    if (result == 0 && c->request->gateway < 0 && c->request->plan->low_ports)
        result = netns_allow_low_ports(c->host_proc, err);
    util_close(&c->host_proc);
    return result;
}

static int root_directory(struct child *c, struct err *err)
{
    const struct root_request root = {c->request->plan, c->request->grants, c->storage, c->request->disk};
    umask(0);
    return root_enter(&root, &c->proc, err);
}

static int agent_ids(struct child *c, struct err *err)
{
    const struct plan *plan = c->request->plan;
    if (!c->request->map->range)
        return 0;
    if (setresgid(plan->gid, plan->gid, plan->gid) < 0 || setresuid(plan->uid, plan->uid, plan->uid) < 0)
        return err_sys(err, "become uid %u", plan->uid);
    return 0;
}

/* From here on no process holds a capability over the mounts, the network or the host name: those belong to the
 * outer namespace, which is left for good.  The maps are written through our own procfs, while nobody else is in the
 * sandbox who could use the moment in which we are dumpable. */
static int nested_namespace(struct child *c, struct err *err)
{
    const struct plan *plan = c->request->plan;
    char uids[64], gids[64];
    snprintf(uids, sizeof uids, "%u %u 1\n", plan->uid, plan->uid);
    snprintf(gids, sizeof gids, "%u %u 1\n", plan->gid, plan->gid);
    if (unshare(CLONE_NEWUSER) < 0)
        return err_sys(err, "unshare the nested user namespace");
    if (prctl(PR_SET_DUMPABLE, 1) < 0 || util_write_file(c->proc, "self/setgroups", "deny") < 0 ||
        util_write_file(c->proc, "self/uid_map", uids) < 0 || util_write_file(c->proc, "self/gid_map", gids) < 0)
        return err_sys(err, "write the maps of the nested user namespace");
    if (c->request->leaves && (c->score = openat(c->proc, "self/oom_score_adj", O_RDWR | O_CLOEXEC)) < 0)
        return err_sys(err, "open oom_score_adj");
    return prctl(PR_SET_DUMPABLE, 0) == 0 ? 0 : err_sys(err, "become undumpable");
}

/* ENOSYS and EPERM: the kernel, or a filter that the sandbox inherits, has no keyrings to offer at all. */
static int session_keyring(struct child *c, struct err *err)
{
    (void)c;
    if (sys_join_new_session_keyring() >= 0 || errno == ENOSYS || errno == EPERM)
        return 0;
    return err_sys(err, "join a new session keyring");
}

/* A caller's real-time class would let a tenant keep everybody else off the processors (sched(7)), and a v1 cpu group
 * refuses a process that has one. */
static int ordinary_scheduling(struct child *c, struct err *err)
{
    (void)c;
    const struct sched_param none = {0};
    int class = sched_getscheduler(0);
    if (class == SCHED_OTHER || class == SCHED_BATCH || class == SCHED_IDLE)
        return 0;
    return sched_setscheduler(0, SCHED_OTHER, &none) == 0 ? 0 : err_sys(err, "leave the real-time class");
}

static int process_settings(struct child *c, struct err *err)
{
    const struct plan *plan = c->request->plan;
    umask(plan->umask);
    if (personality(PER_LINUX) < 0)
        return err_sys(err, "reset the personality");
    return rlimits_apply(plan->rlimits, plan->n_rlimits, err);
}

/* It prepares itself while the root is built. Without it nothing would answer, so nothing starts. */
static int gateway_serving(struct child *c, struct err *err)
{
    return c->request->gateway < 0 ? 0 : gateway_wait_serving(c->request->gateway, err);
}

static int descriptors(struct child *c, struct err *err)
{
    util_close(&c->proc);
    int fds[3] = {c->socket}, n = 1;
    int factory = c->request->plan->publishes ? n++ : 0, score = c->score >= 0 ? n++ : 0;
    if (factory)
        fds[factory] = c->request->gateway;
    if (score)
        fds[score] = c->score;
    if (util_keep_fds(fds, n, 3) < 0)
        return err_sys(err, "close what was inherited");
    c->socket = fds[0];
    c->factory = factory ? fds[factory] : -1;
    c->score = score ? fds[score] : -1;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
        return err_sys(err, "open /dev/null in the sandbox");
    return null > 2 ? close(null) : 0;
}

static int capabilities(struct child *c, struct err *err)
{
    return caps_keep_only(c->request->plan->capabilities, err);
}

static int no_new_privileges(struct child *c, struct err *err)
{
    (void)c;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : err_sys(err, "set no_new_privs");
}

static int clean_identity(struct child *c, struct err *err)
{
    (void)c;
    arguments_wipe();
    return prctl(PR_SET_NAME, "moonbox-init") == 0 ? 0 : err_sys(err, "name init");
}

static int processors(struct child *c, struct err *err)
{
    int pin = c->request->pin;
    return pin > 0 ? affinity_pin(pin, (unsigned)c->request->supervisor, err) : 0;
}

static bool writes_to_host(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_mounts; i++)
        if (plan->mounts[i].kind == MOUNT_BIND && !plan->mounts[i].read_only)
            return true;
    return false;
}

static int system_calls(struct child *c, struct err *err)
{
    if (c->request->pin > 0 && affinity_lock(err) < 0)
        return -1;
    if (writes_to_host(c->request->plan) && setid_forbid(err) < 0)
        return -1;
    return seccomp_install((enum seccomp_profile)c->request->plan->seccomp_profile,
                           c->request->leaves ? SECCOMP_INIT : SECCOMP_ALL, err);
}

static const struct {
    const char *name;
    int (*run)(struct child *, struct err *);
} steps[] = {
    {"die with the supervisor", die_with_supervisor},
    {"begin the network namespace", begin_network},
    {"wait for the id maps", wait_for_supervisor},
    {"reset the signals", reset_signals},
    {"start a session", new_session},
    {"leave the caller's scheduling class", ordinary_scheduling},
    /* The change of ids below makes a process undumpable, and its files in /proc root's: proc(5). */
    {"offer to the out-of-memory killer", first_to_go},
    {"open the storage folder", open_storage},
    {"take the outer namespace's ids", outer_ids},
    {"set the host name", host_name},
    {"set up the network", captured_network},
    {"build the root directory", root_directory},
    /* Who makes that namespace is in our groups, and none that anybody is in can be shared out (core/leaves). */
    {"enter the network namespace", join_network},
    {"enter the control groups", control_groups},
    {"take the agent's ids", agent_ids},
    {"enter the nested user namespace", nested_namespace},
    {"join a new session keyring", session_keyring},
    {"set limits and process settings", process_settings},
    {"stay on the processors", processors},
    {"wait for the gateway", gateway_serving},
    {"close descriptors", descriptors},
    {"clean names and arguments", clean_identity},
    {"drop capabilities", capabilities},
    {"allow no new privileges", no_new_privileges},
    {"filter system calls", system_calls},
};

static _Noreturn void report(int socket, const char *step, const struct err *err)
{
    struct wire_failed failed = {.code = err->code, .exit_code = 125};
    snprintf(failed.text, sizeof failed.text, "%s: %.*s", step, ERR_TEXT_SIZE, err->text);
    wire_send(socket, WIRE_FAILED, 0, &failed, sizeof failed, NULL, 0);
    _exit(125);
}

_Noreturn void child_main(const struct child_request *request)
{
    struct child child = {.request = request,
                          .socket = request->socket,
                          .storage = -1,
                          .proc = -1,
                          .factory = -1,
                          .score = -1,
                          .host_proc = -1};
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        /* A change of credentials clears the parent-death signal (prctl(2)): it is asked for again after each step. */
        if (failpoint("child", steps[i].name, &err) < 0 || steps[i].run(&child, &err) < 0 ||
            die_with_supervisor(&child, &err) < 0)
            report(child.socket, steps[i].name, &err);
    init_main(child.socket, child.factory, child.score);
}
