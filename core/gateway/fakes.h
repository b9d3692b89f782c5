/* fakes.h - the synthetic addresses that stand for names inside a sandbox (198.18.0.0/15, RFC 2544).
 *
 * A name keeps its address for the sandbox's life, because programs cache what they were told for ever; no address is
 * used twice. */
#ifndef MOONBOX_GATEWAY_FAKES_H
#define MOONBOX_GATEWAY_FAKES_H

#include "address.h"
#include "name.h"

#include <stddef.h>

enum { FAKES_MOST = 131070 };

struct fakes {
    char **names; /* by number - 1; owned */
    size_t n, room;
    unsigned *slots; /* open addressing: number of a name, 0 empty */
    size_t n_slots;
};

/* The address of a canonical name; false when it has none yet and no more can be given. */
bool fakes_address(struct fakes *fakes, const char *name, struct address *address);

/* Whether the name has an address already. */
bool fakes_known(const struct fakes *fakes, const char *name);

/* Whether an address is of the block at all, and the name that it stands for (borrowed; NULL none). */
bool fakes_is(const struct address *address);
const char *fakes_name(const struct fakes *fakes, const struct address *address);

#endif
