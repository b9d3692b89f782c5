/* relay.c - bytes both ways.
 *
 * Rules that each were a bug once:
 *   - SO_ERROR is never read before the socket has been read to its end: asking clears it, and a reset then looks like
 *     an orderly end.
 *   - A short read means "drained" only while the other side has not hung up; an end that came with the data shows
 *     only when it is read for. Nor does it after urgent data, at which a read stops and a splice finds nothing, as at the end.
 *   - Pipes are pooled and held only while bytes are in them: an ordinary user has few pipe pages. */
#include "state.h"

#include "../util.h"
#include "buffers.h"
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    COPIED_FIRST = 64 << 10, /* bytes of a way that are copied before splicing pays */
    TURN = 1 << 20,          /* bytes that one connection may move before others have their turn */
    PIPE_SIZE = 256 << 10,
    IDLE_PIPES = 32,
    MOST_PIPES = 64,  /* their descriptors come beside those of connections: OTHER_DESCRIPTORS */
    LONGEST_WAIT = 1, /* seconds that a line goes unserved */
};

struct pipes {
    int ends[2];
    struct pipes *next;
};

static struct pipes *idle;
static size_t n_idle, n_pipes;
static uint8_t scratch[COPIED_FIRST];

/* NULL: there is none to be had, and bytes are copied. */
static struct pipes *pipe_get(void)
{
    struct pipes *pipe = idle;
    if (pipe) {
        idle = pipe->next;
        n_idle--;
        return pipe;
    }
    pipe = n_pipes < MOST_PIPES ? malloc(sizeof *pipe) : NULL;
    if (pipe && pipe2(pipe->ends, O_CLOEXEC | O_NONBLOCK) < 0)
        free(steal_ptr(&pipe));
    if (!pipe)
        return NULL;
    n_pipes++;
    /* A user's pages for pipes are counted (pipe(7)); the size it came with will do. */
    fcntl(pipe->ends[0], F_SETPIPE_SZ, PIPE_SIZE);
    return pipe;
}

static void pipe_close(struct pipes *pipe)
{
    close(pipe->ends[0]);
    close(pipe->ends[1]);
    free(pipe);
    n_pipes--;
}

/* `pipe` is empty. */
static void pipe_put(struct pipes *pipe)
{
    if (n_idle >= IDLE_PIPES) {
        pipe_close(pipe);
        return;
    }
    pipe->next = idle;
    idle = pipe;
    n_idle++;
}

static void release_way(struct way *way)
{
    free(steal_ptr(&way->held));
    way->held_length = way->piped = 0;
    if (way->pipe)
        pipe_close(steal_ptr(&way->pipe));
}

void relay_release(struct conn *conn)
{
    release_way(&conn->up);
    release_way(&conn->down);
}

/* ---- turns ---- */

static void line_up(struct line *line, struct conn *conn)
{
    conn->next_paced = NULL;
    if (line->first)
        line->last->next_paced = conn;
    else
        line->first = conn;
    line->last = conn;
}

/* It goes on in `wait` seconds, after those that are in line already. */
static void pace(struct conn *conn, double wait)
{
    struct gateway *gateway = conn->gateway;
    double at = gateway->loop.now + wait;
    if ((!gateway->paced.first && !gateway->paced_turn) || at < gateway->paced_at)
        gateway->paced_at = at;
    if (!conn->paced)
        line_up(&gateway->paced, conn);
    conn->paced = true;
}

static void spend(struct conn *conn, bool up, size_t bytes)
{
    struct gateway *gateway = conn->gateway;
    limits_spend(conn, up, bytes);
    *(up ? &gateway->bytes_up : &gateway->bytes_down) += bytes;
    (up ? &conn->up : &conn->down)->total += bytes;
    if (conn->up.total > BUFFERS_LITTLE || conn->down.total > BUFFERS_LITTLE)
        buffers_bind(conn);
}

/* ---- moving ---- */

enum moved { MOVED, BLOCKED, BROKEN, OVER };

