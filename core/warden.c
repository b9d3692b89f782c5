#include "warden.h"

#include "cgroup.h"
#include "failpoint.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* On the pipe: paths, each with its terminating NUL. One behind this is kept no longer; an empty one asks for a
 * measurement. */
#define FORGET '-'

struct job {
    int parent;       /* directory that holds the folder; -1 no folder */
    const char *name; /* the folder's */
    int lifeline, reports;
    double period;
    char *groups; /* NUL-terminated paths, one after the other, and the beginning of one that is not whole yet */
    size_t length, whole; /* bytes of it, and those of the whole paths */
};

/* ---- the process ---- */

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
    for (size_t at = 0; at < job->whole; at += strlen(job->groups + at) + 1)
        cgroup_remove_path(job->groups + at);
    if (job->parent < 0)
        return;
    for (int tries = 0; tries < 50 && tree_remove(job->parent, job->name, &err) < 0; tries++)
        poll(NULL, 0, 100);
}

/* `path` lies behind all that is kept. */
static void forget(struct job *job, const char *path)
{
    for (size_t at = 0, size; at < job->whole; at += size) {
        size = strlen(job->groups + at) + 1;
        if (strcmp(job->groups + at, path) != 0)
            continue;
        memmove(job->groups + at, job->groups + at + size, job->whole - at - size);
        job->whole -= size;
        return;
    }
}

/* What has just become whole. */
static void take(struct job *job)
{
    const char *said = job->groups + job->whole;
    if (*said && *said != FORGET) {
        job->whole = job->length;
        return;
    }
    if (*said == FORGET)
        forget(job, said + 1);
    else
        measure_once(job);
    job->length = job->whole;
}

/* False at the end of the lifeline. */
static bool listen_once(struct job *job)
{
    char bytes[4096];
    ssize_t got = read(job->lifeline, bytes, sizeof bytes);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    char *grown = realloc(job->groups, job->length + (size_t)got);
    if (!grown)
        return false;
    job->groups = grown;
    for (ssize_t i = 0; i < got; i++) {
        job->groups[job->length++] = bytes[i];
        if (bytes[i] == '\0')
            take(job);
    }
    return true;
}

static _Noreturn void guard(struct job *job)
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
        if (ready > 0 && !listen_once(job))
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
    /* Only the lifeline ends it: a terminal's Ctrl-C must not, or the folder would stay. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
    char byte;
    sigset_t none;
    prctl(PR_SET_NAME, "moonbox-keeper");
    setsid();
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (read(go, &byte, 1) != 1)
        _exit(1);
    int fds[] = {job->lifeline, job->reports, job->parent};
    if (util_keep_fds(fds, job->parent >= 0 ? 3 : 2, 0) < 0 || chdir("/") < 0)
        _exit(1);
    job->lifeline = fds[0], job->reports = fds[1], job->parent = fds[2];
    guard(job);
}

/* ---- the program ---- */

static int make_pipe(int ends[2], int flags, struct err *err)
{
    return pipe2(ends, O_CLOEXEC | flags) == 0 ? 0 : err_sys(err, "make a pipe");
}

/* A program that tells faster than it is listened to, by a warden that stands still, must not stand still as well. */
static int never_wait(int fd, struct err *err)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : err_sys(err, "set a pipe up");
}

/* A signal to the whole process group (a terminal's) waits until the child ignores it. */
static pid_t start_deaf(uint64_t spaces, int *pidfd)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t pid = sys_clone3(spaces, -1, pidfd);
    int saved = errno;
    if (pid != 0)
        sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

int warden_start(struct warden *warden, const struct warden_folder *folder, struct err *err)
{
    const struct idmap *map = folder && geteuid() != 0 ? folder->map : NULL;
    int life[2], report[2], go[2];
    if (make_pipe(life, 0, err) < 0)
        return -1;
    cleanup_fd int life_read = life[0], life_write = life[1];
    if (never_wait(life_write, err) < 0 || make_pipe(report, O_NONBLOCK, err) < 0)
        return -1;
    cleanup_fd int report_read = report[0], report_write = report[1];
    if (make_pipe(go, 0, err) < 0)
        return -1;
    cleanup_fd int go_read = go[0], go_write = go[1];
    struct job job = {.parent = -1, .lifeline = life_read, .reports = report_write};
    if (folder)
        job.parent = folder->parent, job.name = folder->name, job.period = folder->period;
    pid_t pid = start_deaf(map ? CLONE_NEWUSER : 0, &warden->pidfd);
    if (pid < 0)
        return err_sys(err, "start the keeper");
    if (pid == 0) {
        close(life_write);
        close(go_write);
        child(&job, go_read);
    }
    if (map && idmap_write(map, pid, err) < 0)
        return err_wrap(err, "keeper");
    if (write(go_write, "g", 1) != 1)
        return err_sys(err, "start the keeper");
    warden->lifeline = steal_fd(&life_write);
    warden->reports = steal_fd(&report_read);
    return 0;
}

/* At most PIPE_BUF bytes, which are written whole or not at all: pipe(7). */
static int tell(const struct warden *warden, const char *said, size_t length)
{
    if (length > PIPE_BUF) {
        errno = E2BIG;
        return -1;
    }
    return write(warden->lifeline, said, length) < 0 ? -1 : 0;
}

int warden_keep(const struct warden *warden, const char *paths, size_t length, struct err *err)
{
    if (tell(warden, paths, length) == 0)
        return 0;
    if (errno == EAGAIN)
        return err_set(err, EAGAIN, "the program's moonbox-keeper stands still: let it go on (SIGCONT) or end it");
    return err_sys(err, "tell the keeper of the control groups");
}

void warden_forget(const struct warden *warden, const char *paths, size_t length)
{
    char said[PIPE_BUF];
    size_t n = 0;
    for (size_t at = 0; at < length; at += strlen(paths + at) + 1) {
        size_t size = strlen(paths + at) + 1;
        if (n + 1 + size > sizeof said)
            break;
        said[n++] = FORGET;
        memcpy(said + n, paths + at, size);
        n += size;
    }
    (void)tell(warden, said, n);
}

int warden_measure(const struct warden *warden, struct err *err)
{
    return tell(warden, "", 1) == 0 ? 0 : err_sys(err, "ask the keeper for a measurement");
}

static int wait_for(const struct warden *warden, struct err *err)
{
    siginfo_t info;
    int waited;
    do {
        waited = waitid(P_PIDFD, (id_t)warden->pidfd, &info, WEXITED);
    } while (waited < 0 && errno == EINTR);
    if (waited < 0)
        return err_sys(err, "wait for the keeper");
    if (info.si_code != CLD_EXITED || info.si_status != 0)
        return err_set(err, 0, "the keeper ended abnormally");
    return 0;
}

void warden_drop(struct warden *warden)
{
    util_close(&warden->lifeline);
    util_close(&warden->reports);
    util_close(&warden->pidfd);
}

int warden_end(struct warden *warden, struct err *err)
{
    util_close(&warden->lifeline);
    int result = warden->pidfd >= 0 ? wait_for(warden, err) : 0;
    warden_drop(warden);
    return result;
}
