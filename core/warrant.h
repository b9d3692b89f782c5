/* warrant.h - all that a kept plan rests on, as text: while that is the same, the policy comes to the same plan here.
 *
 * It says which program came to the plan, for which argument, which environment variables it read, the files that the
 * policy was read from (core/identity), where this host's links lead that the plan depends on, and where its control
 * groups are made.  Whether it still holds is found out by writing it again. */
#ifndef MOONBOX_WARRANT_H
#define MOONBOX_WARRANT_H

#include "plan.h"

/* The warrant of `plan`, to which the policy came that was asked for as `policy`: owned by the caller, of *length bytes.
 * `files` names the files of the policy: of each a line "IDENTITY PATH\n", or "absent PATH\n" for one that must not be
 * there. NULL when they are not as they say, or when something can't be put into a line. */
char *warrant_write(const struct plan *plan, const char *policy, const char *files, size_t files_length,
                    size_t *length);

/* Whether `text`, of `length` bytes, is what warrant_write would say of `plan` and `policy` now. */
bool warrant_holds(const struct plan *plan, const char *policy, const char *text, size_t length);

#endif
