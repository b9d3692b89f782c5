/* rlimits.h - setrlimit(2) rows of a plan. */
#ifndef MOONBOX_RLIMITS_H
#define MOONBOX_RLIMITS_H

#include "err.h"
#include "plan.h"

/* The RLIMIT_* number of a name as in getrlimit(2), lower case ("nofile"), or -1. */
int rlimits_from_name(const char *name);

/* Applies every row to the calling process. A row above the hard limit that the caller already has becomes that
 * limit: it is a ceiling, and one that is lower than asked holds as well. */
int rlimits_apply(const struct rlimit_row *rows, size_t n, struct err *err);

/* Lets the calling process map at most `more` bytes beyond what it has mapped already. */
void rlimits_bound_memory(uint64_t more);

#endif
