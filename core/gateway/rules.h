/* rules.h - the network part of a policy, compiled: who may be reached, and by which line of which file.
 *
 * One flat string of bytes, made from the plan's table by core/bind/rules.c, is what a plan carries and what a running
 * gateway is sent when its policy changes.  `moonbox why` asks the same code that the gateway runs. */
#ifndef MOONBOX_GATEWAY_RULES_H
#define MOONBOX_GATEWAY_RULES_H

#include "../err.h"
#include "address.h"
#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rules_mode { RULES_LIST, RULES_OPEN };
enum rules_dns { RULES_DNS_LAZY, RULES_DNS_VERIFY };
/* ROW_PUBLISH: its ports are the sandbox's, its one target the host's address and port. It decides about no connection that
 * goes out. */
enum row_word { ROW_ALLOW, ROW_DENY, ROW_ALLOW_INTERNAL, ROW_PUBLISH };
enum target_kind { TARGET_NAME, TARGET_BELOW, TARGET_BLOCK, TARGET_INTERNAL };

struct rate {
    double count, seconds; /* count 0: no limit */
};

struct target {
    enum target_kind kind;
    const char *name;     /* TARGET_NAME, TARGET_BELOW */
    struct address block; /* TARGET_BLOCK: its first `bits` bits */
    unsigned bits;
    uint16_t port; /* the target's own; 0: the row's ports */
};

struct row {
    enum row_word word;
    const char *from; /* "policies/codex.lua:18" */
    const char *why;  /* NULL when the row gives no reason */
    struct target *targets;
    size_t n_targets;
    uint16_t *ports; /* none: every port */
    size_t n_ports;
    struct rate requests; /* of this row alone, beside the sandbox's */
    double bandwidth;     /* bits per second each way; 0 no limit */
    uint64_t bytes;       /* both ways together, over the sandbox's life; 0 no limit */
    bool watch;           /* its flows are marked in the record */
};

struct static_host {
    const char *name;
    struct address address;
};

struct rules {
    enum rules_mode mode;
    enum rules_dns dns;
    bool otherwise_allow; /* public names and addresses that no row mentions; internal ones never */
    const char *from;     /* where what holds otherwise is written */
    struct rate requests;
    double bandwidth; /* bits per second each way; 0 no limit */
    struct row *rows;
    size_t n_rows;
    struct static_host *hosts; /* names that are not looked up */
    size_t n_hosts;
    struct address resolver; /* length 0: the host's own (resolv.conf) */
    uint16_t resolver_port;
    struct rules_index *index; /* of rules_index.h */
};

/* Row numbers of a decision that no row made. */
enum { DECIDED_OTHERWISE = -1, DECIDED_BUILT_IN = -2 };

struct decision {
    bool allow;
    int row;            /* index, or DECIDED_… */
    const char *reason; /* the row's why, or a built-in sentence; never NULL; lives as long as the rules */
    const char *from;   /* "FILE:LINE", or "built in" */
};

/* Decodes; the bytes may go afterwards. NULL with err set when they are no rules: every offset, count and enum is checked.
 * What comes back is one owner of all that it points to. */
struct rules *rules_decode(const void *bytes, size_t length, struct err *err);
void rules_free(struct rules *rules);

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
