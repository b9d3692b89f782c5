/* dial.c - from "who is meant" to a connection with the far end, or a refusal.
 *
 * One lookup for each connection, every address in its answer judged, and the judged address dialled: what is checked
 * is what is used, whatever the name says a moment later. */
#include "state.h"

#include "../util.h"
#include "buffers.h"
#include "decide.h"
#include "dial.h"
#include "own.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void try_next(struct conn *conn, int last_error);

static bool refused_by_hook(struct conn *conn, const struct address *address)
{
    struct gateway *gateway = conn->gateway;
    char text[ADDRESS_TEXT], reason[HOOK_REASON];
    if (!gateway->hook)
        return false;
    address_format(address, text);
    const struct hook_flow flow = {.name = conn->name,
                                   .address = text,
                                   .port = conn->tuple.target_port,
                                   .rule = conn->rule,
                                   .connections = gateway->opened,
                                   .denied = gateway->denied,
                                   .up = gateway->bytes_up,
                                   .down = gateway->bytes_down};
    enum hook_verdict verdict = gateway->hook->connect(gateway->hook->context, &flow, reason);
    if (verdict == HOOK_DENY)
        conn_refuse(conn, REFUSE_DENIED, gateway->hook->from, reason);
    if (verdict == HOOK_WARN)
        conn_warn(conn, gateway->hook->from, reason);
    return verdict == HOOK_DENY;
}

static bool opens_internal(const struct conn *conn, const struct decision *decision)
{
    return decision->row >= 0 && conn->gateway->rules->rows[decision->row].word == ROW_ALLOW_INTERNAL;
}

/* Many connections of one turn of the loop go to one place: the host is asked once in each. */
static bool is_own(struct gateway *gateway, const struct address *address)
{
    if (gateway->asked.at != gateway->loop.now || !address_equal(&gateway->asked.address, address)) {
        gateway->asked.own = own_address(gateway->own, address);
        gateway->asked.address = *address;
        gateway->asked.at = gateway->loop.now;
    }
    return gateway->asked.own;
}

/* An IPv4 address in an IPv6 one counts as well: a translator on the way (NAT64, 6to4) would bring the connection back. */
static bool leads_home(struct gateway *gateway, const struct address *address)
{
    struct address inner;
    return is_own(gateway, address) || (address_inner(address, &inner) && is_own(gateway, &inner));
}

/* Whether the address may be dialled; refuses the connection when not. */
static bool judge_address(struct conn *conn, const struct address *address)
{
    struct decision decision = rules_decide(conn->gateway->rules, conn->name, address, conn->tuple.target_port);
    bool own = decision.allow && !opens_internal(conn, &decision) && leads_home(conn->gateway, address);
    if (decision.allow && !own) {
        conn->row = decision.row;
        conn->rule = decision.from;
        return true;
    }
    conn->dialled = *address;
    if (own)
        conn_refuse(conn, REFUSE_DENIED, "built in", "the address is this machine's own");
    else
        conn_refuse(conn, REFUSE_DENIED, decision.from, decision.reason);
    return false;
}

static bool within_row(struct conn *conn)
{
    struct gateway *gateway = conn->gateway;
    if (conn->row < 0)
        return true;
    const struct row *row = &gateway->rules->rows[conn->row];
    struct row_meter *meter = &gateway->row_meters[conn->row];
    if (row->bytes && meter->used >= row->bytes) {
        conn_refuse(conn, REFUSE_DENIED, row->from, "the row's bytes are used up");
        return false;
    }
    if (window_take(&meter->requests, gateway->loop.now))
        return true;
    conn_refuse(conn, REFUSE_DENIED, row->from, "more connections than the row's requests allow");
    return false;
}

/* All of an answer is judged before any of it is dialled: a bad address among good ones is a name that lies. */
static void found(struct conn *conn)
{
    for (size_t i = 0; i < conn->found->n; i++)
        if (!judge_address(conn, &conn->found->addresses[i]))
            return;
    if (!within_row(conn) || refused_by_hook(conn, &conn->found->addresses[0]))
        return;
    conn->gateway->opened++;
    conn->stage = CONN_DIAL;
    conn->tried = 0;
    try_next(conn, EHOSTUNREACH);
}

static void looked_up(void *context, const struct resolve_answer *answer)
{
    struct conn *conn = context;
    conn->looking_up = false;
    if (conn->stage != CONN_LOOKUP)
        return;
    if (answer->status != RESOLVE_OK) {
        conn_refuse(conn, REFUSE_UNREACHABLE, conn->rule, answer->why);
        return;
    }
    *conn->found = *answer;
    found(conn);
}

static const char *too_early(struct gateway *gateway)
{
    if (!flows_ok(&gateway->flows))
        return "the flow log is full or can't be written";
    if (!window_take(&gateway->requests, gateway->loop.now))
        return "more connections than `requests` allows";
    return NULL;
}

