#include "init.h"

#include "command.h"
#include "factory.h"
#include "failpoint.h"
#include "inside.h"
#include "subreaper.h"
#include "util.h"
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

struct entry {
    uint32_t id;
    pid_t pid; /* our child: the command, or its subreaper */
    bool last;
    struct subreaper *tree; /* owned; NULL: none */
};

/* What a command has more of oom_score_adj than init, of 1000: a fifth of the limit. */
enum { COMMAND_MORE = 200, SCORE_MOST = 1000 };

struct init {
    int socket, signals;
    int score; /* -1: commands have init's own */
    char own_score[16], command_score[16];
    struct entry *entries;
    size_t n, room;
};

static _Noreturn void end(void)
{
    _exit(0);
}

static void reply(struct init *init, enum wire_type type, uint32_t id, const void *payload, size_t length, int fd)
{
    if (wire_send(init->socket, type, id, payload, length, &fd, fd >= 0) < 0)
        end();
}

static void reply_failed(struct init *init, uint32_t id, int code, const char *text)
{
    struct wire_failed failed = {.code = code, .exit_code = 126, .no_process = 1};
    strncpy(failed.text, text, sizeof failed.text - 1);
    reply(init, WIRE_FAILED, id, &failed, sizeof failed, -1);
}

static struct entry *new_entry(struct init *init)
{
    if (init->n == init->room) {
        size_t room = init->room ? init->room * 2 : 16;
        struct entry *grown = realloc(init->entries, room * sizeof *grown);
        if (!grown)
            return NULL;
        init->entries = grown;
        init->room = room;
    }
    return &init->entries[init->n++];
}

static void read_score(struct init *init)
{
    ssize_t got = init->score < 0 ? 0 : pread(init->score, init->own_score, sizeof init->own_score - 1, 0);
    if (got < 0)
        end();
    int own = atoi(init->own_score), more = own + COMMAND_MORE < SCORE_MOST ? own + COMMAND_MORE : SCORE_MOST;
    snprintf(init->command_score, sizeof init->command_score, "%d", more);
}

/* Who is born has its parent's (kernel/fork.c, copy_signal), and could not raise it by itself before it executes: being
 * undumpable, its files in /proc are root's. */
static void set_score(const struct init *init, const char *score)
{
    if (init->score >= 0 && pwrite(init->score, score, strlen(score), 0) < 0)
        end();
}

static void start(struct init *init, const struct wire_header *header, char *payload, int fds[WIRE_MAX_FDS])
{
    struct command command;
    struct err err = {0};
    if (failpoint("exec", "start the command", &err) < 0 ||
        command_parse(&command, payload, header->length, fds, &err) < 0) {
        reply_failed(init, header->id, err.code, err.text);
        return;
    }
    struct entry *entry = new_entry(init);
    set_score(init, init->command_score);
    struct subreaper *tree = entry && command.tree ? subreaper_start(&command, init->socket, header->id) : NULL;
    pid_t started, pid = tree ? tree->pid : -1;
    if (entry && !command.tree)
        pid = command_start(&command, init->socket, header->id, &started);
    int saved = errno;
    set_score(init, init->own_score);
    if (pid < 0) {
        init->n -= entry != NULL;
        err_set(&err, saved, "no process can be started in the sandbox: %s", strerror(saved));
        reply_failed(init, header->id, saved, err.text);
    } else {
        int32_t inside = tree ? tree->leader : pid;
        *entry = (struct entry){header->id, pid, command.last, tree};
        reply(init, WIRE_STARTED, header->id, &inside, sizeof inside, command.master);
    }
    command_free(&command);
}

static void signal_entry(const struct entry *entry, int signal, bool whole)
{
    pid_t leader = entry->tree ? entry->tree->leader : entry->pid;
    if (entry->tree && whole)
        subreaper_signal(entry->tree, signal);
    else if (leader > 0 && kill(-leader, signal) < 0)
        kill(leader, signal);
}

