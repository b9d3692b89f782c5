/* wire_message.h - what is said over the wire: the types of frames, and what each carries. */
#ifndef MOONBOX_WIRE_MESSAGE_H
#define MOONBOX_WIRE_MESSAGE_H

#include <stdint.h>

enum { WIRE_MAX_REPLY = 1024 }; /* bytes of a payload that a supervisor takes from init or a gateway */

enum wire_type {
    /* supervisor -> init */
    WIRE_START = 1, /* payload: struct wire_start, then its strings */
    WIRE_SIGNAL,    /* payload: struct wire_signal */
    WIRE_ASK_USAGE, /* no payload */
    WIRE_GROUPS,    /* no payload; beside it what to enter first of all: v1 control groups, and leaves_entrances */
    WIRE_END, /* payload: struct wire_signal, to all that a command of WIRE_TREE has started; else as WIRE_SIGNAL */
    /* init -> supervisor */
    WIRE_READY = 16, /* the sandbox is set up; no user code has run */
    WIRE_FAILED,     /* payload: struct wire_failed; id 0 is the sandbox itself */
    WIRE_STARTED,    /* payload: int32 pid inside; a pty's master beside it */
    WIRE_EXITED,     /* payload: struct wire_exited */
    WIRE_USAGE,      /* payload: struct wire_usage */
    /* the sandbox's child -> gateway, which answers READY or FAILED; beside it user namespace and captured sockets */
    WIRE_NETWORK = 32, /* no payload */
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

/* Flags of a start: which of 0, 1, 2 ride beside the frame (others are /dev/null); a pty instead; init ends when the command
 * has, with all that is left; argv is a request about files (core/files); the command gets a subreaper, for WIRE_END;
 * the last descriptor is the directory of its control group (core/leaves). */
enum { WIRE_STDIN = 1, WIRE_STDOUT = 2, WIRE_STDERR = 4, WIRE_PTY = 8, WIRE_LAST = 16, WIRE_FILES = 32 };
enum { WIRE_TREE = 64, WIRE_LEAF = 128 };

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
    int32_t code, exit_code;        /* code: errno or 0 */
    int32_t no_process;             /* 1: nothing was started, so no WIRE_EXITED follows */
    char text[WIRE_MAX_REPLY - 16]; /* terminated by the reader */
};

/* What ended a command: itself, its time, the memory limit (WIRE_FAILED before has told of it). */
enum wire_end { WIRE_BY_ITSELF, WIRE_BY_TIME, WIRE_BY_MEMORY };

struct wire_exited {
    int32_t status;    /* wait(2) status */
    uint32_t ended_by; /* to a client: enum wire_end */
    uint64_t cpu_us;   /* user + system of the command and the children it waited for */
    uint64_t peak_rss; /* bytes, of the largest of them */
};

struct wire_usage {
    uint64_t processes;
    uint64_t memory; /* bytes: proportional set sizes where readable, else resident sizes */
    uint64_t cpu_us;
    char full[128]; /* where one of its tmpfs is mounted that takes no more bytes or files; "" none is full */
};

#endif
