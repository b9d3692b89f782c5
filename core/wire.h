/* wire.h - the framed byte protocol between a supervisor, the init of its sandbox, its gateway and its clients.
 *
 * A frame is a fixed header and `length` bytes of payload.  It needs only a reliable byte stream, so that a
 * virtual machine can speak it over a serial line later; over the local socket, file descriptors ride beside the
 * header (SCM_RIGHTS, unix(7)).  The supervisor treats everything that init says as hostile: sizes are bounded,
 * unknown types end the sandbox, and a half frame never blocks it. */
#ifndef MOONBOX_WIRE_H
#define MOONBOX_WIRE_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WIRE_MAX_PAYLOAD = 4 << 20, WIRE_MAX_REPLY = 1024, WIRE_MAX_FDS = 8 };

enum wire_type {
    /* supervisor -> init */
    WIRE_START = 1, /* payload: struct wire_start, then its strings */
    WIRE_SIGNAL,    /* payload: struct wire_signal */
    WIRE_ASK_USAGE, /* no payload */
    WIRE_GROUPS,    /* no payload; beside it the v1 control groups to enter, once, before anything else */
    WIRE_END, /* payload: struct wire_signal, to all that a command of WIRE_TREE has started; else as WIRE_SIGNAL */
    /* init -> supervisor */
    WIRE_READY = 16, /* the sandbox is set up; no user code has run */
    WIRE_FAILED,     /* payload: struct wire_failed; id 0 is the sandbox itself */
    WIRE_STARTED,    /* payload: int32 pid inside; a pty's master beside it */
    WIRE_EXITED,     /* payload: struct wire_exited */
    WIRE_USAGE,      /* payload: struct wire_usage */
    /* the sandbox's child -> gateway, which answers READY or FAILED */
    WIRE_NETWORK = 32, /* no payload; beside it the outer user namespace and the captured sockets */
    /* supervisor -> gateway, which answers COUNTERS or FAILED */
    WIRE_RULES = 48, /* payload: rules_decode's bytes */
    WIRE_ASK_COUNTERS,
    WIRE_FINISH,   /* write what is open, answer, end */
    WIRE_COUNTERS, /* payload: struct gateway_counters */
    /* gateway -> init, which answers SOCKET or FAILED with the same id; only where ports are published */
    WIRE_ASK_SOCKET = 64, /* payload: int32 address family */
    WIRE_SOCKET,          /* no payload; beside it an unconnected TCP socket of the sandbox's network */
    /* client -> supervisor (core/control), beside START and SIGNAL; init's answers to those are passed on */
    WIRE_ASK = 80, /* payload: text; answered with REPLY */
    WIRE_REPLY,    /* payload: text */
};

struct wire_header {
    uint32_t length; /* of the payload */
    uint16_t type;
    uint16_t n_fds;
    uint32_t id; /* the command it is about */
};

/* Flags of a start: which of 0, 1, 2 ride beside the frame (the others are the sandbox's /dev/null); a pty instead; init
 * ends, and all that is left in the sandbox with it, when it has reported the command's exit; argv is a request about files
 * (core/files) and no program; the command gets a subreaper, for WIRE_END. */
enum {
    WIRE_STDIN = 1,
    WIRE_STDOUT = 2,
    WIRE_STDERR = 4,
    WIRE_PTY = 8,
    WIRE_LAST = 16,
    WIRE_FILES = 32,
    WIRE_TREE = 64
};

struct wire_start {
    uint32_t flags;
    uint16_t rows, cols;   /* of the pty */
    uint32_t argc, envc;   /* NUL-terminated strings follow: cwd, argv…, env… */
    uint32_t milliseconds; /* from a client: the command's time; 0 no limit of its own */
};

struct wire_signal {
    int32_t signal; /* to the command's process group; id 0: to everything but init */
};

struct wire_failed {
    int32_t code; /* errno or 0 */
    int32_t exit_code;
    int32_t no_process;             /* 1: nothing was started, so no WIRE_EXITED follows */
    char text[WIRE_MAX_REPLY - 16]; /* terminated by the reader */
};

struct wire_exited {
    int32_t status;    /* wait(2) status */
    uint32_t overran;  /* to a client: 1 when the supervisor ended it at its time */
    uint64_t cpu_us;   /* user + system of the command and the children it waited for */
    uint64_t peak_rss; /* bytes, of the largest of them */
};

struct wire_usage {
    uint64_t processes;
    uint64_t memory; /* bytes: proportional set sizes where readable, else resident sizes */
    uint64_t cpu_us;
    char full[128]; /* where one of its tmpfs is mounted that takes no more bytes or files; "" none is full */
};

/* Sends a frame whole (blocking). `fds` are borrowed. 0, or -1 with errno. */
int wire_send(int socket, enum wire_type type, uint32_t id, const void *payload, size_t length, const int *fds,
              size_t n_fds);

/* The same without waiting: a peer that does not take it whole at once gets -1, and is then of no use any more. */
int wire_offer(int socket, enum wire_type type, uint32_t id, const void *payload, size_t length, const int *fds,
               size_t n_fds);

/* Init's side: blocks until a frame has come. The payload is malloc'ed and the caller's, as are the fds (others
 * are -1). 1 = a frame, 0 = the peer is gone, -1 = broken. */
int wire_receive(int socket, struct wire_header *header, char **payload, int fds[WIRE_MAX_FDS]);

/* Receives what is there, at most `length` bytes; descriptors beside it go behind the *n_fds that `fds` has of `room`, more
 * are closed. As recvmsg(2) with `flags`. */
ssize_t wire_take(int socket, void *bytes, size_t length, int flags, int *fds, size_t room, size_t *n_fds);

/* Cuts `count` NUL-terminated strings off a payload: a NULL-terminated list that the caller frees, of pointers into it;
 * NULL when there are not that many, or no memory. */
char **wire_strings(char **next, const char *end, size_t count);

/* Supervisor's side: frames come in pieces and are never waited for. */
struct wire_reader {
    struct wire_header header;
    char payload[WIRE_MAX_REPLY];
    size_t have; /* bytes of header + payload */
    int fd;      /* at most one rides beside a reply; -1 none */
};

void wire_reader_init(struct wire_reader *reader);
void wire_reader_free(struct wire_reader *reader);

/* 1 = a whole frame is in *reader (call wire_reader_next before the next), 0 = not yet, -1 = the peer is gone or
 * spoke nonsense (errno EPROTO). */
int wire_read(int socket, struct wire_reader *reader);
void wire_reader_next(struct wire_reader *reader);

#endif
