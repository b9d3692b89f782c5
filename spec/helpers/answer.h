/* answer.h - how the helpers of the system specs speak: one "NAME ANSWER" a line, ANSWER an errno's name or "ok". */
#ifndef SPEC_ANSWER_H
#define SPEC_ANSWER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>

static inline const char *answer_text(long result)
{
    const char *name = result < 0 ? strerrorname_np(errno) : "ok";
    return name ? name : "EOTHER";
}

/* Call it right after what is judged: it reads errno. */
static inline void answer(const char *name, long result)
{
    printf("%s %s\n", name, answer_text(result));
    fflush(stdout);
}

#endif
