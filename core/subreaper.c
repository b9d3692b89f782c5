#include "subreaper.h"

#include "failpoint.h"
#include "seccomp.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Looks at all processes, at most, until none is found alive: whoever starts new ones faster ends with the sandbox.
 * It has START_ROUNDS times LOOK_MS to start the command: less than the supervisor's patience with init (CONTROL_ANSWER),
 * which waits meanwhile. */
enum { ROUNDS = 64, LOOK_MS = 100, START_ROUNDS = 100 };

enum verdict { UNKNOWN, SPARED, BELOW };

struct process {
    pid_t pid, parent;
    uint64_t start;
    bool alive;
    enum verdict verdict;
};

struct census {
    struct process *list;
    size_t n;
};

/* Whom a signal is meant for: the children of `parent` that began at `since` or later, none of `spared`. */
struct target {
    pid_t parent;
    uint64_t since;
    const pid_t *spared;
    size_t n_spared;
};

static bool read_process(int proc, const char *pid, struct process *process)
{
    char path[NAME_MAX + 8], text[2048], *save = NULL;
    snprintf(path, sizeof path, "%s/stat", pid);
    char *field = util_read_file(proc, path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (!field)
        return false;
    *process = (struct process){.pid = (pid_t)strtol(pid, NULL, 10)};
    field = strtok_r(field + 1, " ", &save);
    for (int number = 3; field && number <= 22; field = strtok_r(NULL, " ", &save), number++)
        if (number == 3)
            process->alive = *field != 'Z' && *field != 'X';
        else if (number == 4)
            process->parent = (pid_t)strtol(field, NULL, 10);
        else if (number == 22)
            process->start = strtoull(field, NULL, 10);
    return true;
}

static int by_pid(const void *a, const void *b)
{
    const struct process *one = a, *other = b;
    return (one->pid > other->pid) - (one->pid < other->pid);
}

/* Everybody but process 1, by pid. Without memory: those that fit. */
static struct census count_all(void)
{
    struct census census = {NULL, 0};
    size_t room = 0;
    cleanup_dir DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        struct process process;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || strcmp(entry->d_name, "1") == 0 ||
            !read_process(dirfd(proc), entry->d_name, &process))
            continue;
        if (census.n == room) {
            room = room ? room * 2 : 64;
            struct process *grown = realloc(census.list, room * sizeof *grown);
            if (!grown)
                break;
            census.list = grown;
        }
        census.list[census.n++] = process;
    }
    if (census.n > 0)
        qsort(census.list, census.n, sizeof *census.list, by_pid);
    return census;
}

static enum verdict judge(const struct census *census, const struct process *process, const struct target *target)
{
    for (size_t i = 0; i < target->n_spared; i++)
        if (process->pid == target->spared[i])
            return SPARED;
    if (process->parent == target->parent)
        return process->start >= target->since ? BELOW : SPARED;
    struct process key = {.pid = process->parent};
    const struct process *parent = bsearch(&key, census->list, census->n, sizeof key, by_pid);
    return parent ? parent->verdict : SPARED;
}

/* Parents mostly have the lower pid, so that one pass does. */
static void judge_all(const struct census *census, const struct target *target)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < census->n; i++)
            if (census->list[i].verdict == UNKNOWN) {
                census->list[i].verdict = judge(census, &census->list[i], target);
                changed = changed || census->list[i].verdict != UNKNOWN;
            }
    }
}

/* One look and one signal each; how many of them were alive. */
static size_t signal_below(const struct target *target, int signal)
{
    struct census census = count_all();
    size_t hit = 0;
    judge_all(&census, target);
    for (size_t i = 0; i < census.n; i++)
        if (census.list[i].verdict == BELOW && census.list[i].alive) {
            kill(census.list[i].pid, signal);
            hit++;
        }
    free(census.list);
    return hit;
}

