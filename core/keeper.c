#include "keeper.h"

#include "cgroup.h"
#include "failpoint.h"
#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

struct job {
    int parent;       /* directory that holds the folder; -1 no folder */
    const char *name; /* the folder's */
    int lifeline, reports;
    double period;
    char *groups; /* NUL-terminated paths, one after the other */
    size_t groups_length;
};

/* A walk takes at most a tenth of the time, however large the tree. */
static double measure_once(const struct job *job)
{
    struct tree_usage usage;
    struct err err;
    double began = util_monotonic();
    if (tree_measure(job->parent, job->name, &usage, &err) == 0 && write(job->reports, &usage, sizeof usage) < 0 &&
        errno == EPIPE)
        return -1;
    double took = util_monotonic() - began;
    return took * 10 > job->period ? took * 10 : job->period;
}

/* The sandbox may still be dying, and making files, when its supervisor is gone. */
static void remove_everything(const struct job *job)
{
    struct err err;
    for (size_t at = 0; at < job->groups_length; at += strlen(job->groups + at) + 1)
        cgroup_remove_path(job->groups + at);
    if (job->parent < 0)
        return;
    for (int tries = 0; tries < 50 && tree_remove(job->parent, job->name, &err) < 0; tries++)
        poll(NULL, 0, 100);
}

/* False at the end of the lifeline. */
static bool note_groups(struct job *job)
{
    char bytes[4096];
    ssize_t got = read(job->lifeline, bytes, sizeof bytes);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    char *grown = realloc(job->groups, job->groups_length + (size_t)got + 1);
    if (!grown)
        return false;
    memcpy(grown + job->groups_length, bytes, (size_t)got);
    job->groups = grown;
    for (ssize_t i = 0; i < got; i++) {
        bool between = job->groups_length == 0 || grown[job->groups_length - 1] == '\0';
        if (between && bytes[i] == '\0')
            measure_once(job);
        else
            grown[job->groups_length++] = bytes[i];
    }
    return true;
}

static _Noreturn void keep(struct job *job)
{
    struct err ignored;
    if (failpoint("keeper", "keep", &ignored) < 0)
        _exit(1);
    struct pollfd gone = {.fd = job->lifeline, .events = POLLIN};
    double pause_for = job->period;
    for (;;) {
        int ready = poll(&gone, 1, job->period > 0 ? (int)(pause_for * 1000) : -1);
        if (ready < 0 && errno != EINTR)
            break;
        if (ready > 0 && !note_groups(job))
            break;
        if (ready == 0)
            pause_for = measure_once(job);
    }
    if (failpoint("keeper", "remove", &ignored) < 0)
        _exit(1);
    remove_everything(job);
    _exit(0);
}

static _Noreturn void child(struct job *job, int go)
{
    char byte;
    sigset_t none;
    prctl(PR_SET_NAME, "moonbox-keeper");
    setsid();
    /* Only the lifeline ends a keeper: a terminal's Ctrl-C must not, or the folder would stay. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (read(go, &byte, 1) != 1)
        _exit(1);
    int fds[] = {job->lifeline, job->reports, job->parent};
    if (util_keep_fds(fds, job->parent >= 0 ? 3 : 2, 0) < 0 || chdir("/") < 0)
        _exit(1);
    job->lifeline = fds[0], job->reports = fds[1], job->parent = fds[2];
    keep(job);
}

static int make_folder(int parent, const char *name, const struct idmap *map, int *lock, struct err *err)
{
    static const char *const parts[] = {"upper", "work"};
    if (mkdirat(parent, name, 0700) < 0)
        return err_sys(err, "make the storage folder");
    cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_sys(err, "open and lock the storage folder");
    if (geteuid() == 0 && fchown(fd, map->uid_base, map->gid_base) < 0)
        return err_sys(err, "give the storage folder to the sandbox's ids");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (mkdirat(fd, parts[i], 0755) < 0)
            return err_sys(err, "make %s in the storage folder", parts[i]);
        if (geteuid() == 0 && fchownat(fd, parts[i], map->uid_base, map->gid_base, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(err, "give %s to the sandbox's ids", parts[i]);
    }
    /* An overlay without them mounts, and then fails at the first deletion. */
    if (fsetxattr(fd, "user.moonbox", "1", 1, 0) < 0)
        return err_sys(err, "the storage folder's filesystem has no user extended attributes, which a sandbox's "
                            "overlay needs (use a state directory on ext4, XFS or btrfs)");
    if (fremovexattr(fd, "user.moonbox") < 0)
        return err_sys(err, "clean the storage folder");
    *lock = steal_fd(&fd);
    return 0;
}

