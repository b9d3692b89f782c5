/* inside.h - what init sees of its sandbox in its own /proc, for hosts without control groups. */
#ifndef MOONBOX_INSIDE_H
#define MOONBOX_INSIDE_H

#include "wire.h"

/* Sums over all processes but init. Memory is the proportional set size where it may be read (proc(5),
 * smaps_rollup), else the resident size, so a doubt counts against the sandbox,
 * and what its tmpfs hold, of which the first full one is named. CPU time is that of the living and of
 * all that init has waited for. */
void inside_measure(struct wire_usage *usage);

#endif
