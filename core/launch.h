/* launch.h - from a plan to a running sandbox: the supervisor's steps, in order. Read launch.c first. */
#ifndef MOONBOX_LAUNCH_H
#define MOONBOX_LAUNCH_H

#include "sandbox.h"

struct launch_options {
    const char *lock_dir;                         /* where root's id ranges are locked */
    const char *name;                             /* of the control groups; unique on the machine */
    struct keeper *keeper;                        /* borrowed, outlives the sandbox; NULL none */
    const struct cgroup_support *(*groups)(void); /* finds where groups are made; NULL: none are wanted */
    bool leaves;      /* a control group for each command, where the host can (core/leaves) */
    bool groups_late; /* v2 makes no groups here, as far as the caller knows: they are looked for beside the child */
    int pin;          /* processors to stay on; 0 any */
    int flows;        /* the flow log, append-only, borrowed; -1 none */
    const char *step; /* named in each flow; NULL none */
    struct hook *(*prepare_hook)(void *context, struct err *err); /* gateway/gateway.h; NULL none */
    void *hook_context;
    bool signals; /* block SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH and report them */
};

/* Starts the sandbox that the plan describes; whether its setting up succeeds is told by sandbox_wait_ready or as an
 * event. The plan is borrowed until sandbox_close. On failure nothing of it is
 * left. The caller owns *sandbox's contents and ends them with sandbox_close. */
int launch(const struct plan *plan, const struct launch_options *options, struct sandbox *sandbox, struct err *err);

#endif