static int spawn(struct keeper *keeper, struct job *job, struct err *err)
{
    int life[2], report[2], go[2];
    if (pipe2(life, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    cleanup_fd int life_read = life[0], life_write = life[1];
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(err, "make a pipe");
    cleanup_fd int report_read = report[0], report_write = report[1];
    if (pipe2(go, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    cleanup_fd int go_read = go[0], go_write = go[1];
    job->lifeline = life_read;
    job->reports = report_write;
    pid_t pid = sys_clone3(geteuid() == 0 ? 0 : CLONE_NEWUSER, -1, &keeper->pidfd);
    if (pid < 0)
        return err_sys(err, "start the keeper");
    if (pid == 0) {
        close(life_write);
        close(go_write);
        child(job, go_read);
    }
    if (geteuid() != 0 && idmap_write(&keeper->map, pid, err) < 0)
        return err_wrap(err, "keeper");
    if (write(go_write, "g", 1) != 1)
        return err_sys(err, "start the keeper");
    keeper->lifeline = steal_fd(&life_write);
    keeper->reports = steal_fd(&report_read);
    return 0;
}

static int open_parent(const char *path, const char **name, struct err *err)
{
    const char *slash = strrchr(path, '/');
    if (path[0] != '/' || !slash[1])
        return err_set(err, EINVAL, "%s is not an absolute path of a folder", path);
    cleanup_free char *parent = strndup(path, (size_t)(slash - path) + (slash == path));
    int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    *name = slash + 1;
    return fd >= 0 ? fd : err_sys(err, "open the parent of %s", path);
}

static int open_folder(struct keeper *keeper, int parent, const char *name, struct err *err)
{
    if (make_folder(parent, name, &keeper->map, &keeper->lock, err) < 0)
        return -1;
    keeper->folder = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return keeper->folder >= 0 ? 0 : err_sys(err, "open it");
}

/* There is no process to start yet: keeper_watch_group does. */
static int keep_image(struct keeper *keeper, const char *template, struct err *err)
{
    if (!template || image_open(&keeper->image, template, &keeper->map, err) == 0)
        return 0;
    idmap_release(&keeper->map);
    return err_wrap(err, "make the sandbox's disk");
}

int keeper_start(struct keeper *keeper, const struct plan *plan, const struct keeper_request *request, struct err *err)
{
    const char *path = request->path, *name = NULL;
    *keeper = KEEPER_NONE;
    cleanup_fd int parent = path ? open_parent(path, &name, err) : -1;
    if ((path && parent < 0) || idmap_choose(&keeper->map, plan, request->lock_dir, err) < 0)
        return -1;
    if (!path)
        return keep_image(keeper, request->template, err);
    if (!(keeper->path = strdup(path)))
        return err_sys(err, "start the keeper");
    struct job job = {.parent = parent, .name = name, .period = request->period};
    /* The keeper first: from here on nothing can be left behind. */
    if (failpoint("keeper", "start", err) == 0 && spawn(keeper, &job, err) == 0 &&
        failpoint("keeper", "make the folder", err) == 0 && open_folder(keeper, parent, name, err) == 0 &&
        failpoint("keeper", "started", err) == 0)
        return 0;
    struct err ignored;
    keeper_stop(keeper, &ignored);
    return err_wrap(err, "%s", path);
}

static int wait_for(struct keeper *keeper, struct err *err)
{
    siginfo_t info;
    int waited;
    do {
        waited = waitid(P_PIDFD, (id_t)keeper->pidfd, &info, WEXITED);
    } while (waited < 0 && errno == EINTR);
    if (waited < 0)
        return err_sys(err, "wait for the keeper");
    if (info.si_code != CLD_EXITED || info.si_status != 0)
        return err_set(err, 0, "the storage folder's keeper ended abnormally");
    return 0;
}

static int end_process(struct keeper *keeper, struct err *err)
{
    util_close(&keeper->lifeline);
    util_close(&keeper->reports);
    int result = keeper->pidfd >= 0 ? wait_for(keeper, err) : 0;
    util_close(&keeper->pidfd);
    return result;
}

int keeper_watch_group(struct keeper *keeper, const char *path, struct err *err)
{
    struct job job = {.parent = -1};
    if (keeper->pidfd >= 0 && keeper->lifeline < 0 && end_process(keeper, err) < 0)
        return -1;
    if (keeper->pidfd < 0 && spawn(keeper, &job, err) < 0)
        return -1;
    if (util_write_all(keeper->lifeline, path, strlen(path) + 1) < 0)
        return err_sys(err, "tell the keeper of %s", path);
    return 0;
}

int keeper_ask_measure(struct keeper *keeper, struct err *err)
{
    if (!keeper->path)
        return 0;
    return util_write_all(keeper->lifeline, "", 1) == 0 ? 1 : err_sys(err, "ask the keeper for a measurement");
}

int keeper_report(struct keeper *keeper, struct tree_usage *usage)
{
    struct tree_usage newest;
    int found = 0;
    for (;;) {
        ssize_t got = read(keeper->reports, &newest, sizeof newest);
        if (got == 0)
            return -1;
        if (got != (ssize_t)sizeof newest)
            return found;
        *usage = newest;
        found = 1;
    }
}

void keeper_remove_groups(struct keeper *keeper)
{
    if (!keeper->path)
        util_close(&keeper->lifeline);
}

int keeper_stop(struct keeper *keeper, struct err *err)
{
    util_close(&keeper->folder);
    util_close(&keeper->lock);
    int result = end_process(keeper, err);
    util_free(&keeper->path);
    image_close(&keeper->image);
    idmap_release(&keeper->map);
    return result;
}
