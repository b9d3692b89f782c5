/* sandbox.h - a running sandbox in the supervisor's hands: commands in it, what happens to it, its end. */
#ifndef MOONBOX_SANDBOX_H
#define MOONBOX_SANDBOX_H

#include "cgroup.h"
#include "err.h"
#include "gateway/gateway.h"
#include "keeper.h"
#include "leaves.h"
#include "plan.h"
#include "stream.h"
#include "wire.h"

#include <stdbool.h>

enum { STREAM_STDIN, STREAM_STDOUT, STREAM_STDERR, STREAMS };

struct running {
    struct running *next;
    uint32_t id;
    pid_t inside; /* its pid in the sandbox */
    struct stream streams[STREAMS];
    struct command_log *log; /* owned; NULL none */
    struct err unlogged;     /* why there is none, where one was wanted; code 0 */
    bool exited, failed;
    bool last;        /* the sandbox ends with it */
    double exited_at; /* monotonic seconds */
    struct wire_exited result;
    struct wire_failed failure;
    struct leaf *leaf; /* the sandbox's; NULL none */
    bool starved;      /* it was killed for want of memory, and its client is to hear why: sandbox_blame */
    bool pty;
    int rows, cols;
    /* Of a client's command (core/control): */
    bool given;              /* a client carries its streams */
    uint32_t client, number; /* whose it is (0: gone), and what that client calls it */
    double deadline;         /* monotonic seconds: SIGTERM; 0 none */
    double kill_at;          /* SIGKILL; 0 none */
    bool overran;
};

struct sandbox {
    const struct plan *plan; /* borrowed */
    struct keeper *keeper;   /* borrowed; NULL: nothing on the host but processes */
    struct idmap own_map;    /* when there is no keeper */
    pid_t pid;
    int pidfd, socket;                /* of init */
    int signals;                      /* signalfd of the caller's terminating signals, -1 none; owned */
    struct gateway_process gateway;   /* none when the plan has no network */
    struct published_ports published; /* the descriptors are the gateway's alone */
    struct cgroup cgroup;
    struct leaves leaves;
    struct wire_reader reader;
    struct running *commands;
    uint32_t next_id;
    struct control *control; /* borrowed; NULL: nobody but the caller starts commands */
    bool frozen;
    bool resting; /* the caller waits for EVENT_BEGUN */
    bool remote;  /* `socket` leads to a supervisor, not to init */
    bool keeper_gone;
    bool ready; /* init has said so; until then nothing of a tenant has run */
    char why[WIRE_MAX_REPLY + 32];
};

enum event_kind {
    EVENT_TIMEOUT,     /* nothing happened in the time given */
    EVENT_EXIT,        /* a command ended and all that it wrote has been carried: `running` */
    EVENT_OUTPUT,      /* bytes of an observed stream: `running`, `stream`, `bytes` */
    EVENT_SIGNAL,      /* the supervisor was asked to: `signal` */
    EVENT_USAGE,       /* init's answer: `usage` */
    EVENT_STORAGE,     /* a measurement of the storage folder: `storage` */
    EVENT_NO_GATEWAY,  /* the gateway has ended by itself: there is no network from here on */
    EVENT_NOT_STARTED, /* the sandbox could not be set up, nothing has run: `why` */
    EVENT_STARVED,     /* a client's command was killed for want of memory: `running`, `kills`; until sandbox_blame */
    EVENT_REQUEST,     /* a client asks: `client`, `bytes`, until control_reply */
    EVENT_BEGUN,       /* a client has started a command, the first one since the caller is at rest */
    EVENT_GONE,        /* init has ended, or spoke nonsense: the sandbox is over; `why` */
};

struct event {
    enum event_kind kind;
    struct running *running; /* the sandbox's, until sandbox_forget */
    int stream, signal;
    const char *bytes; /* valid until the next call */
    size_t length;
    struct wire_usage usage;
    struct tree_usage storage;
    const char *why;
    int code; /* EVENT_NOT_STARTED: the errno of what failed, or 0 */
    uint32_t client;
    uint64_t kills;   /* processes */
    const char *leaf; /* of the command's group: its name */
};

