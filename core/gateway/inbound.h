/* inbound.h - connections from the host to published ports.
 *
 * A socket belongs to the network namespace that it was made in, and the gateway can make none in the sandbox's. Init can
 * (core/factory.h): it is asked for one for each connection, and what it gives is connected here, to 127.0.0.1 and then
 * ::1, and relayed like any other. Only publish rows of the rules in force are served. */
#ifndef MOONBOX_GATEWAY_INBOUND_H
#define MOONBOX_GATEWAY_INBOUND_H

#include "../wire.h"
#include "decide.h"
#include "loop.h"
#include "publish.h"

#include <stdbool.h>

struct conn;
struct gateway;

struct listener {
    struct watch watch; /* first */
    struct gateway *gateway;
    struct published at; /* fd -1: no row publishes it any more */
    int row;             /* of the rules */
    bool paused;         /* not polled until a connection ends */
};

struct inbound {
    struct listener listeners[PUBLISH_MOST];
    size_t n, open, asked; /* listeners; connections; questions without an answer */
    int factory;           /* to init; -1 none */
    bool paused;           /* some listener is */
    struct watch answers;
    struct wire_reader reader;
};

/* Serves `ports`, whose descriptors it takes, with sockets of `factory`. 0, or -1 with errno. */
int inbound_start(struct gateway *gateway, const struct published_ports *ports, int factory);

/* Whether every publish row of rules that are to be put in force has its listener: nothing here can make one. 0, or -1 with
 * err set. */
int inbound_has(const struct gateway *gateway, const struct rules *rules, struct err *err);

/* New rules are in force: listeners that no row publishes any more are closed for good. */
void inbound_rules(struct gateway *gateway);

/* What the rules say of a connection that came in. */
struct decision inbound_decide(const struct conn *conn);

/* An event of the socket inside that is being connected. */
void inbound_ready(struct conn *conn, uint32_t events);

/* A connection has ended, whichever way it went: there is room for another. */
void inbound_ended(const struct conn *conn);

#endif
