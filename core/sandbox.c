#include "sandbox.h"

#include "cgroup_io.h"
#include "cgroup_react.h"
#include "control.h"
#include "failpoint.h"
#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Bytes of all strings of a list with their terminators. */
static size_t list_size(const char *const *list, uint32_t *count)
{
    size_t size = 0;
    for (*count = 0; list[*count]; (*count)++)
        size += strlen(list[*count]) + 1;
    return size;
}

static char *put_string(char *to, const char *string)
{
    return stpcpy(to, string) + 1;
}

static char *encode(const struct start_request *request, struct wire_start *start, size_t *length)
{
    *length = sizeof *start + strlen(request->cwd) + 1 + list_size(request->argv, &start->argc) +
              list_size(request->env, &start->envc);
    char *payload = *length <= WIRE_MAX_PAYLOAD ? malloc(*length) : NULL;
    if (!payload)
        return NULL;
    memcpy(payload, start, sizeof *start);
    char *to = put_string(payload + sizeof *start, request->cwd);
    for (uint32_t i = 0; i < start->argc; i++)
        to = put_string(to, request->argv[i]);
    for (uint32_t i = 0; i < start->envc; i++)
        to = put_string(to, request->env[i]);
    return payload;
}

int sandbox_give(const struct sandbox *sandbox, int fd, struct err *err)
{
    const struct idmap *map = sandbox->keeper ? &sandbox->keeper->map : &sandbox->own_map;
    if (geteuid() == 0 && !sandbox->remote && fchown(fd, idmap_host_uid(map), idmap_host_gid(map)) < 0)
        return err_sys(err, "give a pipe to the agent (moonbox doctor says what this host allows)");
    return 0;
}

