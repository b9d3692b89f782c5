#include "inbound.h"

#include "../util.h"
#include "buffers.h"
#include "state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Connections from the host at once; the backlogs hold what comes beyond them. */
enum { MOST_INBOUND = 1024 };

/* Questions that init may leave unanswered: fewer than its socket holds, so that asking never blocks (unix(7)). Fewer for new
 * connections than for those that are to be tried by the other loopback address. */
enum { MOST_ASKED = 200, MOST_ASKED_FIRST = 64 };

/* What the sandbox's own loopback is reached by, in this order. */
static const struct address loopbacks[] = {{4, {127, 0, 0, 1}}, {16, {[15] = 1}}};

static struct listener *listener_of(const struct conn *conn)
{
    return &conn->gateway->inbound.listeners[conn->published - 1];
}

/* ---- rules ---- */

static bool publishes(const struct row *row, const struct published *at)
{
    if (row->word != ROW_PUBLISH || row->targets[0].port != at->asked ||
        !address_equal(&row->targets[0].block, &at->on))
        return false;
    for (size_t i = 0; i < row->n_ports; i++)
        if (row->ports[i] == at->port)
            return true;
    return false;
}

static bool has_listener(const struct inbound *inbound, const struct row *row, uint16_t port)
{
    for (size_t i = 0; i < inbound->n; i++) {
        const struct published *at = &inbound->listeners[i].at;
        if (at->fd >= 0 && at->port == port && publishes(row, at))
            return true;
    }
    return false;
}

int inbound_has(const struct gateway *gateway, const struct rules *rules, struct err *err)
{
    for (size_t i = 0; i < rules->n_rows; i++)
        for (size_t p = 0; rules->rows[i].word == ROW_PUBLISH && p < rules->rows[i].n_ports; p++)
            if (!has_listener(&gateway->inbound, &rules->rows[i], rules->rows[i].ports[p]))
                return err_set(err, EOPNOTSUPP, "%s: port %u can't be published in a sandbox that runs; start another",
                               rules->rows[i].from, rules->rows[i].ports[p]);
    return 0;
}

void inbound_rules(struct gateway *gateway)
{
    const struct rules *rules = gateway->rules;
    for (size_t i = 0; i < gateway->inbound.n; i++) {
        struct listener *listener = &gateway->inbound.listeners[i];
        size_t row = 0;
        while (row < rules->n_rows && !publishes(&rules->rows[row], &listener->at))
            row++;
        listener->row = (int)row;
        if (row == rules->n_rows)
            util_close(&listener->at.fd);
    }
}

struct decision inbound_decide(const struct conn *conn)
{
    const struct rules *rules = conn->gateway->rules;
    const struct listener *listener = listener_of(conn);
    if (listener->at.fd < 0)
        return (struct decision){false, DECIDED_OTHERWISE, "no row publishes the port any more", rules->from};
    return (struct decision){true, listener->row, "a publish row has it", rules->rows[listener->row].from};
}

/* ---- a socket inside, and its connection ---- */

static void ask(struct conn *conn)
{
    const int32_t family = loopbacks[conn->tried].length == 4 ? AF_INET : AF_INET6;
    conn->stage = CONN_LOOKUP;
    if (conn->gateway->inbound.asked >= MOST_ASKED ||
        wire_send(conn->gateway->inbound.factory, WIRE_ASK_SOCKET, (uint32_t)conn->id, &family, sizeof family, NULL,
                  0) < 0) {
        conn_refuse(conn, REFUSE_UNREACHABLE, conn->rule, "the sandbox does not answer");
        return;
    }
    conn->gateway->inbound.asked++;
}

static void not_connected(struct conn *conn, int code)
{
    char reason[128];
    util_close(&conn->client.fd);
    if (code == ECONNREFUSED && ++conn->tried < ARRAY_LEN(loopbacks)) {
        ask(conn);
        return;
    }
    snprintf(reason, sizeof reason, "port %u of the sandbox: %s", conn->tuple.target_port, strerror(code));
    conn_refuse(conn, code == ECONNREFUSED ? REFUSE_REFUSED : REFUSE_UNREACHABLE, conn->rule, reason);
}

