#include "failpoint.h"

#ifdef MOONBOX_FAILPOINTS

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read once: a sandbox's child wipes its environment on its way. */
static const char *choice(void)
{
    static char chosen[256];
    static int have;
    const char *set = have ? NULL : getenv("MOONBOX_FAIL");
    if (set)
        snprintf(chosen, sizeof chosen, "%s", set);
    have = 1;
    return chosen;
}

int failpoint(const char *part, const char *step, struct err *err)
{
    char point[200];
    const char *chosen = choice();
    size_t length = (size_t)snprintf(point, sizeof point, "%s:%s=", part, step);
    if (strncmp(chosen, point, length) != 0)
        return 0;
    const char *action = chosen + length;
    /* Not by signals: process 1 of a pid namespace can't kill or stop itself (pid_namespaces(7)). */
    if (strcmp(action, "crash") == 0)
        _exit(137);
    while (strcmp(action, "stop") == 0)
        pause();
    for (int code = 1; code < 134; code++)
        if (strcmp(err_name(code), action) == 0) {
            errno = code;
            return err_sys(err, "failpoint %s:%s", part, step);
        }
    return 0;
}

#else

extern int failpoint_absent; /* C has no empty files */

#endif
