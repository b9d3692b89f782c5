/* init.h - process 1 of a sandbox: starts commands, reaps orphans, reports to the supervisor.
 *
 * It is as confined as the commands are (same ids, no capabilities, same filter) and only stronger in being
 * undumpable and process 1: no signal from inside ends it, nobody inside may trace it or read its memory or its
 * descriptors.  When the supervisor's end of the socket closes, it ends, and with it the pid namespace. */
#ifndef MOONBOX_INIT_H
#define MOONBOX_INIT_H

/* Takes the socket to the supervisor; the one to the gateway (core/factory.h), -1 where no port is published; and, where
 * commands have leaves (core/leaves), its own oom_score_adj (proc(5)), open for both, else -1: when everybody together runs
 * out of memory, commands go before init. */
_Noreturn void init_main(int socket, int factory, int score);

#endif
