/* sandbox.h - a running sandbox in the supervisor's hands: commands in it, what happens to it, its end. */
#ifndef MOONBOX_SANDBOX_H
#define MOONBOX_SANDBOX_H

#include "cgroup.h"
#include "event.h"
#include "gateway/gateway.h"
#include "keeper.h"
#include "leaves.h"
#include "plan.h"
#include "running.h"
#include "wire.h"

#include <stdbool.h>

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

/* A sandbox that another process supervises, through its control socket (taken): commands can be started in it and
 * watched, nothing else. Ignores SIGPIPE and SIGXFSZ from now on. sandbox_close lets go of it. */
void sandbox_remote(struct sandbox *sandbox, int socket);

/* Makes a pipe the agent's, so that it may be opened again through /dev/stdout. */
int sandbox_give(const struct sandbox *sandbox, int fd, struct err *err);

/* From now on the signals of sys_ending_signals and SIGWINCH are blocked and come as EVENT_SIGNAL. */
int sandbox_watch_signals(struct sandbox *sandbox, struct err *err);

/* Waits until the sandbox is set up. 0, or -1 with the step that failed in err. Not needed before sandbox_start: a
 * command that is sent early waits in the socket. */
int sandbox_wait_ready(struct sandbox *sandbox, struct err *err);

/* Starts a command. Returns it (the sandbox's, until sandbox_forget), or NULL with err set. A program that can't be
 * executed shows up as EVENT_EXIT with `failed`. */
struct running *sandbox_start(struct sandbox *sandbox, const struct start_request *request, struct err *err);

/* Waits at most `seconds` (negative: for ever) and reports one thing. 0, or -1 with err set. */
int sandbox_next(struct sandbox *sandbox, double seconds, struct event *event, struct err *err);

/* Whether the caller's own descriptors took all of a command's output, as a full disk does not: 0, or -1 with the sentence in
 * err. A pipe that nobody reads any more, and a terminal that is gone, want no more. */
int sandbox_delivered(const struct running *running, struct err *err);

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

void sandbox_forget(struct sandbox *sandbox, struct running *running);

/* Kills everything in the sandbox, waits for its end, removes its control groups. Safe to call twice. */
int sandbox_close(struct sandbox *sandbox, struct err *err);

#endif
