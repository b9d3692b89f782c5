/* caps.h - the five capability sets of capabilities(7): permitted, effective, inheritable, bounding, ambient. */
#ifndef MOONBOX_CAPS_H
#define MOONBOX_CAPS_H

#include "err.h"

#include <stdint.h>

/* The number of a capability from its policy name ("net_bind_service"), or -1. */
int caps_from_name(const char *name);

/* Leaves exactly `keep` (bit n = capability n) in all five sets of the calling thread and locks the securebits, so
 * that nothing can be gained back: not by a setuid file, not by being uid 0, not by raising ambient ones.
 * Needs CAP_SETPCAP in the caller's user namespace; must be called before no_new_privs and seccomp. */
int caps_keep_only(uint64_t keep, struct err *err);

#endif