/* A pipe whose end in here never blocks, and whose other end the agent may reopen (/dev/stdout). */
static int make_pipe(struct sandbox *sandbox, bool we_read, int *ours, int *theirs, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    *ours = ends[we_read ? 0 : 1];
    *theirs = ends[we_read ? 1 : 0];
    if (fcntl(*ours, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(err, "set a pipe up");
    return sandbox_give(sandbox, *theirs, err);
}

int sandbox_watch_signals(struct sandbox *sandbox, struct err *err)
{
    sigset_t set;
    sys_ending_signals(&set);
    sigaddset(&set, SIGWINCH);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_sys(err, "block signals");
    sandbox->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return sandbox->signals >= 0 ? 0 : err_sys(err, "watch signals");
}

void sandbox_remote(struct sandbox *sandbox, int socket)
{
    *sandbox = (struct sandbox){.remote = true, .ready = true, .socket = socket, .pidfd = -1, .signals = -1};
    sandbox->own_map.lock = -1;
    sandbox->gateway = (struct gateway_process){.pidfd = -1, .control = -1, .hand_over = -1};
    sandbox->leaves = LEAVES_NONE;
    wire_reader_init(&sandbox->reader);
    signal(SIGPIPE, SIG_IGN); /* a command that does not read its input must not end us */
    signal(SIGXFSZ, SIG_IGN); /* nor one whose log is longer than a file may be here */
}

static int connect_stream(struct sandbox *sandbox, struct running *running, int i, const struct stdio_request *io,
                          int *theirs, struct err *err)
{
    struct stream *stream = &running->streams[i];
    int ours = -1;
    if (io->kind == STDIO_NULL || io->kind == STDIO_MERGE)
        return 0;
    if (io->kind == STDIO_GIVEN) {
        *theirs = io->fd;
        return 0;
    }
    if (make_pipe(sandbox, i != STREAM_STDIN, &ours, theirs, err) < 0)
        return -1;
    stream->observe = io->observe;
    switch (io->kind) {
    case STDIO_PASS:
        return i == STREAM_STDIN ? stream_input(stream, io->fd, ours, err) : stream_pass(stream, ours, io->fd, err);
    case STDIO_CAPTURE:
        stream_capture(stream, ours, io->keep);
        return 0;
    case STDIO_LOG:
        return stream_log(stream, ours, io->fd, io->keep, err);
    case STDIO_FEED:
        return stream_feed(stream, ours, io->bytes, io->length, err);
    case STDIO_NULL:
    case STDIO_MERGE:
    case STDIO_GIVEN:
        break;
    }
    return err_set(err, EINVAL, "unknown kind of stream");
}

static int send_start(struct sandbox *sandbox, struct running *running, const struct start_request *request,
                      int theirs[STREAMS], struct err *err)
{
    struct wire_start start = {.rows = (uint16_t)request->rows, .cols = (uint16_t)request->cols};
    int fds[STREAMS + 1], n = 0;
    start.milliseconds = request->seconds > 0 ? (uint32_t)fmin(ceil(request->seconds * 1000), UINT32_MAX) : 0;
    start.flags = (request->pty ? WIRE_PTY : 0) | (request->last ? WIRE_LAST : 0) | (request->files ? WIRE_FILES : 0) |
                  (request->tree ? WIRE_TREE : 0);
    for (int i = 0; i < STREAMS; i++) {
        int fd = request->stdio[i].kind == STDIO_MERGE ? theirs[STREAM_STDOUT] : theirs[i];
        if (fd < 0)
            continue;
        start.flags |= 1u << i;
        fds[n++] = fd;
    }
    if (running->leaf) {
        start.flags |= WIRE_LEAF;
        fds[n++] = running->leaf->fd;
    }
    size_t length;
    cleanup_free char *payload = encode(request, &start, &length);
    if (!payload)
        return err_set(err, E2BIG, "the command line and environment are larger than %d bytes", WIRE_MAX_PAYLOAD);
    /* A child that has failed early has said why, which sandbox_next reads; that it is gone tells less. */
    if (wire_send(sandbox->socket, WIRE_START, running->id, payload, length, fds, (size_t)n) < 0 &&
        (sandbox->remote || errno != EPIPE))
        return err_sys(err, "send the command to %s", sandbox->remote ? "the sandbox's supervisor" : "init");
    return 0;
}

/* After the start, so that the command begins meanwhile; none of its output has been read yet. A terminal's screen is no
 * text: of its command the beginning and the end are kept. */
static void begin_log(struct running *running, const struct start_request *request)
{
    running->log = command_log_open(request->log, request->argv, &running->unlogged);
    for (int i = STREAM_STDOUT; i < STREAMS && !request->pty; i++) {
        running->streams[i].copy = running->log;
        running->streams[i].copy_as = i;
    }
}

struct running *sandbox_start(struct sandbox *sandbox, const struct start_request *request, struct err *err)
{
    struct running *running = calloc(1, sizeof *running);
    int theirs[STREAMS] = {-1, -1, -1}, result = 0;
    if (!running) {
        err_sys(err, "start a command");
        return NULL;
    }
    running->id = ++sandbox->next_id;
    running->pty = request->pty;
    running->last = request->last;
    running->rows = request->rows;
    running->cols = request->cols;
    for (int i = 0; i < STREAMS; i++)
        stream_init(&running->streams[i]);
    for (int i = 0; i < STREAMS && result == 0 && !request->pty; i++)
        result = connect_stream(sandbox, running, i, &request->stdio[i], &theirs[i], err);
    if (result == 0 && sandbox->leaves.group >= 0)
        result = (running->leaf = leaves_take(&sandbox->leaves, err)) ? 0 : -1;
    if (result == 0)
        result = send_start(sandbox, running, request, theirs, err);
    for (int i = 0; i < STREAMS; i++)
        util_close(&theirs[i]);
    running->next = sandbox->commands;
    sandbox->commands = running;
    if (result == 0 && request->log)
        begin_log(running, request);
    if (result == 0)
        return running;
    sandbox_forget(sandbox, running);
    return NULL;
}

void sandbox_forget(struct sandbox *sandbox, struct running *running)
{
    struct running **link = &sandbox->commands;
    while (*link && *link != running)
        link = &(*link)->next;
    if (*link)
        *link = running->next;
    for (int i = 0; i < STREAMS; i++)
        stream_free(&running->streams[i]);
    if (running->leaf)
        leaves_release(running->leaf);
    command_log_close(running->log);
    free(running);
}

static int send_signal(struct sandbox *sandbox, enum wire_type type, uint32_t id, int signal, struct err *err)
{
    struct wire_signal request = {signal};
    if (wire_send(sandbox->socket, type, id, &request, sizeof request, NULL, 0) < 0)
        return err_sys(err, "send a signal to init");
    return 0;
}

int sandbox_signal(struct sandbox *sandbox, uint32_t id, int signal, struct err *err)
{
    return send_signal(sandbox, WIRE_SIGNAL, id, signal, err);
}

int sandbox_end(struct sandbox *sandbox, uint32_t id, int signal, struct err *err)
{
    return send_signal(sandbox, WIRE_END, id, signal, err);
}

void sandbox_blame(struct sandbox *sandbox, uint32_t id, const char *sentence)
{
    for (struct running *r = sandbox->commands; r; r = r->next)
        if (r->id == id) {
            r->failed = r->starved = true;
            r->failure = (struct wire_failed){.exit_code = 137};
            snprintf(r->failure.text, sizeof r->failure.text, "%s", sentence);
        }
}

int sandbox_ask_usage(struct sandbox *sandbox, struct err *err)
{
    if (wire_send(sandbox->socket, WIRE_ASK_USAGE, 0, NULL, 0, NULL, 0) < 0)
        return err_sys(err, "ask init for usage");
    return 0;
}

int sandbox_freeze(struct sandbox *sandbox, const struct cgroup_support *support, bool on, struct err *err)
{
    char path[CGROUP_MAX_PATH + 64];
    int made = cgroup_freezer_path(&sandbox->cgroup, support, path, sizeof path);
    if (made > 0 && sandbox->keeper && keeper_note_group(sandbox->keeper, path) < 0)
        return err_sys(err, "note %s", path);
    if (made > 0 && sandbox->keeper && keeper_watch_groups(sandbox->keeper, err) < 0)
        return -1;
    if (cgroup_freeze(&sandbox->cgroup, support, on, err) < 0)
        return -1;
    sandbox->frozen = on;
    return 0;
}

int sandbox_delivered(const struct running *running, struct err *err)
{
    for (int i = STREAM_STDOUT; i < STREAMS; i++)
        if ((errno = running->streams[i].refused) != 0)
            return err_sys(err, "what the command wrote is cut short: standard %s",
                           i == STREAM_STDOUT ? "output" : "error");
    return 0;
}

void sandbox_resize(struct running *running, int rows, int cols)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
    running->rows = rows;
    running->cols = cols;
    if (running->pty && running->streams[STREAM_STDOUT].from >= 0)
        ioctl(running->streams[STREAM_STDOUT].from, TIOCSWINSZ, &size);
}

int sandbox_close(struct sandbox *sandbox, struct err *err)
{
    int result = 0;
    if (sandbox->pidfd >= 0) {
        siginfo_t info;
        cgroup_thaw(&sandbox->cgroup);
        cgroup_lift_all_io(&sandbox->cgroup);
        sys_pidfd_send_signal(sandbox->pidfd, SIGKILL);
        /* Init's end is the end of all: zap_pid_ns_processes waits for every process of the namespace. */
        while (waitid(P_PIDFD, (id_t)sandbox->pidfd, &info, WEXITED) < 0 && errno == EINTR)
            continue;
    }
    struct err ignored;
    (void)failpoint("close", "stop the gateway", &ignored);
    gateway_stop(&sandbox->gateway);
    util_close(&sandbox->pidfd);
    util_close(&sandbox->socket);
    util_close(&sandbox->signals);
    if (sandbox->control)
        control_farewell(sandbox);
    while (sandbox->commands)
        sandbox_forget(sandbox, sandbox->commands);
    wire_reader_free(&sandbox->reader);
    (void)failpoint("close", "remove the control groups", &ignored);
    leaves_close(&sandbox->leaves);
    result = cgroup_destroy(&sandbox->cgroup, err);
    if (sandbox->keeper && result == 0)
        keeper_forget_groups(sandbox->keeper);
    idmap_release(&sandbox->own_map);
    return result;
}
