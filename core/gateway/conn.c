#include "state.h"

#include "../util.h"
#include "inspect.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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

static size_t hash(const struct tuple *tuple)
{
    size_t value = tuple->source_port * 2654435761u ^ tuple->target_port * 40503u;
    for (size_t i = 0; i < tuple->target.length; i++)
        value = value * 31 + tuple->target.bytes[i];
    return value % CONN_HASH;
}

static bool same(const struct tuple *a, const struct tuple *b)
{
    return a->source_port == b->source_port && a->target_port == b->target_port &&
           address_equal(&a->target, &b->target) && address_equal(&a->source, &b->source);
}

struct conn *conn_waiting(struct gateway *gateway, const struct tuple *tuple)
{
    struct conn *conn = gateway->by_tuple[hash(tuple)];
    while (conn && !(conn->waiting && same(&conn->tuple, tuple)))
        conn = conn->same_hash;
    return conn;
}

bool conn_is_open(const struct gateway *gateway, const struct tuple *tuple)
{
    for (const struct conn *conn = gateway->by_tuple[hash(tuple)]; conn; conn = conn->same_hash)
        if ((conn->stage == CONN_WAIT || conn->stage == CONN_RELAY) && !conn->published && same(&conn->tuple, tuple))
            return true;
    return false;
}

void conn_waited(struct conn *conn)
{
    conn->gateway->n_waiting -= conn->waiting;
    conn->waiting = false;
}

static void unhash(struct conn *conn)
{
    struct conn **link = &conn->gateway->by_tuple[hash(&conn->tuple)];
    while (*link != conn)
        link = &(*link)->same_hash;
    *link = conn->same_hash;
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
    struct conn **slot = &gateway->by_tuple[hash(tuple)];
    conn->same_hash = *slot;
    conn->waiting = true;
    gateway->n_waiting++;
    *slot = conn;
    return conn;
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

static void close_side(struct side *side, bool reset)
{
    /* Sent bytes and FIN are thrown away and the peer sees a RST: socket(7), SO_LINGER. */
    const struct linger now = {1, 0};
    if (side->fd >= 0 && reset)
        setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    util_close(&side->fd);
}

/* Takes it out of everything; its memory stays until the batch of events is over. */
static void retire(struct conn *conn, bool reset)
{
    struct gateway *gateway = conn->gateway;
    close_side(&conn->client, reset);
    close_side(&conn->upstream, reset);
    relay_release(conn);
    conn_waited(conn);
    conn_unsaid(conn, false, false);
    unhash(conn);
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        gateway->conns = conn->next;
    if (conn->next)
        conn->next->previous = conn->previous;
    conn->stage = CONN_DEAD;
    conn->next = gateway->dead;
    gateway->dead = conn;
    gateway->n_conns--;
    inbound_ended(conn);
    if (gateway->full)
        arrive_listen(gateway);
    if (gateway->dns_full)
        answer_listen(gateway);
}

void conn_bury(struct gateway *gateway)
{
    struct conn **link = &gateway->dead;
    while (*link) {
        struct conn *conn = *link;
        /* A lookup that is under way, or the paced list, still points to it. */
        if (conn->paced || conn->looking_up) {
            link = &conn->next;
            continue;
        }
        *link = conn->next;
        free(conn->found);
        free(conn->sni);
        inspect_free(conn->inspect);
        free(conn);
    }
}

static void describe(const struct conn *conn, struct flow *flow)
{
    *flow = (struct flow){.event = "flow",
                          .id = conn->id,
                          .name = conn->name,
                          .sni = conn->sni,
                          .protocol = "tcp",
                          .address = conn->dialled,
                          .port = conn->tuple.target_port,
                          .rule = conn->rule};
    if (!conn->name)
        flow->address = conn->published ? conn->tuple.source : conn->tuple.target;
    flow->inbound = conn->published;
    flow->watch = conn->row >= 0 && conn->gateway->rules->rows[conn->row].watch;
}

static void count(const struct conn *conn, struct flow *flow)
{
    flow->counted = conn->stage == CONN_RELAY || conn->stage == CONN_WAIT;
    flow->up = conn->up.total;
    flow->down = conn->down.total;
    flow->seconds = conn->gateway->loop.now - conn->started;
}

static const char *const outcomes[] = {"denied", "refused", "unreachable", "timeout"};

void conn_refuse(struct conn *conn, enum refusal how, const char *rule, const char *reason)
{
    struct gateway *gateway = conn->gateway;
    struct flow flow;
    describe(conn, &flow);
    count(conn, &flow);
    flow.allow = how != REFUSE_DENIED;
    flow.rule = rule;
    flow.reason = reason;
    flow.outcome = outcomes[how];
    gateway->denied += how == REFUSE_DENIED;
    if (how == REFUSE_DENIED && !flow.counted) {
        flow.id = 0; /* equal ones are joined */
        /* A tenant who tries a thousand doors a second is one line, not a thousand. */
        if (!window_take(&gateway->refusals, gateway->loop.now))
            flow = (struct flow){.event = "flow", .rule = rule, .reason = reason, .outcome = flow.outcome};
    }
    flows_add(&gateway->flows, &flow, gateway->loop.now);
    if (conn->held)
        queue_verdict(gateway, conn->packet, true,
                      how == REFUSE_UNREACHABLE || how == REFUSE_TIMEOUT ? CAPTURE_MARK_UNREACHABLE
                                                                         : CAPTURE_MARK_REFUSED);
    retire(conn, true);
}

void conn_warn(struct conn *conn, const char *rule, const char *reason)
{
    struct gateway *gateway = conn->gateway;
    struct flow flow;
    describe(conn, &flow);
    flow.event = "warning";
    flow.allow = true;
    flow.rule = rule;
    flow.reason = reason;
    flows_add(&gateway->flows, &flow, gateway->loop.now);
}

void conn_end(struct conn *conn, const char *outcome, const char *reason, bool reset)
{
    struct gateway *gateway = conn->gateway;
    struct flow flow;
    describe(conn, &flow);
    flow.allow = true;
    flow.reason = reason;
    flow.outcome = outcome;
    count(conn, &flow);
    flows_add(&gateway->flows, &flow, gateway->loop.now);
    retire(conn, reset);
}

static void expire(struct conn *conn)
{
    double since = conn->stage == CONN_RELAY ? conn->unsaid_since : conn->started;
    if (since <= 0 || since + CONN_PATIENCE > conn->gateway->loop.now)
        return;
    if (conn->stage == CONN_WAIT)
        conn_end(conn, "gone", "the program did not wait", true);
    else if (conn->stage == CONN_RELAY)
        conn_refuse(conn, REFUSE_TIMEOUT, conn->rule,
                    "a ClientHello or an HTTP head (a line) was begun and not ended in time");
    else
        conn_refuse(conn, REFUSE_TIMEOUT, conn->rule, "no answer in time");
}

int conn_expire(struct gateway *gateway)
{
    const double period = 0.25;
    if (gateway->n_waiting == 0 && gateway->n_unsaid == 0)
        return -1;
    if (gateway->loop.now < gateway->expire_at)
        return (int)((gateway->expire_at - gateway->loop.now) * 1000) + 1;
    gateway->expire_at = gateway->loop.now + period;
    for (struct conn *conn = gateway->conns, *after; conn; conn = after) {
        after = conn->next;
        expire(conn);
    }
    return (int)(period * 1000) + 1;
}
