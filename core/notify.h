/* notify.h - starts a command of the operator's and does not wait for it. */
#ifndef MOONBOX_NOTIFY_H
#define MOONBOX_NOTIFY_H

#include "err.h"

#include <stddef.h>

enum { NOTIFY_MAX_TEXT = 32768, NOTIFY_SECONDS = 60 };

/* Starts argv (NULL-terminated; the program by its absolute path) on the host, with the caller's environment, `text` as
 * its input and its output dropped. It is nobody's child, holds nothing of ours, and is ended after NOTIFY_SECONDS.
 * 0, or -1 when it can't be executed or the text is longer than NOTIFY_MAX_TEXT bytes. */
int notify_start(const char *const *argv, const char *text, size_t length, struct err *err);

#endif