/* Which name a synthetic address stands for; a literal address is its own. False when it was refused. */
static bool identify(struct conn *conn)
{
    if (!fakes_is(&conn->tuple.target))
        return true;
    conn->name = fakes_name(&conn->gateway->fakes, &conn->tuple.target);
    if (conn->name)
        return true;
    conn_refuse(conn, REFUSE_DENIED, "built in", "no name was given this synthetic address");
    return false;
}

void dial_start(struct conn *conn)
{
    struct gateway *gateway = conn->gateway;
    const char *reason = too_early(gateway);
    if (!identify(conn))
        return;
    if (reason) {
        conn_refuse(conn, REFUSE_DENIED, gateway->rules->from, reason);
        return;
    }
    struct decision decision =
        rules_decide(gateway->rules, conn->name, conn->name ? NULL : &conn->tuple.target, conn->tuple.target_port);
    conn->rule = decision.from;
    conn->row = decision.row;
    if (!decision.allow) {
        conn_refuse(conn, REFUSE_DENIED, decision.from, decision.reason);
        return;
    }
    conn->found = calloc(1, sizeof *conn->found);
    if (!conn->found) {
        conn_refuse(conn, REFUSE_UNREACHABLE, conn->rule, "out of memory");
        return;
    }
    const struct address *fixed = conn->name ? rules_host(gateway->rules, conn->name) : &conn->tuple.target;
    if (fixed) {
        conn->found->addresses[conn->found->n++] = *fixed;
        found(conn);
        return;
    }
    conn->looking_up = true;
    resolve_name(gateway->resolve, conn->name, looked_up, conn);
}

static int open_socket(struct conn *conn, const struct address *address)
{
    const int on = 1;
    struct sockaddr_storage to;
    socklen_t length = address_to_socket(address, conn->tuple.target_port, &to);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    buffers_promise(conn->gateway, fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* What completes the handshake goes with the client's first bytes, which most send at once: see begin(). On a socket
     * that connects, that is what the option means to Linux. */
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on); /* urgent bytes are bytes like others here */
    /* A far end that is gone without a word is noticed after the host's time for that (tcp(7), tcp_keepalive_time). */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, length) == 0 || errno == EINPROGRESS)
        return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

static void give_up(struct conn *conn, int code)
{
    char reason[128];
    if (code == EADDRNOTAVAIL)
        snprintf(reason, sizeof reason, "no port of this machine is free for it (net.ipv4.ip_local_port_range); wait");
    else
        snprintf(reason, sizeof reason, "connect: %s", strerror(code));
    bool refused = code == ECONNREFUSED || code == ECONNRESET;
    conn_refuse(conn, refused ? REFUSE_REFUSED : REFUSE_UNREACHABLE, conn->rule, reason);
}

static void try_next(struct conn *conn, int last_error)
{
    util_close(&conn->upstream.fd);
    while (conn->tried < conn->found->n) {
        conn->dialled = conn->found->addresses[conn->tried++];
        conn->upstream.fd = open_socket(conn, &conn->dialled);
        if (conn->upstream.fd >= 0 && loop_add(&conn->gateway->loop, conn->upstream.fd, &conn->upstream.watch) == 0)
            return;
        last_error = errno;
        util_close(&conn->upstream.fd);
    }
    give_up(conn, last_error);
}

/* A client that waits for the far end to speak has said nothing to send with the last acknowledgement of the handshake; or
 * what it said is held. So it is sent by itself (tcp(7), TCP_QUICKACK). */
static void begin(struct conn *conn)
{
    const int on = 1;
    relay_start(conn);
    if (conn->stage == CONN_RELAY && (conn->up.total == 0 || conn->unsaid_since > 0))
        setsockopt(conn->upstream.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* The client hears of the connection only now: its connect(2) tells what ours did. */
static void connected(struct conn *conn)
{
    struct gateway *gateway = conn->gateway;
    free(steal_ptr(&conn->found));
    conn->upstream.writable = true;
    if (conn->held) {
        conn->held = false;
        conn->stage = CONN_WAIT;
        queue_verdict(gateway, conn->packet, true, 0);
        return;
    }
    begin(conn);
}

void dial_ready(struct conn *conn, uint32_t events)
{
    int code = 0;
    socklen_t length = sizeof code;
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    /* Nothing has been read yet, so the error is connect's own. */
    if (events & (EPOLLERR | EPOLLHUP) && getsockopt(conn->upstream.fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
        code = errno;
    if (code) {
        try_next(conn, code);
        return;
    }
    connected(conn);
    if (conn->stage == CONN_WAIT || conn->stage == CONN_RELAY)
        relay_events(&conn->upstream, events & ~(uint32_t)EPOLLOUT);
}

/* The client of a connection that waits has been accepted. In LOOKUP and DIAL that means the queue let its SYN go by
 * itself (fail-open): the answer then is a reset in place of a refusal. */
void dial_accepted(struct conn *conn, int fd)
{
    conn->client.fd = fd;
    conn->held = false;
    if (conn->stage == CONN_WAIT)
        begin(conn);
}
