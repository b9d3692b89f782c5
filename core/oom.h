/* oom.h - who was killed for want of memory, as the kernel's log tells it (mm/oom_kill.c). */
#ifndef MOONBOX_OOM_H
#define MOONBOX_OOM_H

#include <stdint.h>

struct oom {
    unsigned killed;
    uint64_t bytes; /* resident memory of the largest of them */
    char name[16];  /* its name, as the tenant chose it */
};

/* Looks for kills in the control group whose path holds `group`, a unique name. 0, or -1 where the log can't be read or
 * says nothing of it: it is often root's alone (dmesg_restrict), and old lines are lost. */
int oom_find(const char *group, struct oom *oom);

#endif
