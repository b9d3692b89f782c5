/* subreaper.h - a parent for a command that has a time of its own, so that its whole tree can be ended with it.
 *
 * A process that starts a session of its own and loses its parent belongs to nobody any more, unless somebody above it is a
 * child subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)): then it becomes that one's child.  So each such command is the child of
 * a copy of init that does nothing else, undumpable as init is, and what the command leaves behind stays below it for as
 * long as the command runs.  Commands without a time do without: a process more is most of what a short command costs. */
#ifndef MOONBOX_SUBREAPER_H
#define MOONBOX_SUBREAPER_H

#include "command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Memory that init shares with it. */
struct subreaper {
    pid_t pid;      /* its own */
    uint64_t since; /* when it began: proc(5), field 22 of stat */
    pid_t leader;   /* the command */
    bool ending;    /* set by init: it waits for all that is below it, not for the command alone */
    bool killed;    /* what is below it has been sent SIGKILL */
    bool done;      /* `status` and `usage` are those of the command */
    int status;
    struct rusage usage;
};

/* As command_start, below a subreaper of its own; the caller frees it when that process has been waited for. NULL with
 * errno. One that was killed by a tenant meanwhile, or stopped and so killed here, is no failure to start: its end is the
 * command's. */
struct subreaper *subreaper_start(const struct command *command, int socket, uint32_t id);
void subreaper_free(struct subreaper *subreaper);

/* It was stopped: nobody outside the sandbox does that, and its command would seem to go on for ever. */
void subreaper_go_on(const struct subreaper *subreaper);

/* Sends a signal to everything below it; SIGKILL again and again until nothing there lives, and the second time to itself,
 * too. */
void subreaper_signal(struct subreaper *subreaper, int signal);

/* The process was killed from inside before the command had ended, and what was below it is init's now: kills all that began
 * after it, but for the `n` processes of `spared` and what is below them. */
void subreaper_avenge(const struct subreaper *subreaper, const pid_t *spared, size_t n);

#endif
