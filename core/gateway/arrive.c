/* arrive.c - who comes: SYNs that the queue holds, and connections that the listener accepts. */
#include "state.h"

#include "../util.h"
#include "dial.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void refuse_tuple(struct gateway *gateway, const struct tuple *tuple, const char *reason)
{
    struct flow flow = {.event = "flow",
                        .protocol = "tcp",
                        .address = tuple->target,
                        .port = tuple->target_port,
                        .rule = "built in",
                        .reason = reason,
                        .outcome = "denied"};
    gateway->denied++;
    if (!window_take(&gateway->refusals, gateway->loop.now))
        flow = (struct flow){.event = "flow", .rule = "built in", .reason = reason, .outcome = "denied"};
    flows_add(&gateway->flows, &flow, gateway->loop.now);
}

static bool read_tuple(int fd, const struct sockaddr_storage *source, struct tuple *tuple)
{
    struct sockaddr_storage target = {0};
    socklen_t length = sizeof target;
    if (getsockname(fd, (struct sockaddr *)&target, &length) < 0)
        return false;
    address_from_socket(source, &tuple->source, &tuple->source_port);
    address_from_socket(&target, &tuple->target, &tuple->target_port);
    address_unmap(&tuple->source);
    address_unmap(&tuple->target);
    return true;
}

static void close_with_reset(int fd)
{
    const struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* Without a waiting connection the queue was not there or was full: the same questions are asked now. */
static void accepted(struct gateway *gateway, int fd, const struct sockaddr_storage *source)
{
    struct tuple tuple;
    if (!read_tuple(fd, source, &tuple)) {
        close_with_reset(fd);
        return;
    }
    struct conn *conn = conn_waiting(gateway, &tuple);
    if (conn && conn->client.fd < 0) {
        dial_accepted(conn, fd);
        return;
    }
    conn = conn_new(gateway, &tuple);
    if (!conn) {
        refuse_tuple(gateway, &tuple, "too many connections at once");
        close_with_reset(fd);
        return;
    }
    conn->client.fd = fd;
    dial_start(conn);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    enum { TURN = 64 };
    struct gateway *gateway = (struct gateway *)((char *)watch - offsetof(struct gateway, listener));
    for (int i = 0; i < TURN; i++) {
        struct sockaddr_storage source = {0};
        socklen_t length = sizeof source;
        int fd = accept4(gateway->capture.sockets[CAPTURE_LISTENER], (struct sockaddr *)&source, &length,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            accepted(gateway, fd, &source);
            continue;
        }
        /* A full table is not polled, or it would be reported without end; the next end of a connection makes room. */
        if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) && gateway->n_conns > 0) {
            loop_remove(&gateway->loop, gateway->capture.sockets[CAPTURE_LISTENER]);
            gateway->full = true;
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* The client's kernel has lost patience. A first SYN that is still held will do; one that was let go found no room at the
 * listener, and this is the next try. With another number it is the SYN of a program that has given up, and uses its port
 * again: as long as the listener has not heard of that it would answer with a reset (RFC 9293 section 3.10.7.4). The
 * client's kernel tells it as soon as it is answered, and sends this one again. */
static void arrive_again(struct conn *conn, uint32_t sequence, uint32_t packet)
{
    bool next = conn->given_up || conn->sequence == sequence;
    conn->sequence = sequence;
    conn->given_up = false;
    queue_verdict(conn->gateway, packet, !conn->held && next, 0);
}

void arrive_syn(struct gateway *gateway, const struct tuple *tuple, uint32_t sequence, uint32_t packet)
{
    struct conn *conn = conn_waiting(gateway, tuple);
    /* What was let go may have been accepted, and be over for its client. */
    if (conn && !conn->held && conn->sequence != sequence) {
        listener_ready(&gateway->listener, EPOLLIN);
        conn = conn_waiting(gateway, tuple);
    }
    if (conn) {
        arrive_again(conn, sequence, packet);
        return;
    }
    conn = conn_new(gateway, tuple);
    if (!conn) {
        refuse_tuple(gateway, tuple, "too many connections at once");
        queue_verdict(gateway, packet, true, CAPTURE_MARK_REFUSED);
        return;
    }
    conn->held = true;
    conn->packet = packet;
    conn->sequence = sequence;
    dial_start(conn);
}

void arrive_reset(struct gateway *gateway, const struct tuple *tuple, uint32_t packet)
{
    const struct tuple client = {tuple->target, tuple->source, tuple->target_port, tuple->source_port};
    struct conn *conn = conn_waiting(gateway, tuple);
    if (conn)
        conn->given_up = true;
    queue_verdict(gateway, packet, !conn_is_open(gateway, &client), 0);
}

void arrive_listen(struct gateway *gateway)
{
    gateway->full = false;
    gateway->listener.ready = listener_ready;
    loop_add_level(&gateway->loop, gateway->capture.sockets[CAPTURE_LISTENER], &gateway->listener, EPOLLIN);
}
