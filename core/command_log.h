/* command_log.h - what the commands of a sandbox by id wrote, in its folder, for `moonbox logs`.
 *
 * Who started a command carries its streams (core/control), and so keeps the log of it as well: the supervisor reads none
 * of that.  A folder has COMMAND_LOG_SLOTS places, used in turn, each of a head and, for what does not fit there, two
 * further files that are overwritten in turn, so that the end of a long output is there as well while it grows, and after a
 * kill.  All together are at most COMMAND_LOG_SLOTS * (HEAD + 2 * TAIL) bytes, and a little for the last line of each.
 *
 * A file is a sequence of records: a line "KIND MARK NUMBER SECONDS LENGTH", LENGTH bytes, a newline.  KIND is C (the
 * command's number; its arguments, NUL-separated), 1 or 2 (the stream; NUMBER: how many bytes of output came before), E (all
 * bytes of output; "CODE SIGNAL OVERRAN SENTENCE").  MARK is 64 random bits, chosen when the command has been sent and never
 * told: what lies behind the last record is older, and nothing that it was made to hold can pass for a record. */
#ifndef MOONBOX_COMMAND_LOG_H
#define MOONBOX_COMMAND_LOG_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum { COMMAND_LOG_SLOTS = 256, COMMAND_LOG_HEAD = 192 << 10, COMMAND_LOG_TAIL = 32 << 10 };

struct command_log;

/* Begins the log of a command in `folder`, where a file `count` of eight bytes is; a place whose command still runs is passed
 * over. NULL with err set. Borrows its arguments. */
struct command_log *command_log_open(const char *folder, const char *const *argv, struct err *err);

/* Adds output of stream 1 or 2. A command does not fail for want of room: what is not there counts as left out. NULL is
 * fine. */
void command_log_output(struct command_log *log, int stream, const char *bytes, size_t length);

struct command_log_end {
    int code, signal; /* 0 none */
    bool overran;
    const char *sentence; /* "" none */
};

/* Writes how it ended. NULL is fine. */
void command_log_end(struct command_log *log, const struct command_log_end *end);

/* Lets go of it; a log without an end belongs to a command that nobody waited for. NULL is fine. */
void command_log_close(struct command_log *log);

#endif
