/* decide.h - what the rules of a network say about one connection.
 *
 * `moonbox why` asks the same code that the gateway runs. */
#ifndef MOONBOX_GATEWAY_DECIDE_H
#define MOONBOX_GATEWAY_DECIDE_H

#include "rules.h"

/* Row numbers of a decision that no row made. */
enum { DECIDED_OTHERWISE = -1, DECIDED_BUILT_IN = -2 };

struct decision {
    bool allow;
    int row;            /* index, or DECIDED_… */
    const char *reason; /* the row's why, or a built-in sentence; never NULL; lives as long as the rules */
    const char *from;   /* "FILE:LINE", or "built in" */
};

/* Decides about a connection. `name` is canonical, or NULL for a connection to a literal address. `address` is NULL
 * while the name has not been looked up yet: rows about addresses are then left out, and an "allow" has to be asked again
 * with the address that will be dialled. A name with a static host is judged by its address without that.
 *
 * Rows are read top to bottom and the first whose target and port match decides. Rows about blocks: deny matches a
 * literal address and what a name leads to, also inside of NAT64 and the like; allow matches literal addresses only.
 * Without a row it is `otherwise`, or yes in open mode, but never for names that no DNS is asked for (a single label,
 * localhost, RFC 6761, 6762, 7686, 8375).
 *
 * Internal addresses (address_internal) are refused unless an allow_internal row has the address and port, and no deny
 * row about the name or a block comes first; `deny "internal"` only lends its reason. A name has to be allowed besides,
 * or to have that address as its static host. */
struct decision rules_decide(const struct rules *rules, const char *name, const struct address *address, uint16_t port);

/* Whether DNS answers the name: on some port, rules_decide allows it without an address. */
bool rules_answers(const struct rules *rules, const char *name);

/* The static address of a canonical name, or NULL. */
const struct address *rules_host(const struct rules *rules, const char *name);

#endif