static void send_signal(struct init *init, const struct wire_header *header, const char *payload)
{
    struct wire_signal request;
    if (header->length != sizeof request)
        end();
    memcpy(&request, payload, sizeof request);
    if (header->id == 0)
        kill(-1, request.signal);
    for (size_t i = 0; i < init->n; i++)
        if (init->entries[i].id == header->id)
            signal_entry(&init->entries[i], request.signal, header->type == WIRE_END);
}

static void send_usage(struct init *init)
{
    struct wire_usage usage;
    inside_measure(&usage);
    reply(init, WIRE_USAGE, 0, &usage, sizeof usage, -1);
}

static void serve(struct init *init)
{
    struct wire_header header;
    char *payload = NULL;
    int fds[WIRE_MAX_FDS];
    if (wire_receive(init->socket, &header, &payload, fds) != 1)
        end();
    switch (header.type) {
    case WIRE_START:
        start(init, &header, payload, fds);
        break;
    case WIRE_SIGNAL:
    case WIRE_END:
        send_signal(init, &header, payload);
        break;
    case WIRE_ASK_USAGE:
        send_usage(init);
        break;
    default:
        end();
    }
    for (int i = 0; i < WIRE_MAX_FDS; i++)
        util_close(&fds[i]);
    free(payload);
}

/* A tenant has killed the subreaper: the command ends with it, and so does what it was there for. */
static void avenge(const struct init *init, const struct subreaper *tree)
{
    pid_t *spared = init->n > 0 ? malloc(init->n * sizeof *spared) : NULL;
    for (size_t i = 0; spared && i < init->n; i++)
        spared[i] = init->entries[i].pid;
    if (spared || init->n == 0)
        subreaper_avenge(tree, spared, init->n);
    if (tree->leader > 0)
        kill(-tree->leader, SIGKILL);
    free(spared);
}

static void report_exit(struct init *init, size_t i, int status, const struct rusage *usage)
{
    const struct subreaper *tree = init->entries[i].tree;
    bool done = tree && tree->done;
    usage = done ? &tree->usage : usage;
    struct wire_exited exited = {.status = done ? tree->status : status};
    exited.cpu_us = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000u +
                    (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    exited.peak_rss = (uint64_t)usage->ru_maxrss * 1024;
    struct entry entry = init->entries[i];
    init->entries[i] = init->entries[--init->n];
    if (tree && (!done || WIFSIGNALED(status)))
        avenge(init, tree);
    subreaper_free(entry.tree);
    reply(init, WIRE_EXITED, entry.id, &exited, sizeof exited, -1);
    if (entry.last)
        end();
}

static void note_state(struct init *init, pid_t pid, int status, const struct rusage *usage)
{
    for (size_t i = 0; i < init->n; i++) {
        if (init->entries[i].pid != pid)
            continue;
        if (!WIFSTOPPED(status))
            report_exit(init, i, status, usage);
        else if (init->entries[i].tree)
            subreaper_go_on(init->entries[i].tree);
        return;
    }
}

static void reap(struct init *init)
{
    struct signalfd_siginfo ignored;
    if (read(init->signals, &ignored, sizeof ignored) < 0 && errno != EAGAIN)
        end();
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG | WUNTRACED | __WALL, &usage);
        if (pid <= 0)
            return;
        note_state(init, pid, status, &usage);
    }
}

_Noreturn void init_main(int socket, int factory, int score)
{
    struct init init = {.socket = socket, .score = score};
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    init.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (init.signals < 0)
        end();
    read_score(&init);
    reply(&init, WIRE_READY, 0, NULL, 0, -1);
    struct pollfd polled[] = {
        {.fd = socket, .events = POLLIN}, {.fd = init.signals, .events = POLLIN}, {.fd = factory, .events = POLLIN}};
    for (;;) {
        if (poll(polled, ARRAY_LEN(polled), -1) < 0) {
            if (errno != EINTR)
                end();
            continue;
        }
        if (polled[2].revents && factory_answer(factory) < 0)
            polled[2].fd = -1;
        if (polled[1].revents)
            reap(&init);
        if (polled[0].revents)
            serve(&init);
    }
}
