/* head_start.h - `moonbox exec` begins its sandbox before Lua has read the policy.
 *
 * What a policy came to last time is kept in the state directory.  The next time, a sandbox is launched from that
 * at once, and is built while Lua starts up, reads the policy, and makes the plan.  Only when that plan has the
 * same bytes is the sandbox taken; else it is ended, unused, and another is made.  So what is kept decides
 * nothing: a wrong or old copy costs time.  Nothing of a tenant runs before the sandbox is taken, but for a command that
 * core/early_command has started, and its sandbox is taken or the run fails. */
#ifndef MOONBOX_HEAD_START_H
#define MOONBOX_HEAD_START_H

#include "keeper.h"
#include "sandbox.h"

#include <stdbool.h>
#include <stddef.h>

/* What belongs to a launch beside the plan, and must be the same as well. */
struct head_start_terms {
    int pin;          /* processors to stay on; 0 any */
    bool keeper;      /* control groups are to be removed by one */
    bool groups_late; /* struct launch_options */
};

/* Begins one when the arguments are those of `exec` with a fresh sandbox and something is kept for its policy.
 * Trouble is not told: the launch after it meets the same. */
void head_start_begin(int argc, char **argv);

/* One that was begun and not taken, borrowed. */
struct head_start_view {
    struct sandbox *sandbox;
    const char *policy;  /* that was asked for; "" when none was named */
    const char *warrant; /* core/warrant, of `length` bytes; nothing is promised about them */
    size_t length;
};

/* False when there is none. */
bool head_start_look(struct head_start_view *view);

/* Notes that command `id` was started in it at `began`, monotonic seconds. */
void head_start_started(uint32_t id, double began);

struct head_start_taken {
    char name[17];    /* of its control groups */
    uint32_t command; /* that runs in it already, since `began`; 0 none */
    double began;
};

/* Takes it. 1: *sandbox, with `plan` as its plan, and *keeper are the caller's, who owns them from here on. 0: there is
 * none for such a plan; one that was begun is ended. -1: it is none for such a plan, and a command ran in it, which is
 * ended with it: what was kept is not to be trusted, and is removed. */
int head_start_take(const struct plan *plan, const struct head_start_terms *terms, struct sandbox *sandbox,
                    struct keeper *keeper, struct head_start_taken *taken);

/* Keeps the plan for the next time, where it is not what was begun with. `files` as of warrant_write, of `length` bytes:
 * 0 when nothing is known of them, so that no command starts early. Trouble is no error. */
void head_start_keep(const struct plan *plan, const struct head_start_terms *terms, const char *files, size_t length);

/* Ends one that was not taken, and waits for that. Before a fork that is to hold nothing of a sandbox, and at the
 * end. */
void head_start_drop(void);

/* The same, of one in which a command ran to its end; -1 when something of it can't be removed. */
int head_start_end(struct err *err);

#endif
