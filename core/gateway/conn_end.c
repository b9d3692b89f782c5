#include "state.h"

#include "../util.h"
#include "inspect.h"

#include <stdlib.h>
#include <sys/socket.h>

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
    conn_forget(conn);
    conn->stage = CONN_DEAD;
    conn->next = gateway->dead;
    gateway->dead = conn;
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
