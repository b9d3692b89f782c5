/* failpoint.h - makes a step fail, in builds made for that (-DMOONBOX_FAILPOINTS); in all others there is nothing of it.
 *
 * MOONBOX_FAIL="PART:STEP=ACTION" chooses one point: `crash` (it ends at once), `stop` (it waits for ever), or the name of
 * an error such as ENOSPC, which the step then returns. */
#ifndef MOONBOX_FAILPOINT_H
#define MOONBOX_FAILPOINT_H

#include "err.h"

#ifdef MOONBOX_FAILPOINTS
/* 0, or -1 with err set when this is the chosen point and its action an error. */
int failpoint(const char *part, const char *step, struct err *err);
#else
static inline int failpoint(const char *part, const char *step, struct err *err)
{
    (void)part, (void)step, (void)err;
    return 0;
}
#endif

#endif
