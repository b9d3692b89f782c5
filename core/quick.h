/* quick.h - `moonbox exec ID -- COMMAND` without Lua: the one command whose price is paid for every step of a tenant's. */
#ifndef MOONBOX_QUICK_H
#define MOONBOX_QUICK_H

#include <stdbool.h>

/* Does it when the arguments are of that form, nothing needs a terminal and the sandbox's supervisor is there; *code is then
 * the exit code. False: nothing was done, and moonbox.main knows what to do or to say. */
bool quick_exec(int argc, char **argv, int *code);

#endif
