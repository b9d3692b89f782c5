/* affinity.h - a CPU limit for hosts that have no cpu control group to offer: a sandbox is pinned to as many
 * processors as it may use, and loses sched_setaffinity(2), with which it could leave them again. */
#ifndef MOONBOX_AFFINITY_H
#define MOONBOX_AFFINITY_H

#include "err.h"

#include <sched.h>

/* Pins the calling process to `processors` of those it may use now (all, when there are no more), beginning at one
 * that depends on `spread`, so that sandboxes do not all share the first ones. */
int affinity_pin(int processors, unsigned spread, struct err *err);

/* Denies sched_setaffinity with EPERM from here on. Needs no_new_privs; call it beside seccomp_install. */
int affinity_lock(struct err *err);

#endif
