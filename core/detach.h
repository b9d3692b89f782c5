/* detach.h - a program that goes on by itself: a supervisor that outlives the command that started it. */
#ifndef MOONBOX_DETACH_H
#define MOONBOX_DETACH_H

#include "err.h"

struct detach_request {
    const char *program; /* absolute path */
    char *const *argv;   /* NULL-terminated */
    int lock;            /* becomes its descriptor 3 */
    int log;             /* its stderr; stdin and stdout are /dev/null */
};

/* Starts it: own session, no child of the caller, `/` as directory, default signals, no descriptor but 0 to 4.
 * Descriptor 4 is for one message to the caller, whose other end is returned (the caller's), or -1 with err set. At
 * its end without a message the program has failed. */
int detach_start(const struct detach_request *request, struct err *err);

#endif
