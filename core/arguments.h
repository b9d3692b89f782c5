/* arguments.h - the memory in which the kernel put this process's command line and environment. */
#ifndef MOONBOX_ARGUMENTS_H
#define MOONBOX_ARGUMENTS_H

/* Notes that memory, from main's own arguments and before anything changes the environment. */
void arguments_note(int argc, char **argv);

/* Finds that memory, unless it was noted (proc(5), fields 48 to 51 of /proc/self/stat). Call once before children
 * are made; without it arguments_wipe does nothing. */
void arguments_find(void);

/* Overwrites it in the calling process: /proc/PID/cmdline and environ then show nothing of the supervisor's. The
 * process must not use argv or environ afterwards. */
void arguments_wipe(void);

#endif
