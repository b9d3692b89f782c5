#include "stream.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { TERMINAL_PAUSE = 5 }; /* ms */

void stream_init(struct stream *stream)
{
    memset(stream, 0, sizeof *stream);
    stream->from = stream->to = -1;
}

uint64_t stream_dropped(const struct stream *stream)
{
    return kept_dropped(&stream->kept) + stream->unwritten;
}

/* A log gets its tail when there is no more to come. */
static void end_log(struct stream *stream)
{
    size_t length;
    cleanup_free char *end = stream->log && stream->to >= 0 ? kept_end(&stream->kept, &length) : NULL;
    stream->log = false;
    if (end && util_write_all(stream->to, end, length) < 0)
        stream->unwritten += length;
}

void stream_close(struct stream *stream)
{
    end_log(stream);
    if (stream->from >= 0 && stream->owns_from)
        close(stream->from);
    if (stream->to >= 0 && stream->owns_to)
        close(stream->to);
    stream->from = stream->to = -1;
}

void stream_free(struct stream *stream)
{
    stream_close(stream);
    kept_free(&stream->kept);
    free(stream->memory);
    free(stream->pending);
    stream_init(stream);
}

static int allocate(struct stream *stream, struct err *err)
{
    stream->pending = malloc(STREAM_CHUNK);
    return stream->pending ? 0 : err_sys(err, "allocate a buffer");
}

/* poll(2) calls a terminal writable that takes one byte more, and a larger write then waits for whoever reads it, past
 * every time limit. So it is opened anew, for us alone and not to wait; -1 where it is none, or another user's. */
static int own_terminal(int to)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", to);
    return isatty(to) ? open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
}

int stream_pass(struct stream *stream, int from, int to, struct err *err)
{
    struct stat st;
    int terminal = own_terminal(to);
    stream->from = from;
    stream->owns_from = true;
    stream->owns_to = stream->terminal = terminal >= 0;
    stream->to = terminal >= 0 ? terminal : to;
    stream->to_limits = fstat(to, &st) < 0 || !S_ISREG(st.st_mode);
    return allocate(stream, err);
}

void stream_capture(struct stream *stream, int from, uint64_t keep)
{
    stream->from = from;
    stream->owns_from = true;
    stream->capture = true;
    kept_init(&stream->kept, keep);
}

int stream_log(struct stream *stream, int from, int log, uint64_t keep, struct err *err)
{
    stream->from = from;
    stream->to = log;
    stream->owns_from = stream->owns_to = stream->log = true;
    kept_init(&stream->kept, keep);
    return allocate(stream, err);
}

int stream_input(struct stream *stream, int from, int to, struct err *err)
{
    stream->from = from;
    stream->to = to;
    stream->owns_to = true;
    return allocate(stream, err);
}

int stream_feed(struct stream *stream, int to, const char *bytes, size_t length, struct err *err)
{
    stream->to = to;
    stream->owns_to = stream->feed = true;
    stream->memory = malloc(length + 1);
    if (!stream->memory)
        return err_sys(err, "copy the input");
    memcpy(stream->memory, bytes, length);
    stream->length = length;
    return 0;
}

bool stream_open(const struct stream *stream)
{
    return stream->from >= 0 || (stream->to >= 0 && (stream->feed || stream->pending_length > 0));
}

struct pollfd stream_poll(const struct stream *stream)
{
    if (stream->to >= 0 && (stream->feed || stream->pending_length > 0))
        return (struct pollfd){.fd = stream->to, .events = POLLOUT};
    return (struct pollfd){.fd = stream->from, .events = POLLIN};
}

static bool would_block(ssize_t result)
{
    return result < 0 && (errno == EAGAIN || errno == EINTR);
}

static void feed(struct stream *stream)
{
    while (stream->at < stream->length) {
        ssize_t wrote = write(stream->to, stream->memory + stream->at, stream->length - stream->at);
        if (would_block(wrote))
            return;
        if (wrote < 0)
            break;
        stream->at += (size_t)wrote;
    }
    stream_close(stream);
}

static void drain_pending(struct stream *stream)
{
    while (stream->pending_length > 0) {
        size_t count = stream->pending_length;
        /* poll(2) promises room for PIPE_BUF bytes; more could block on a descriptor that is not ours to change. */
        if (stream->to_limits && count > PIPE_BUF)
            count = PIPE_BUF;
        ssize_t wrote = write(stream->to, stream->pending + stream->pending_at, count);
        if (would_block(wrote)) {
            if (stream->terminal)
                poll(NULL, 0, TERMINAL_PAUSE); /* it takes a byte, and not the two that a newline becomes */
            return;
        }
        if (wrote < 0) {
            stream->refused = stream->log || stream->terminal || errno == EPIPE ? 0 : errno;
            stream->unwritten += stream->pending_length;
            stream->pending_length = 0;
            stream_close(stream);
            return;
        }
        stream->pending_at += (size_t)wrote;
        stream->pending_length -= (size_t)wrote;
        if (stream->to_limits)
            return;
    }
    if (stream->from < 0)
        stream_close(stream);
}

static void end_of_input(struct stream *stream)
{
    if (stream->from >= 0 && stream->owns_from)
        close(stream->from);
    stream->from = -1;
    if (stream->pending_length == 0)
        stream_close(stream);
}

static void read_more(struct stream *stream, const char **seen, size_t *seen_length)
{
    static char scratch[STREAM_CHUNK];
    char *buffer = stream->capture ? scratch : stream->pending;
    size_t want = stream->last && stream->last_bytes < STREAM_CHUNK ? stream->last_bytes : STREAM_CHUNK;
    ssize_t got = want > 0 ? read(stream->from, buffer, want) : 0;
    if (would_block(got))
        return;
    if (got <= 0) {
        end_of_input(stream);
        return;
    }
    stream->last_bytes -= stream->last ? (size_t)got : 0;
    command_log_output(stream->copy, stream->copy_as, buffer, (size_t)got);
    if (stream->observe) {
        *seen = buffer;
        *seen_length = (size_t)got;
    }
    if (stream->capture) {
        kept_add(&stream->kept, buffer, (size_t)got);
        if (stream->last && stream->last_bytes == 0)
            end_of_input(stream);
        return;
    }
    stream->pending_at = 0;
    stream->pending_length = stream->log ? kept_head(&stream->kept, (size_t)got) : (size_t)got;
    if (stream->log)
        kept_add_tail(&stream->kept, buffer + stream->pending_length, (size_t)got - stream->pending_length);
    if (!stream->to_limits)
        drain_pending(stream);
    if (stream->last && stream->last_bytes == 0)
        end_of_input(stream);
}

void stream_last_bytes(struct stream *stream)
{
    int waiting = 0;
    if (stream->from < 0)
        return;
    stream->last = true;
    stream->last_bytes = ioctl(stream->from, FIONREAD, &waiting) == 0 ? (size_t)waiting : 0;
    if (stream->last_bytes == 0)
        end_of_input(stream);
}

void stream_move(struct stream *stream, const char **seen, size_t *seen_length)
{
    *seen_length = 0;
    if (stream->feed)
        feed(stream);
    else if (stream->pending_length > 0 && stream->to >= 0)
        drain_pending(stream);
    else if (stream->from >= 0)
        read_more(stream, seen, seen_length);
}
