/* running.h - a command of a sandbox in the supervisor's hands, from its start until its end has been reported. */
#ifndef MOONBOX_RUNNING_H
#define MOONBOX_RUNNING_H

#include "err.h"
#include "leaves.h"
#include "start_request.h"
#include "stream.h"
#include "wire_message.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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

/* Tells its pty its new size. */
void sandbox_resize(struct running *running, int rows, int cols);

#endif
