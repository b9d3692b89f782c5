/* probe.h - what this host allows, found by doing it and never by version.
 *
 * Each probe runs in a process of its own that ends after at most PROBE_SECONDS, whatever the host does, and
 * leaves nothing behind. Facts are plain: what follows from them, and how it is said, is decided in Lua
 * (moonbox.doctor). */
#ifndef MOONBOX_PROBE_H
#define MOONBOX_PROBE_H

#include <stdbool.h>
#include <stddef.h>

enum { PROBE_SECONDS = 3, PROBE_DETAIL = 256 };

struct probe_fact {
    bool ok;                   /* it worked */
    int error;                 /* errno of the step that failed; 0 where none says it; ETIME when it took too long */
    char detail[PROBE_DETAIL]; /* which step failed, or what was found */
};

/* The name of probe `index`, or NULL past the last. */
const char *probe_name(size_t index);

/* Runs probe `index`. `state` is the folder that will hold moonbox's files, or any folder on its filesystem:
 * what depends on a filesystem is tried in a new folder there. Never fails: what can't be tried is a fact
 * that says so. */
void probe_run(size_t index, const char *state, struct probe_fact *fact);

#endif
