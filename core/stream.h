/* stream.h - one direction of a command's stdio, carried by the supervisor.
 *
 * A command never gets a descriptor of the caller's: it gets a pipe (or its pty), and the supervisor copies.  So no
 * host file, terminal or socket is reachable from inside, output can be bounded, and a caller that stops reading
 * can't stop the supervisor from keeping time: nothing here blocks. */
#ifndef MOONBOX_STREAM_H
#define MOONBOX_STREAM_H

#include "command_log.h"
#include "err.h"
#include "kept.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STREAM_CHUNK = 65536 };

struct stream {
    int from, to; /* descriptors copied between; -1 none (memory, or closed) */
    bool owns_from, owns_to;
    bool terminal;      /* `to` is one, opened for us */
    bool to_limits;     /* `to` is not a regular file: write only what can't block */
    char *memory;       /* input that is fed; owned */
    size_t length, at;  /* of memory: bytes held; bytes already fed */
    struct kept kept;   /* of output: all of it when captured; of a log its tail */
    uint64_t unwritten; /* bytes that a caller's descriptor did not take */
    int refused;        /* why: its errno; 0 when it took all, or is a terminal or a pipe that nobody reads */
    bool capture, log, feed, observe;
    struct command_log *copy; /* borrowed: what is read goes there as well, as stream `copy_as`; NULL none */
    int copy_as;
    bool last; /* only `last_bytes` more are read */
    size_t last_bytes;
    char *pending; /* read and not yet written; STREAM_CHUNK bytes, owned */
    size_t pending_at, pending_length;
};

void stream_init(struct stream *stream);
void stream_free(struct stream *stream);

/* Output from the pipe `from` (taken): to a caller's descriptor (borrowed) … */
int stream_pass(struct stream *stream, int from, int to, struct err *err);
/* … into memory, at most `keep` bytes of it, head and tail (core/kept) … */
void stream_capture(struct stream *stream, int from, uint64_t keep);
/* … or to a log file (taken), at most `keep` bytes, head and tail. */
int stream_log(struct stream *stream, int from, int log, uint64_t keep, struct err *err);

/* Input into the pipe `to` (taken): from a caller's descriptor (borrowed), or from bytes (copied). */
int stream_input(struct stream *stream, int from, int to, struct err *err);
int stream_feed(struct stream *stream, int to, const char *bytes, size_t length, struct err *err);

/* Bytes of output that are kept nowhere. */
uint64_t stream_dropped(const struct stream *stream);

/* Whether it can still carry anything, and what to poll for it (fd -1: nothing). */
bool stream_open(const struct stream *stream);
struct pollfd stream_poll(const struct stream *stream);

/* Carries what is possible now. `seen` and `seen_length` are set to bytes that were read, for an observer. */
void stream_move(struct stream *stream, const char **seen, size_t *seen_length);

/* From now on only what already lies in the pipe is read, whoever else still writes to it. */
void stream_last_bytes(struct stream *stream);

/* Ends it: nothing more is read; the writer gets SIGPIPE, the reader end of file. */
void stream_close(struct stream *stream);

#endif