/* Where a command's stream goes or comes from. */
enum stdio_kind { STDIO_NULL, STDIO_PASS, STDIO_CAPTURE, STDIO_LOG, STDIO_FEED, STDIO_MERGE, STDIO_GIVEN };

struct stdio_request {
    enum stdio_kind kind;
    int fd;            /* STDIO_PASS: the caller's; STDIO_LOG: taken; STDIO_GIVEN: taken, the command's own */
    uint64_t keep;     /* STDIO_CAPTURE, STDIO_LOG: bytes */
    const char *bytes; /* STDIO_FEED */
    size_t length;
    bool observe;
};

struct start_request {
    const char *const *argv, *const *env; /* NULL-terminated */
    const char *cwd;
    struct stdio_request stdio[STREAMS];
    bool pty; /* stdin and stdout then pass through it; stderr is not used */
    int rows, cols;
    bool last;       /* the sandbox ends with it: its end then runs beside what the supervisor still does */
    bool files;      /* argv is a request about files (core/files), no program */
    bool tree;       /* all that it starts can be ended with it: sandbox_end */
    double seconds;  /* to a supervisor: the command's time; 0 no limit of its own */
    const char *log; /* the folder of core/command_log; NULL none. A pty's command has its beginning and end there */
};

/* A sandbox that another process supervises, through its control socket (taken): commands can be started in it and
 * watched, nothing else. Ignores SIGPIPE from now on, as launch does. sandbox_close lets go of it. */
void sandbox_remote(struct sandbox *sandbox, int socket);

/* Makes a pipe the agent's, so that it may be opened again through /dev/stdout. */
int sandbox_give(const struct sandbox *sandbox, int fd, struct err *err);

/* From now on SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGWINCH are blocked and come as EVENT_SIGNAL. */
int sandbox_watch_signals(struct sandbox *sandbox, struct err *err);

/* Waits until the sandbox is set up. 0, or -1 with the step that failed in err. Not needed before sandbox_start: a
 * command that is sent early waits in the socket. */
int sandbox_wait_ready(struct sandbox *sandbox, struct err *err);

/* Starts a command. Returns it (the sandbox's, until sandbox_forget), or NULL with err set. A program that can't be
 * executed shows up as EVENT_EXIT with `failed`. */
struct running *sandbox_start(struct sandbox *sandbox, const struct start_request *request, struct err *err);

/* Waits at most `seconds` (negative: for ever) and reports one thing. 0, or -1 with err set. */
int sandbox_next(struct sandbox *sandbox, double seconds, struct event *event, struct err *err);

/* Sends a signal to the process group of a command; id 0: to every process in the sandbox but init. */
int sandbox_signal(struct sandbox *sandbox, uint32_t id, int signal, struct err *err);

/* The same, of a command that was started with `tree` to everything that it has started, sessions of their own included. */
int sandbox_end(struct sandbox *sandbox, uint32_t id, int signal, struct err *err);

/* What a client is told of its command that EVENT_STARVED was about, with exit code 137. Copies. */
void sandbox_blame(struct sandbox *sandbox, uint32_t id, const char *sentence);

/* Asks init for what it sees; the answer comes as EVENT_USAGE. */
int sandbox_ask_usage(struct sandbox *sandbox, struct err *err);

/* Stops every process of the sandbox, or lets them go on. err->code EOPNOTSUPP where the host can't. */
int sandbox_freeze(struct sandbox *sandbox, const struct cgroup_support *support, bool on, struct err *err);

/* Tells a command's pty its new size. */
void sandbox_resize(struct running *running, int rows, int cols);

void sandbox_forget(struct sandbox *sandbox, struct running *running);

/* Kills everything in the sandbox, waits for its end, removes its control groups. Safe to call twice. */
int sandbox_close(struct sandbox *sandbox, struct err *err);

#endif
