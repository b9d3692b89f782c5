/* event.h - what a running sandbox reports to its supervisor, one thing at a time (sandbox_next). */
#ifndef MOONBOX_EVENT_H
#define MOONBOX_EVENT_H

#include "tree.h"
#include "wire_message.h"

#include <stddef.h>
#include <stdint.h>

struct running;

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

#endif
