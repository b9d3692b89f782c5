/* limits.h - what a sandbox's connections may still take: of the sandbox's own limits and of their rows'. */
#ifndef MOONBOX_GATEWAY_LIMITS_H
#define MOONBOX_GATEWAY_LIMITS_H

#include "meter.h"
#include "rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct gateway;

struct row_meter {
    struct bucket up, down;
    struct window requests;
    uint64_t used; /* bytes both ways */
};

/* Makes the meters of rules that come into force in place of gateway->rules (NULL: the first ones). What has been used of
 * the sandbox's limits, and of rows that have the same word, targets and ports as before, stays used. False when there is
 * no memory; the old meters then stay. */
bool limits_install(struct gateway *gateway, const struct rules *rules);

/* Bytes that may pass now; 0: wait. `turn`: it has waited; while others wait for the same meter, nobody else gets any. */
size_t limits_allow(const struct conn *conn, bool up, bool turn);

/* Seconds after which asking again makes sense. */
double limits_wait(const struct conn *conn, bool up);

void limits_spend(const struct conn *conn, bool up, size_t bytes);

/* Whether the bytes of the connection's row are used up, all of them: no limits_allow will ever be more than 0. */
bool limits_used_up(const struct conn *conn);

#endif
