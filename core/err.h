/* err.h - one error, said once, with the context that each caller knows.
 *
 * Every function that can fail takes a `struct err *` as its last argument and returns a negative number when it
 * is set; success leaves it alone.  The innermost function names what failed, callers put where in front:
 * "mount /workspace: overlay: No space left on device". */
#ifndef MOONBOX_ERR_H
#define MOONBOX_ERR_H

#include <stdarg.h>

enum { ERR_TEXT_SIZE = 512 };

struct err {
    int code;                 /* an errno value, or 0 when no errno describes it */
    char text[ERR_TEXT_SIZE]; /* one sentence without a final stop; always terminated */
};

/* Sets the error to a formatted text. Returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Sets the error from errno: the text gets ": " and strerror(errno), and for EMFILE where its limit is set.
 * Returns -1. */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<context>: " in front of the text. Long texts lose their end, never their start. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The symbolic name of an errno value ("EACCES"), "EOTHER" for one without a name. Never NULL. */
const char *err_name(int code);

#endif
