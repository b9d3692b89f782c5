/* gateway.h - the process through which all of a sandbox's network traffic passes, in its supervisor's hands.
 *
 * One for each sandbox, and dead with it: it ends when its supervisor does, and without it nothing answers in the
 * sandbox's network. It lives in the caller's network namespace, and in the sandbox's outer user namespace, where it keeps one
 * capability (CAP_NET_ADMIN, for verdicts on held SYNs) and has none over the host; its system calls are filtered to
 * sockets, pipes and memory: it can open no file. */
#ifndef MOONBOX_GATEWAY_GATEWAY_H
#define MOONBOX_GATEWAY_GATEWAY_H

#include "../capture.h"
#include "../err.h"
#include "hook.h"
#include "publish.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gateway_request {
    const void *rules; /* rules_decode's bytes; borrowed for the call */
    size_t rules_length;
    int flows;                               /* append-only descriptor of the flow log, borrowed; -1 none */
    uint64_t flows_most;                     /* bytes that it may take; a full log lets nothing through */
    const char *step;                        /* named in every flow; NULL none */
    const struct published_ports *published; /* borrowed; its descriptors are the caller's to close */
    bool own_ids; /* the outer user namespace maps ids beside the agent's, and the gateway takes one of them */
    /* Called in the new process while it may still open files; NULL none. NULL with err set when the hook can't be had. */
    struct hook *(*prepare_hook)(void *context, struct err *err);
    void *hook_context;
};

struct gateway_counters {
    uint64_t opened, denied, up, down; /* connections; refusals of every kind; bytes */
    uint64_t mode;                     /* enum capture_mode */
    uint64_t cpu_us; /* processor time of the gateway itself, which no control group of the sandbox has */
};

struct gateway_process {
    int pidfd, control; /* -1 none */
    int hand_over;      /* the sandbox's child sends the captured network here; ours to close once it has been cloned */
    uint32_t asked;     /* requests so far, the last one's number */
    bool gone;          /* was seen to have ended by itself */
    struct gateway_counters last;
};

/* Starts it; it then waits for the sandbox's child to hand its network over (gateway_hand_over). 0, or -1 with err set. */
int gateway_start(struct gateway_process *process, const struct gateway_request *request, struct err *err);

/* In the child: gives the captured network away, and waits until the gateway serves it. 0, or -1 with the gateway's reason. */
int gateway_hand_over(int socket, const struct capture *capture, struct err *err);
int gateway_wait_serving(int socket, struct err *err);

/* New rules for a gateway that runs; those in force stay when the new ones make no sense. Connections that they would not
 * allow are cut before this returns. */
int gateway_set_rules(struct gateway_process *process, const void *rules, size_t length, struct err *err);

int gateway_count(struct gateway_process *process, struct gateway_counters *counters, struct err *err);

/* Ends it: open flows are written, and the last counters are in `last`. Safe on one that never started (all -1). */
void gateway_stop(struct gateway_process *process);

#endif