/* Puts bytes behind those that are held. */
static enum moved keep(struct way *way, const uint8_t *bytes, size_t length)
{
    uint8_t *all = malloc(way->held_length + length);
    if (!all)
        return BROKEN;
    if (way->held && way->held_length > 0)
        memcpy(all, way->held + way->held_at, way->held_length);
    memcpy(all + way->held_length, bytes, length);
    free(way->held);
    way->held = all;
    way->held_at = 0;
    way->held_length += length;
    return BLOCKED;
}

/* Writes what it can of some bytes and keeps the rest. Before the end that is known to follow (`last`), the kernel is let
 * put both into one packet. */
static enum moved put(struct side *to, struct way *way, const uint8_t *bytes, size_t length, bool last)
{
    size_t done = 0;
    while (done < length && to->writable && !way->held) {
        ssize_t n = send(to->fd, bytes + done, length - done, MSG_NOSIGNAL | (last ? MSG_MORE : 0));
        if (n >= 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            to->writable = false;
        else if (errno != EINTR)
            return BROKEN;
    }
    return done < length ? keep(way, bytes + done, length - done) : MOVED;
}

static enum moved put_held(struct side *to, struct way *way)
{
    while (way->held_length > 0) {
        if (!to->writable)
            return BLOCKED;
        ssize_t n = send(to->fd, way->held + way->held_at, way->held_length, MSG_NOSIGNAL);
        if (n >= 0) {
            way->held_at += (size_t)n;
            way->held_length -= (size_t)n;
        } else if (errno == EAGAIN) {
            to->writable = false;
        } else if (errno != EINTR) {
            return BROKEN;
        }
    }
    free(steal_ptr(&way->held));
    return MOVED;
}

static enum moved put_piped(struct side *to, struct way *way)
{
    while (way->piped > 0) {
        if (!to->writable)
            return BLOCKED;
        ssize_t n = splice(way->pipe->ends[0], NULL, to->fd, NULL, way->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0)
            way->piped -= (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            to->writable = false;
        else if (n == 0 || errno != EINTR)
            return BROKEN;
    }
    if (way->pipe)
        pipe_put(steal_ptr(&way->pipe));
    return MOVED;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What came of a read: n > 0 bytes, its end, nothing now, or an error. */
static enum moved judge_read(struct side *from, ssize_t n)
{
    if (n > 0)
        return MOVED;
    if (n == 0) {
        from->ended = true;
        from->readable = false;
        return MOVED;
    }
    if (errno == EINTR)
        return MOVED;
    if (errno != EAGAIN)
        return BROKEN;
    from->readable = false;
    return BLOCKED;
}

static void refuse_inspected(struct conn *conn, const char *reason)
{
    conn_refuse(conn, REFUSE_DENIED, conn->rule, reason);
}

/* Forwards what the inspection lets pass. OVER: the connection has ended. */
static enum moved apply(struct conn *conn, const struct inspect_result *result)
{
    const char *sni = inspect_sni(conn->inspect);
    if (sni && !conn->sni)
        conn->sni = strdup(sni);
    if (result->verdict == INSPECT_REFUSE) {
        refuse_inspected(conn, result->reason);
        return OVER;
    }
    enum moved moved = put(&conn->upstream, &conn->up, result->pass, result->length, false);
    if (result->verdict == INSPECT_DONE) {
        inspect_free(conn->inspect);
        conn->inspect = NULL;
    }
    conn_unsaid(conn, conn->inspect && inspect_holds(conn->inspect), result->length > 0);
    return moved;
}

static enum moved inspect_up(struct conn *conn, const uint8_t *bytes, size_t length, bool ended)
{
    struct inspect_result result;
    inspect_client(conn->inspect, bytes, length, ended, &result);
    return apply(conn, &result);
}

/* The server's bytes pass in any case; what they say may decide what the client may say next. */
static enum moved inspect_down(struct conn *conn, const uint8_t *bytes, size_t length)
{
    struct inspect_result result;
    if (!inspect_wants_server(conn->inspect)) {
        inspect_server_spoke(conn->inspect);
        return MOVED;
    }
    inspect_server(conn->inspect, bytes, length, &result);
    return apply(conn, &result);
}

static enum moved copy(struct conn *conn, struct side *from, struct side *to, struct way *way, size_t most)
{
    bool up = way == &conn->up;
    size_t want = least(most, least(sizeof scratch, buffers_share(conn->gateway)));
    ssize_t n = recv(from->fd, scratch, want, 0);
    enum moved moved = judge_read(from, n);
    if (moved != MOVED || (n <= 0 && !from->ended))
        return moved;
    if (n > 0) {
        spend(conn, up, (size_t)n);
        if ((size_t)n < want && !from->hung_up && !from->urgent)
            from->readable = false;
    }
    size_t length = n > 0 ? (size_t)n : 0;
    if (up && conn->inspect)
        return inspect_up(conn, scratch, length, from->ended);
    if (!up && conn->inspect && length > 0) {
        moved = inspect_down(conn, scratch, length);
        if (moved == OVER || moved == BROKEN)
            return moved;
    }
    return put(to, way, scratch, length, from->hung_up && length < want);
}

static enum moved splice_in(struct conn *conn, struct side *from, struct side *to, struct way *way, size_t most)
{
    way->pipe = pipe_get();
    if (!way->pipe)
        return copy(conn, from, to, way, most);
    ssize_t n =
        splice(from->fd, NULL, way->pipe->ends[1], NULL, least(most, PIPE_SIZE), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n == 0) {
        pipe_put(steal_ptr(&way->pipe));
        return copy(conn, from, to, way, most);
    }
    enum moved moved = judge_read(from, n);
    if (n > 0) {
        way->piped = (size_t)n;
        spend(conn, way == &conn->up, (size_t)n);
        return put_piped(to, way);
    }
    pipe_put(steal_ptr(&way->pipe));
    return moved;
}

static enum moved flush(struct side *to, struct way *way)
{
    enum moved moved = way->held ? put_held(to, way) : MOVED;
    return moved == MOVED && way->pipe ? put_piped(to, way) : moved;
}

/* The row's bytes are used up. An end may still come; one byte more cuts the connection. */
static enum moved end_or_cut(struct conn *conn, struct side *from)
{
    uint8_t byte;
    ssize_t n = recv(from->fd, &byte, 1, MSG_PEEK);
    if (n <= 0)
        return judge_read(from, n);
    conn_end(conn, "cut", "the row's bytes are used up", true);
    return OVER;
}

static enum moved move(struct conn *conn, struct side *from, struct side *to, struct way *way, size_t most)
{
    if (limits_used_up(conn))
        return end_or_cut(conn, from);
    if (way->total < COPIED_FIRST || conn->inspect || from->urgent)
        return copy(conn, from, to, way, most);
    return splice_in(conn, from, to, way, most);
}

/* Moves what can be moved one way. BROKEN: one side can't be read or written any more. */
static enum moved pump(struct conn *conn, struct side *from, struct side *to, struct way *way)
{
    bool up = way == &conn->up;
    uint64_t until = way->total + TURN;
    for (;;) {
        enum moved moved = flush(to, way);
        if (moved != MOVED)
            return moved;
        if (from->ended) {
            /* The second of the two ends is told by the close that follows. */
            if (!to->shut && !(to->ended && from->shut))
                shutdown(to->fd, SHUT_WR);
            to->shut = true;
            return MOVED;
        }
        if (!from->readable)
            return BLOCKED;
        size_t most = limits_allow(conn, up, conn->gateway->paced_turn);
        if ((most == 0 && !limits_used_up(conn)) || way->total >= until) {
            pace(conn, most > 0 ? 0 : limits_wait(conn, up));
            return BLOCKED;
        }
        moved = move(conn, from, to, way, most);
        if (moved == BROKEN || moved == OVER)
            return moved;
    }
}

static bool finished(const struct conn *conn)
{
    return conn->client.ended && conn->upstream.ended && conn->client.shut && conn->upstream.shut;
}

/* Moves what can be moved, and ends the connection when there is nothing more to come. */
static void pump_both(struct conn *conn)
{
    enum moved up = pump(conn, &conn->client, &conn->upstream, &conn->up);
    if (up == OVER)
        return;
    enum moved down = pump(conn, &conn->upstream, &conn->client, &conn->down);
    if (down == OVER)
        return;
    if (up == BROKEN || down == BROKEN)
        conn_end(conn, "reset", NULL, true);
    else if (finished(conn))
        conn_end(conn, "closed", NULL, false);
}

/* An error that no read will report, because that side has been read to its end. */
static bool broke_after_end(const struct side *side)
{
    int code = 0;
    socklen_t length = sizeof code;
    return side->ended && getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 && code != 0;
}

/* The urgent byte goes on in its place among the others (RFC 6093 section 6), as no urgent one. */
static void see_urgent(struct side *side)
{
    side->urgent = true;
}

void relay_events(struct side *side, uint32_t events)
{
    struct conn *conn = side->conn;
    if (events & EPOLLPRI)
        see_urgent(side);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        side->readable = true;
    if (events & (EPOLLOUT | EPOLLERR))
        side->writable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        side->hung_up = true;
    if (conn->stage != CONN_RELAY)
        return;
    if (events & EPOLLERR && broke_after_end(side))
        conn_end(conn, "reset", NULL, true);
    else
        pump_both(conn);
}

static void log_opening(struct conn *conn)
{
    struct gateway *gateway = conn->gateway;
    if (conn->row < 0 || !gateway->rules->rows[conn->row].watch)
        return;
    const struct flow flow = {.event = "flow",
                              .id = conn->id,
                              .name = conn->name,
                              .protocol = "tcp",
                              .address = conn->dialled,
                              .port = conn->tuple.target_port,
                              .allow = true,
                              .watch = true,
                              .open = true,
                              .rule = conn->rule};
    flows_add(&gateway->flows, &flow, gateway->loop.now);
}

void relay_start(struct conn *conn)
{
    conn_waited(conn);
    conn->stage = CONN_RELAY;
    /* What comes in names a host of the host's choice. */
    conn->inspect = conn->published ? NULL : inspect_new(conn->name);
    struct side *accepted = conn->published ? &conn->upstream : &conn->client;
    /* What the host gives a socket of its own that nobody reads is the host's choice (tcp_rmem). */
    if (conn->published)
        buffers_bind(conn);
    if ((!conn->inspect && !conn->published) || loop_add(&conn->gateway->loop, accepted->fd, &accepted->watch) < 0) {
        conn_end(conn, "reset", "the gateway is out of memory or descriptors", true);
        return;
    }
    conn->client.readable = conn->client.writable = true;
    conn->upstream.readable = conn->upstream.writable = true;
    log_opening(conn);
    pump_both(conn);
}

/* Those that got something go to the line's end, the others keep their places: who has waited longest is next. */
static void serve_line(struct gateway *gateway)
{
    struct line front = {NULL, NULL}, served = {NULL, NULL};
    for (struct conn *conn = gateway->paced.first, *after; conn; conn = after) {
        after = conn->next_paced;
        uint64_t before = conn->up.total + conn->down.total;
        gateway->paced.first = NULL;
        conn->paced = false;
        if (conn->stage == CONN_RELAY)
            pump_both(conn);
        if (conn->paced)
            line_up(conn->up.total + conn->down.total > before ? &served : &front, conn);
    }
    if (front.first)
        front.last->next_paced = served.first;
    gateway->paced.first = front.first ? front.first : served.first;
    gateway->paced.last = served.first ? served.last : front.last;
}

int relay_paced(struct gateway *gateway)
{
    double now = gateway->loop.now;
    if (gateway->paced.first && now >= gateway->paced_at) {
        gateway->paced_at = now + LONGEST_WAIT;
        gateway->paced_turn = true;
        serve_line(gateway);
        gateway->paced_turn = false;
    }
    if (!gateway->paced.first)
        return -1;
    return gateway->paced_at <= now ? 0 : (int)((gateway->paced_at - now) * 1000) + 1;
}
