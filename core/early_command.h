/* early_command.h - the command of `moonbox exec` starts before Lua does, where nothing is left for Lua to decide.
 *
 * A head start (core/head_start) is a sandbox of the plan that the policy came to last time. While its warrant holds
 * (core/warrant) the policy comes to the same plan now, so the command is sent to it at once. One that ends well within
 * a moment is over without Lua. Everything else (a longer one, another end, a signal) goes on in Lua as ever, which
 * makes the plan itself and takes the sandbox, with the command in it, only when it is the one that it would make. */
#ifndef MOONBOX_EARLY_COMMAND_H
#define MOONBOX_EARLY_COMMAND_H

#include <stdbool.h>

/* After head_start_begin, with the same arguments. True: the command has ended, and the sandbox with it; *code is the
 * program's exit code. */
bool early_command(int argc, char **argv, int *code);

#endif
