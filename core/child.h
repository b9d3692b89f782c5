/* child.h - what happens between clone3(2) and the first command: the child's steps, in order, as a table.
 *
 * Runs in a copy of the supervisor's memory with new user, mount, pid, ipc and uts namespaces, and a network namespace
 * where there is a gateway; else it has that made beside itself (core/netns_beside).  Only C runs here.  Each step has a
 * name; the first failure is sent to the supervisor with it, and the child ends.  When all have passed, the process is
 * confined exactly as every command will be, and becomes init. */
#ifndef MOONBOX_CHILD_H
#define MOONBOX_CHILD_H

#include "idmap.h"
#include "plan.h"

#include <stdbool.h>

struct child_request {
    const struct plan *plan;
    const struct idmap *map;
    int socket; /* to the supervisor, by the wire protocol */
    int go;     /* eventfd(2): readable when the id maps are written */
    int *grants;
    const char *storage_path; /* NULL none; must be the directory that `storage` refers to */
    int storage;
    int disk; /* a detached mount that is the writable filesystem instead; -1 none */
    pid_t supervisor;
    int pin;     /* processors to stay on; 0 any */
    bool leaves; /* the commands get control groups of their own (core/leaves) */
    int gateway; /* to the gateway, which is handed the network; -1: there is none to reach */
};

_Noreturn void child_main(const struct child_request *request);

#endif
