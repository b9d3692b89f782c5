/* sandbox_events.c - the supervisor's loop: waits for init, the streams, signals and the keeper at once, and reports
 * one thing at a time. */
#include "control.h"
#include "sandbox.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

/* Seconds. */
#define PTY_GRACE 0.2

enum { POLL_INIT, POLL_SIGNALS, POLL_KEEPER, POLL_GATEWAY, POLL_STREAMS };

static struct running *find(struct sandbox *sandbox, uint32_t id)
{
    struct running *running = sandbox->commands;
    while (running && running->id != id)
        running = running->next;
    return running;
}

/* Init is hostile in principle: what it passes as a pty's master must be one (major 5, minor 2: devices.txt). */
static bool is_master(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2);
}

static bool take_master(struct running *running, struct wire_reader *reader)
{
    struct err err;
    if (!running->pty || !is_master(reader->fd) || running->streams[STREAM_STDOUT].from >= 0)
        return false;
    int in = fcntl(reader->fd, F_DUPFD_CLOEXEC, 3);
    fcntl(reader->fd, F_SETFL, O_NONBLOCK);
    if (stream_pass(&running->streams[STREAM_STDOUT], steal_fd(&reader->fd), STDOUT_FILENO, &err) < 0 || in < 0)
        return false;
    sandbox_resize(running, running->rows, running->cols);
    return stream_input(&running->streams[STREAM_STDIN], STDIN_FILENO, in, &err) == 0;
}

/* How the setting up went. */
static bool take_outcome(struct sandbox *sandbox, const struct wire_reader *reader, struct event *event, bool *have)
{
    const struct wire_failed *failed = (const void *)reader->payload;
    if (sandbox->ready)
        return false;
    sandbox->ready = true;
    if (reader->header.type == WIRE_READY)
        return reader->header.length == 0;
    if (reader->header.length != sizeof *failed)
        return false;
    snprintf(sandbox->why, sizeof sandbox->why, "set up the sandbox: %.*s", (int)sizeof failed->text, failed->text);
    *event = (struct event){.kind = EVENT_NOT_STARTED, .why = sandbox->why, .code = failed->code};
    *have = true;
    return true;
}

static bool take_payload(const struct wire_reader *reader, void *to, size_t size)
{
    if (reader->header.length != size)
        return false;
    memcpy(to, reader->payload, size);
    return true;
}

static void has_exited(struct running *running)
{
    running->exited = true;
    running->exited_at = util_monotonic();
    for (int i = STREAM_STDOUT; i < STREAMS && !running->pty; i++)
        stream_last_bytes(&running->streams[i]);
}

/* The streams of a client's command are the client's to carry. */
static bool take_start(struct sandbox *sandbox, struct running *running, struct wire_reader *reader)
{
    if (!take_payload(reader, &running->inside, sizeof running->inside) || (running->pty && !is_master(reader->fd)))
        return false;
    if (!running->given)
        return !running->pty || take_master(running, reader);
    control_started(sandbox, running, running->pty ? reader->fd : -1);
    return true;
}

/* False when the frame makes no sense. */
static bool take_frame(struct sandbox *sandbox, struct wire_reader *reader, struct event *event, bool *have)
{
    struct running *running = find(sandbox, reader->header.id);
    if (reader->header.type == WIRE_READY || (reader->header.type == WIRE_FAILED && reader->header.id == 0))
        return take_outcome(sandbox, reader, event, have);
    if (!sandbox->ready)
        return false;
    switch (reader->header.type) {
    case WIRE_STARTED:
        return running && take_start(sandbox, running, reader);
    case WIRE_FAILED:
        if (!running || !take_payload(reader, &running->failure, sizeof running->failure))
            return false;
        running->failure.text[sizeof running->failure.text - 1] = '\0';
        running->failed = true;
        if (running->failure.no_process)
            has_exited(running);
        return true;
    case WIRE_EXITED:
        if (!running || running->exited || !take_payload(reader, &running->result, sizeof running->result))
            return false;
        has_exited(running);
        return true;
    case WIRE_USAGE:
        event->kind = EVENT_USAGE;
        *have = true;
        return take_payload(reader, &event->usage, sizeof event->usage);
    default:
        return false;
    }
}

/* Its last command has been reported: the end of init is no news. Nor is that of a supervisor which has said how a command
 * ended before it went, as long as that is not reported. */
static bool has_ended(const struct sandbox *sandbox)
{
    for (const struct running *r = sandbox->commands; r; r = r->next)
        if (r->exited && (r->last || sandbox->remote))
            return true;
    return false;
}