static void connect_inside(struct conn *conn, int fd)
{
    const int on = 1;
    struct sockaddr_storage to;
    socklen_t length = address_to_socket(&loopbacks[conn->tried], conn->tuple.target_port, &to);
    conn->client.fd = fd;
    conn->stage = CONN_DIAL;
    buffers_promise(conn->gateway, fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((connect(fd, (struct sockaddr *)&to, length) < 0 && errno != EINPROGRESS) ||
        loop_add(&conn->gateway->loop, fd, &conn->client.watch) < 0)
        not_connected(conn, errno);
}

void inbound_ready(struct conn *conn, uint32_t events)
{
    int code = 0;
    socklen_t length = sizeof code;
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    if (getsockopt(conn->client.fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
        code = errno;
    if (code)
        not_connected(conn, code);
    else
        relay_start(conn);
}

/* ---- what init says; hostile in principle, as a tenant is: a socket that it made can only lead into its own network ---- */

static struct conn *waiting_for(struct gateway *gateway, uint32_t id)
{
    struct conn *conn = gateway->conns;
    while (conn && !(conn->published && conn->stage == CONN_LOOKUP && (uint32_t)conn->id == id))
        conn = conn->next;
    return conn;
}

static bool is_stream_socket(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

static void resume(struct gateway *gateway)
{
    struct inbound *inbound = &gateway->inbound;
    if (!inbound->paused)
        return;
    inbound->paused = false;
    for (size_t i = 0; i < inbound->n; i++) {
        struct listener *listener = &inbound->listeners[i];
        if (listener->paused && listener->at.fd >= 0)
            loop_add_level(&gateway->loop, listener->at.fd, &listener->watch, EPOLLIN);
        listener->paused = false;
    }
}

static void take_answer(struct gateway *gateway)
{
    struct wire_reader *reader = &gateway->inbound.reader;
    struct conn *conn = waiting_for(gateway, reader->header.id);
    gateway->inbound.asked -= gateway->inbound.asked > 0;
    if (conn && reader->header.type == WIRE_SOCKET && is_stream_socket(reader->fd))
        connect_inside(conn, steal_fd(&reader->fd));
    else if (conn)
        conn_refuse(conn, REFUSE_UNREACHABLE, conn->rule, "the sandbox has no socket to spare");
    wire_reader_next(reader);
    if (gateway->inbound.asked < MOST_ASKED_FIRST)
        resume(gateway);
}

static void answers_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct gateway *gateway = (struct gateway *)((char *)watch - offsetof(struct gateway, inbound.answers));
    struct inbound *inbound = &gateway->inbound;
    int got = 0;
    while (inbound->factory >= 0 && (got = wire_read(inbound->factory, &inbound->reader)) > 0)
        take_answer(gateway);
    if (got < 0)
        util_close(&inbound->factory);
}

/* ---- the host's side ---- */

static void pause_listener(struct listener *listener)
{
    listener->paused = listener->gateway->inbound.paused = true;
    loop_remove(&listener->gateway->loop, listener->at.fd);
}

static void accepted(struct listener *listener, int fd, const struct sockaddr_storage *from)
{
    struct gateway *gateway = listener->gateway;
    const int on = 1;
    struct tuple tuple = {.target = loopbacks[0], .target_port = listener->at.port};
    address_from_socket(from, &tuple.source, &tuple.source_port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct conn *conn = conn_new(gateway, &tuple);
    if (!conn) {
        close(fd);
        return;
    }
    conn->published = (uint8_t)(listener - gateway->inbound.listeners + 1);
    conn->upstream.fd = fd;
    conn->row = listener->row;
    conn->rule = gateway->rules->rows[listener->row].from;
    gateway->inbound.open++;
    gateway->opened++;
    if (flows_ok(&gateway->flows))
        ask(conn);
    else
        conn_refuse(conn, REFUSE_DENIED, conn->rule, "the flow log is full or can't be written");
}

static void listener_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    enum { TURN = 64 };
    struct listener *listener = (struct listener *)watch;
    struct gateway *gateway = listener->gateway;
    for (int i = 0; i < TURN && listener->at.fd >= 0; i++) {
        struct sockaddr_storage from = {0};
        socklen_t length = sizeof from;
        if (gateway->inbound.open >= MOST_INBOUND || gateway->inbound.asked >= MOST_ASKED_FIRST ||
            gateway->n_conns >= gateway->most_conns) {
            pause_listener(listener);
            return;
        }
        int fd = accept4(listener->at.fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            accepted(listener, fd, &from);
            continue;
        }
        /* Level-triggered: a full table would be reported without end. */
        if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) && gateway->n_conns > 0)
            pause_listener(listener);
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

void inbound_ended(const struct conn *conn)
{
    conn->gateway->inbound.open -= conn->published > 0;
    resume(conn->gateway);
}

int inbound_start(struct gateway *gateway, const struct published_ports *ports, int factory)
{
    struct inbound *inbound = &gateway->inbound;
    inbound->n = ports->n;
    inbound->factory = factory;
    inbound->answers.ready = answers_ready;
    wire_reader_init(&inbound->reader);
    for (size_t i = 0; i < ports->n; i++)
        inbound->listeners[i] =
            (struct listener){.watch.ready = listener_ready, .gateway = gateway, .at = ports->ports[i]};
    inbound_rules(gateway);
    for (size_t i = 0; i < ports->n; i++)
        if (inbound->listeners[i].at.fd >= 0 &&
            loop_add_level(&gateway->loop, inbound->listeners[i].at.fd, &inbound->listeners[i].watch, EPOLLIN) < 0)
            return -1;
    return loop_add_level(&gateway->loop, factory, &inbound->answers, EPOLLIN);
}