static void signal_all(const struct target *target, int signal)
{
    for (int round = 0; signal_below(target, signal) > 0 && signal == SIGKILL && round < ROUNDS; round++)
        continue;
}

void subreaper_signal(struct subreaper *subreaper, int signal)
{
    subreaper->ending = true;
    const struct target target = {.parent = subreaper->pid};
    signal_all(&target, signal);
    if (signal != SIGKILL)
        return;
    /* A tenant may have stopped it; one that still does not end by the next SIGKILL is being stopped again. */
    kill(subreaper->pid, subreaper->killed ? SIGKILL : SIGCONT);
    subreaper->killed = true;
}

void subreaper_go_on(const struct subreaper *subreaper)
{
    kill(subreaper->pid, SIGCONT);
}

void subreaper_avenge(const struct subreaper *subreaper, const pid_t *spared, size_t n)
{
    const struct target target = {1, subreaper->since, spared, n};
    signal_all(&target, SIGKILL);
}

static _Noreturn void reap(struct subreaper *shared)
{
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, __WALL, &usage);
        if (pid < 0 && errno != EINTR)
            _exit(0);
        if (pid == shared->leader) {
            shared->status = status;
            shared->usage = usage;
            shared->done = true;
        }
        if (shared->done && !shared->ending)
            _exit(0);
    }
}

/* It must hold no end of the command's pipes or terminal: their readers wait for the last one to close. */
static _Noreturn void serve(struct subreaper *shared, const struct command *command, int socket, uint32_t id, int ready)
{
    int code = 0;
    struct err err;
    if (failpoint("exec", "hold the command's tree", &err) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
        prctl(PR_SET_NAME, "moonbox-reaper") < 0 || command_start(command, socket, id, &shared->leader) < 0)
        code = errno;
    if (command->leaf >= 0 && seccomp_forbid_clone3(&err) < 0)
        _exit(126);
    (void)!util_write_all(ready, &code, sizeof code);
    close_range(3, ~0u, 0);
    if (code != 0)
        _exit(126);
    reap(shared);
}

static uint64_t began(pid_t pid)
{
    char name[16];
    struct process process;
    cleanup_fd int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(name, sizeof name, "%d", (int)pid);
    return proc >= 0 && read_process(proc, name, &process) ? process.start : 0;
}

/* Its word on how the start went, an errno; -1 when it was killed before that, or is stopped and stopped again: a tenant
 * can do both. */
static int hear(int from, const struct subreaper *shared)
{
    struct pollfd polled = {.fd = from, .events = POLLIN};
    const struct target below = {.parent = shared->pid};
    int code, ready = 0;
    for (int round = 0; round < START_ROUNDS && (ready = poll(&polled, 1, LOOK_MS)) <= 0; round++) {
        kill(shared->pid, SIGCONT);
        signal_below(&below, SIGCONT);
    }
    if (ready > 0 && read(from, &code, sizeof code) == (ssize_t)sizeof code)
        return code;
    /* Our child, and not waited for: the pid is still its own. */
    kill(shared->pid, SIGKILL);
    return -1;
}

struct subreaper *subreaper_start(const struct command *command, int socket, uint32_t id)
{
    int ends[2];
    struct subreaper *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return NULL;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        subreaper_free(shared);
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0)
        serve(shared, command, socket, id, ends[1]);
    shared->pid = pid;
    int code = pid < 0 ? errno : 0;
    util_close(&ends[1]);
    if (pid > 0) {
        shared->since = began(pid);
        code = hear(ends[0], shared);
    }
    util_close(&ends[0]);
    /* One that was killed has perhaps started the command: it ends with it, as after a kill later on. */
    if (code <= 0)
        return shared;
    /* One that could not start the command ends by itself and is nobody's entry. */
    subreaper_free(shared);
    errno = code;
    return NULL;
}

void subreaper_free(struct subreaper *subreaper)
{
    if (subreaper)
        munmap(subreaper, sizeof *subreaper);
}