/* True when `event` is to be reported. */
static bool from_init(struct sandbox *sandbox, struct event *event)
{
    for (;;) {
        bool have = false;
        int got = wire_read(sandbox->socket, &sandbox->reader);
        if (got == 0)
            return false;
        if (got > 0 && take_frame(sandbox, &sandbox->reader, event, &have)) {
            wire_reader_next(&sandbox->reader);
            if (have)
                return true;
            continue;
        }
        if (has_ended(sandbox))
            return false;
        event->kind = sandbox->ready ? EVENT_GONE : EVENT_NOT_STARTED;
        const char *ended = sandbox->remote ? "the sandbox's supervisor ended" : "process 1 of the sandbox ended";
        event->why =
            got < 0 && (errno == EPIPE || errno == ECONNRESET) ? ended : "process 1 of the sandbox spoke nonsense";
        return true;
    }
}

static bool from_signals(struct sandbox *sandbox, struct event *event)
{
    struct signalfd_siginfo info;
    if (read(sandbox->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return false;
    event->kind = EVENT_SIGNAL;
    event->signal = (int)info.ssi_signo;
    return true;
}

static bool from_keeper(struct sandbox *sandbox, struct event *event)
{
    int got = keeper_report(sandbox->keeper, &event->storage);
    if (got < 0) {
        sandbox->keeper_gone = true;
        event->kind = EVENT_GONE;
        event->why = "the sandbox's keeper ended";
        return true;
    }
    event->kind = EVENT_STORAGE;
    return got > 0;
}

/* It only speaks when it is asked, so this is its end. */
static bool from_gateway(struct sandbox *sandbox, struct event *event)
{
    sandbox->gateway.gone = true;
    event->kind = EVENT_NO_GATEWAY;
    event->why = "the gateway has ended; the sandbox has no network any more";
    return true;
}

static bool move_stream(struct running *running, int i, struct event *event)
{
    const char *seen;
    size_t length;
    stream_move(&running->streams[i], &seen, &length);
    if (length == 0)
        return false;
    *event = (struct event){.kind = EVENT_OUTPUT, .running = running, .stream = i, .bytes = seen, .length = length};
    return true;
}

/* Something can be read from or written to at once. */
static bool is_ready(const struct stream *stream)
{
    struct pollfd polled = stream_poll(stream);
    return polled.fd >= 0 && poll(&polled, 1, 0) > 0 && (polled.revents & (polled.events | POLLHUP | POLLERR));
}

/* A pty has carried all when its last user has hung up; an orphan that keeps it open is given a moment. */
static bool pty_is_quiet(const struct running *running)
{
    return !running->pty || util_monotonic() > running->exited_at + PTY_GRACE;
}

static void end_of_log(struct running *running)
{
    int status = running->result.status;
    struct command_log_end end = {.overran = running->result.ended_by == WIRE_BY_TIME, .sentence = ""};
    if (running->failed)
        end.sentence = running->failure.text;
    if (!running->failed && WIFSIGNALED(status))
        end.signal = WTERMSIG(status);
    end.code = running->failed ? running->failure.exit_code : end.signal ? 128 + end.signal : WEXITSTATUS(status);
    command_log_end(running->log, &end);
    command_log_close(steal_ptr(&running->log));
    for (int i = 0; i < STREAMS; i++)
        running->streams[i].copy = NULL;
}

/* A command that has ended is reported once what it wrote has been carried; what its orphans still write is not
 * waited for. */
static bool finished(struct running *running, struct event *event)
{
    for (int i = STREAM_STDOUT; i < STREAMS; i++) {
        struct stream *stream = &running->streams[i];
        if (stream->from < 0 && stream->pending_length == 0)
            continue;
        if (running->pty && pty_is_quiet(running))
            continue;
        if (is_ready(stream) && move_stream(running, i, event))
            return true;
        if (stream->from >= 0 || (stream->pending_length > 0 && stream->to >= 0))
            return false;
    }
    if (running->log)
        end_of_log(running);
    *event = (struct event){.kind = EVENT_EXIT, .running = running};
    return true;
}

/* A command that was killed where somebody was killed for want of memory; said until sandbox_blame. */
static bool has_starved(struct running *running, struct event *event)
{
    int status = running->result.status;
    if (!running->leaf || running->starved || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return false;
    uint64_t kills = leaf_kills(running->leaf);
    if (kills > 0)
        *event = (struct event){.kind = EVENT_STARVED, .running = running, .kills = kills, .leaf = running->leaf->name};
    return kills > 0;
}

static bool any_finished(struct sandbox *sandbox, struct event *event)
{
    for (struct running *r = sandbox->commands, *next; r; r = next) {
        next = r->next;
        if (r->exited && r->given && has_starved(r, event))
            return true;
        if (r->exited && r->given) {
            control_ended(sandbox, r);
            sandbox_forget(sandbox, r);
        } else if (r->exited && finished(r, event)) {
            return true;
        }
    }
    return false;
}

static bool pty_pending(const struct sandbox *sandbox)
{
    for (const struct running *r = sandbox->commands; r; r = r->next)
        if (r->exited && r->pty)
            return true;
    return false;
}

static size_t count_streams(const struct sandbox *sandbox)
{
    size_t n = 0;
    for (const struct running *r = sandbox->commands; r; r = r->next)
        n += STREAMS;
    return n;
}

/* Milliseconds for poll(2), at most those of the caller's deadline (none: `seconds` is negative). */
static int patience(const struct sandbox *sandbox, double seconds, double deadline)
{
    double now = util_monotonic(), till = seconds < 0 ? INFINITY : deadline;
    if (pty_pending(sandbox))
        till = fmin(till, now + PTY_GRACE);
    if (sandbox->control)
        till = fmin(till, control_due(sandbox));
    if (till == INFINITY)
        return -1;
    return till <= now ? 0 : (int)(fmin(till - now, 1e6) * 1000) + 1;
}

static void fill(const struct sandbox *sandbox, struct pollfd *polled)
{
    polled[POLL_INIT] = (struct pollfd){.fd = has_ended(sandbox) ? -1 : sandbox->socket, .events = POLLIN};
    polled[POLL_SIGNALS] = (struct pollfd){.fd = sandbox->signals, .events = POLLIN};
    bool keeper = sandbox->keeper && sandbox->keeper->warden.reports >= 0 && !sandbox->keeper_gone;
    polled[POLL_KEEPER] = (struct pollfd){.fd = keeper ? sandbox->keeper->warden.reports : -1, .events = POLLIN};
    polled[POLL_GATEWAY] =
        (struct pollfd){.fd = sandbox->gateway.gone ? -1 : sandbox->gateway.control, .events = POLLIN};
    struct pollfd *next = polled + POLL_STREAMS;
    for (const struct running *r = sandbox->commands; r; r = r->next)
        for (int i = 0; i < STREAMS; i++)
            *next++ = stream_open(&r->streams[i]) ? stream_poll(&r->streams[i]) : (struct pollfd){.fd = -1};
    if (sandbox->control)
        control_fill(sandbox->control, next);
}

/* Serves what is ready until something is to be reported. Streams come before init's messages. */
static bool serve(struct sandbox *sandbox, const struct pollfd *polled, struct event *event)
{
    const struct pollfd *next = polled + POLL_STREAMS;
    for (struct running *r = sandbox->commands; r; r = r->next)
        for (int i = 0; i < STREAMS; i++, next++)
            if (next->fd >= 0 && next->revents && move_stream(r, i, event))
                return true;
    if (polled[POLL_SIGNALS].revents && from_signals(sandbox, event))
        return true;
    if (polled[POLL_KEEPER].revents && from_keeper(sandbox, event))
        return true;
    if (polled[POLL_INIT].revents && from_init(sandbox, event))
        return true;
    if (polled[POLL_GATEWAY].revents && from_gateway(sandbox, event))
        return true;
    return sandbox->control && control_serve(sandbox, next, event);
}

int sandbox_next(struct sandbox *sandbox, double seconds, struct event *event, struct err *err)
{
    double deadline = util_monotonic() + seconds;
    for (;;) {
        *event = (struct event){.kind = EVENT_TIMEOUT};
        if (any_finished(sandbox, event) || (sandbox->control && control_tick(sandbox, event)))
            return 0;
        size_t n = POLL_STREAMS + count_streams(sandbox) + (sandbox->control ? control_count(sandbox->control) : 0);
        cleanup_free struct pollfd *polled = malloc(n * sizeof *polled);
        if (!polled)
            return err_sys(err, "wait for the sandbox");
        fill(sandbox, polled);
        int ready = poll(polled, n, patience(sandbox, seconds, deadline));
        if (ready < 0 && errno != EINTR)
            return err_sys(err, "wait for the sandbox");
        if (ready > 0 && serve(sandbox, polled, event))
            return 0;
        if (seconds >= 0 && util_monotonic() >= deadline && !any_finished(sandbox, event))
            return 0;
    }
}

/* A host that can't set a sandbox up in this time is broken or stuck. */
enum { READY_SECONDS = 60 };

int sandbox_wait_ready(struct sandbox *sandbox, struct err *err)
{
    double deadline = util_monotonic() + READY_SECONDS;
    while (!sandbox->ready) {
        struct event event = {0};
        struct pollfd polled = {.fd = sandbox->socket, .events = POLLIN};
        double left = deadline - util_monotonic();
        if (left <= 0)
            return err_set(err, ETIMEDOUT, "set up the sandbox: it was not ready after %d s", READY_SECONDS);
        if (poll(&polled, 1, (int)(left * 1000) + 1) < 0 && errno != EINTR)
            return err_sys(err, "wait for the sandbox");
        if (polled.revents && from_init(sandbox, &event) && event.why)
            return err_set(err, event.code, "%s", event.why);
    }
    return 0;
}
