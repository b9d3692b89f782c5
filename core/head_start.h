/* head_start.h - `moonbox exec` begins its sandbox before Lua has read the policy.
 *
 * What a policy came to last time is kept in the state directory.  The next time, a sandbox is launched from that
 * at once, and is built while Lua starts up, reads the policy, and makes the plan.  Only when that plan has the
 * same bytes is the sandbox taken; else it is ended, unused, and another is made.  So what is kept decides
 * nothing: a wrong or old copy costs time.  Nothing of a tenant runs before the sandbox is taken. */
#ifndef MOONBOX_HEAD_START_H
#define MOONBOX_HEAD_START_H

#include "keeper.h"
#include "sandbox.h"

#include <stdbool.h>

/* What belongs to a launch beside the plan, and must be the same as well. */
struct head_start_terms {
    int pin;          /* processors to stay on; 0 any */
    bool keeper;      /* control groups are to be removed by one */
    bool groups_late; /* struct launch_options */
};

/* Begins one when the arguments are those of `exec` with a fresh sandbox and something is kept for its policy.
 * Trouble is not told: the launch after it meets the same. */
void head_start_begin(int argc, char **argv);

/* Takes it. True: *sandbox, with `plan` as its plan, and *keeper are the caller's, who owns them from here on;
 * `name` (of 17 bytes) is that of its control groups. False: there is none for such a plan; one that was begun is
 * ended. */
bool head_start_take(const struct plan *plan, const struct head_start_terms *terms, struct sandbox *sandbox,
                     struct keeper *keeper, char *name);

/* Keeps the plan for the next time, where it is not what was begun with. Trouble is no error. */
void head_start_keep(const struct plan *plan, const struct head_start_terms *terms);

/* Ends one that was not taken, and waits for that. Before a fork that is to hold nothing of a sandbox, and at the
 * end. */
void head_start_drop(void);

#endif
