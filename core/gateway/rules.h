/* rules.h - the network part of a policy, compiled: who may be reached, and by which line of which file.
 *
 * One flat string of bytes, made from the plan's table by core/bind/rules.c, is what a plan carries and what a running
 * gateway is sent when its policy changes. */
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

/* Decodes; the bytes may go afterwards. NULL with err set when they are no rules: every offset, count and enum is checked.
 * What comes back is one owner of all that it points to. */
struct rules *rules_decode(const void *bytes, size_t length, struct err *err);
void rules_free(struct rules *rules);

#endif
