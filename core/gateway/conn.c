#include "state.h"

#include "decide.h"
#include "dial.h"

#include <stdlib.h>

static void side_ready(struct watch *watch, uint32_t events)
{
    struct side *side = (struct side *)watch;
    struct conn *conn = side->conn;
    if (conn->stage == CONN_DIAL && conn->published && side == &conn->client)
        inbound_ready(conn, events);
    else if (conn->stage == CONN_DIAL && !conn->published && side == &conn->upstream)
        dial_ready(conn, events);
    else if (conn->stage == CONN_RELAY || conn->stage == CONN_WAIT)
        relay_events(side, events);
}

static size_t slot_of(const struct tuple *tuple)
{
    return tuple_hash(tuple) % CONN_HASH;
}

struct conn *conn_waiting(struct gateway *gateway, const struct tuple *tuple)
{
    struct conn *conn = gateway->by_tuple[slot_of(tuple)];
    while (conn && !(conn->waiting && tuple_equal(&conn->tuple, tuple)))
        conn = conn->same_hash;
    return conn;
}

bool conn_is_open(const struct gateway *gateway, const struct tuple *tuple)
{
    for (const struct conn *conn = gateway->by_tuple[slot_of(tuple)]; conn; conn = conn->same_hash)
        if ((conn->stage == CONN_WAIT || conn->stage == CONN_RELAY) && !conn->published &&
            tuple_equal(&conn->tuple, tuple))
            return true;
    return false;
}

void conn_waited(struct conn *conn)
{
    conn->gateway->n_waiting -= conn->waiting;
    conn->waiting = false;
}

static void side_init(struct side *side, struct conn *conn)
{
    side->watch.ready = side_ready;
    side->conn = conn;
    side->fd = -1;
}

struct conn *conn_new(struct gateway *gateway, const struct tuple *tuple)
{
    struct conn *conn = gateway->n_conns < gateway->most_conns ? calloc(1, sizeof *conn) : NULL;
    if (!conn)
        return NULL;
    conn->gateway = gateway;
    conn->stage = CONN_LOOKUP;
    conn->id = ++gateway->next_id;
    conn->started = gateway->loop.now;
    conn->tuple = *tuple;
    conn->row = DECIDED_BUILT_IN;
    side_init(&conn->client, conn);
    side_init(&conn->upstream, conn);
    conn->next = gateway->conns;
    if (conn->next)
        conn->next->previous = conn;
    gateway->conns = conn;
    gateway->n_conns++;
    struct conn **slot = &gateway->by_tuple[slot_of(tuple)];
    conn->same_hash = *slot;
    conn->waiting = true;
    gateway->n_waiting++;
    *slot = conn;
    return conn;
}

void conn_forget(struct conn *conn)
{
    struct gateway *gateway = conn->gateway;
    struct conn **link = &gateway->by_tuple[slot_of(&conn->tuple)];
    while (*link != conn)
        link = &(*link)->same_hash;
    *link = conn->same_hash;
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        gateway->conns = conn->next;
    if (conn->next)
        conn->next->previous = conn->previous;
    gateway->n_conns--;
}

void conn_unsaid(struct conn *conn, bool held, bool moved)
{
    bool was = conn->unsaid_since > 0;
    conn->gateway->n_unsaid += (size_t)held - (size_t)was;
    if (!held)
        conn->unsaid_since = 0;
    else if (!was || moved)
        conn->unsaid_since = conn->gateway->loop.now;
}
