/* command.h - one command inside a sandbox: from the supervisor's request to execve(2). */
#ifndef MOONBOX_COMMAND_H
#define MOONBOX_COMMAND_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct command {
    char *cwd, **argv, **env; /* the strings are borrowed from the payload */
    int stdio[3];             /* owned by the caller's array; -1 = the sandbox's /dev/null */
    int master, slave;        /* of its pty, owned; -1 none */
    int leaf;                 /* directory of the control group to be born in, borrowed; -1 init's */
    bool last;                /* init is to end with it */
    bool files;               /* argv is a request about files (core/files), no program */
    bool tree;                /* it is to have a subreaper */
};

/* Reads a WIRE_START payload. Borrows payload and fds. Opens the pty when one is asked for. */
int command_parse(struct command *command, char *payload, size_t length, const int *fds, struct err *err);
void command_free(struct command *command);

/* Starts it in a child of init: own session, stdio, directory, and execve. Returns the child's pid, or -1 with errno
 * when there can't be one. A later failure is sent on `socket` as WIRE_FAILED and ends the child with 127 (no such
 * program) or 126, as a shell does. Returns when the child has executed or ended. The pid is in *noted before anything of
 * the command runs, should the caller end before this returns. */
pid_t command_start(const struct command *command, int socket, uint32_t id, pid_t *noted);

#endif
