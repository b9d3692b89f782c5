#include "resolve.h"

#include "../util.h"
#include "name.h"

#include <ares.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { TIMEOUT_MS = 2000, TRIES = 3, SOCKETS = 64 };

struct query_socket {
    struct watch watch;
    struct resolve *resolve;
    ares_socket_t fd; /* ARES_SOCKET_BAD: unused */
};

struct resolve {
    struct loop *loop;
    ares_channel channel;
    struct query_socket sockets[SOCKETS];
    struct lookup *lookups; /* under way; few: names that are new come slowly (gateway.c, NEW_NAMES) */
};

struct waiter {
    struct waiter *next;
    void (*done)(void *context, const struct resolve_answer *);
    void *context;
};

/* A question that is out. Whoever asks the same before the answer has come gets that one: it is not older than theirs would
 * be, and a thousand connections at once don't flood the resolver until it loses some. */
struct lookup {
    struct lookup *next;
    struct resolve *resolve;
    struct waiter *waiters, **last;
    char name[NAME_SIZE];
};

static void socket_ready(struct watch *watch, uint32_t events)
{
    struct query_socket *q = (struct query_socket *)watch;
    ares_socket_t fd = q->fd;
    ares_process_fd(q->resolve->channel, events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? fd : ARES_SOCKET_BAD,
                    events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
}

static struct query_socket *find(struct resolve *resolve, ares_socket_t fd)
{
    for (size_t i = 0; i < SOCKETS; i++)
        if (resolve->sockets[i].fd == fd)
            return &resolve->sockets[i];
    return NULL;
}

/* c-ares has opened, wants something else of, or is about to close a socket. One that finds no place is not watched, and its
 * lookups end by their time. */
static void socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct resolve *resolve = data;
    struct query_socket *q = find(resolve, fd);
    uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
    if (!readable && !writable) {
        loop_remove(resolve->loop, fd);
        if (q)
            q->fd = ARES_SOCKET_BAD;
        return;
    }
    if (q) {
        loop_change_level(resolve->loop, fd, &q->watch, events);
        return;
    }
    q = find(resolve, ARES_SOCKET_BAD);
    if (q && loop_add_level(resolve->loop, fd, &q->watch, events) == 0)
        q->fd = fd;
}

/* c-ares would ask fcntl(2), which the gateway may not, because it could take O_APPEND off the flow log. */
static ares_socket_t open_socket(int domain, int type, int protocol, void *data)
{
    (void)data;
    return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int close_socket(ares_socket_t fd, void *data)
{
    (void)data;
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t length, void *data)
{
    (void)data;
    return connect(fd, to, length);
}

static ares_ssize_t receive(ares_socket_t fd, void *bytes, size_t length, int flags, struct sockaddr *from,
                            ares_socklen_t *from_length, void *data)
{
    (void)data;
    return recvfrom(fd, bytes, length, flags, from, from_length);
}

static ares_ssize_t send_vector(ares_socket_t fd, const struct iovec *vector, int n, void *data)
{
    (void)data;
    return writev(fd, vector, n);
}

static const struct ares_socket_functions socket_functions = {open_socket, close_socket, connect_socket, receive,
                                                              send_vector};

static int pin_server(struct resolve *resolve, const struct address *server, uint16_t port, struct err *err)
{
    char text[ADDRESS_TEXT], csv[ADDRESS_TEXT + 16];
    address_format(server, text);
    snprintf(csv, sizeof csv, server->length == 16 ? "[%s]:%u" : "%s:%u", text, port ? port : 53);
    int code = ares_set_servers_ports_csv(resolve->channel, csv);
    return code == ARES_SUCCESS ? 0 : err_set(err, 0, "use the resolver %s: %s", csv, ares_strerror(code));
}

struct resolve *resolve_init(struct loop *loop, const struct address *server, uint16_t port, struct err *err)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (!resolve) {
        err_sys(err, "allocate");
        return NULL;
    }
    resolve->loop = loop;
    for (size_t i = 0; i < SOCKETS; i++)
        resolve->sockets[i] = (struct query_socket){{socket_ready}, resolve, ARES_SOCKET_BAD};
    char dns_only[] = "b";
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                                   .timeout = TIMEOUT_MS,
                                   .tries = TRIES,
                                   .lookups = dns_only,
                                   .sock_state_cb = socket_state,
                                   .sock_state_cb_data = resolve};
    int code = ares_init_options(&resolve->channel, &options,
                                 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                     ARES_OPT_SOCK_STATE_CB);
    if (code != ARES_SUCCESS)
        err_set(err, 0, "read the host's resolver settings (/etc/resolv.conf): %s", ares_strerror(code));
    if (code == ARES_SUCCESS)
        ares_set_socket_functions(resolve->channel, &socket_functions, NULL);
    if (code != ARES_SUCCESS || (server->length && pin_server(resolve, server, port, err) < 0)) {
        free(resolve);
        return NULL;
    }
    return resolve;
}

static bool take(struct resolve_answer *answer, const struct sockaddr *from)
{
    struct sockaddr_storage storage;
    memset(&storage, 0, sizeof storage);
    memcpy(&storage, from, from->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    uint16_t port;
    if (answer->n == RESOLVE_MOST)
        return false;
    /* One form for one address: a mapped one is dialled as IPv4, so it is asked about as IPv4. */
    address_from_socket(&storage, &answer->addresses[answer->n], &port);
    address_unmap(&answer->addresses[answer->n++]);
    return true;
}

/* IPv4 comes first: a host without IPv6 then never tries it. */
static bool take_all(struct resolve_answer *answer, const struct ares_addrinfo *info)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t f = 0; f < ARRAY_LEN(families); f++)
        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
            if (node->ai_family == families[f] && !take(answer, node->ai_addr))
                return false;
    return true;
}

static void finish(struct lookup *lookup, const struct resolve_answer *answer)
{
    struct lookup **link = &lookup->resolve->lookups;
    while (*link != lookup)
        link = &(*link)->next;
    *link = lookup->next;
    for (struct waiter *waiter = lookup->waiters, *after; waiter; waiter = after) {
        after = waiter->next;
        waiter->done(waiter->context, answer);
        free(waiter);
    }
    free(lookup);
}

static void answered(void *argument, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct lookup *lookup = argument;
    struct resolve_answer answer = {.status = RESOLVE_FAILED, .n = 0};
    if (status == ARES_SUCCESS && info) {
        answer.status = take_all(&answer, info) ? RESOLVE_OK : RESOLVE_FAILED;
        answer.why = "the name has too many addresses";
    } else {
        bool none = status == ARES_ENOTFOUND || status == ARES_ENODATA;
        answer.status = none ? RESOLVE_NO_NAME : RESOLVE_FAILED;
        answer.why = none                          ? "the name does not exist"
                     : status == ARES_ETIMEOUT     ? "the resolver did not answer"
                     : status == ARES_ECONNREFUSED ? "no resolver could be reached"
                                                   : "the resolver failed";
    }
    if (answer.status == RESOLVE_OK && answer.n == 0) {
        answer.status = RESOLVE_NO_NAME;
        answer.why = "the name has no address";
    }
    if (info)
        ares_freeaddrinfo(info);
    finish(lookup, &answer);
}

static struct lookup *under_way(const struct resolve *resolve, const char *name)
{
    struct lookup *lookup = resolve->lookups;
    while (lookup && strcmp(lookup->name, name) != 0)
        lookup = lookup->next;
    return lookup;
}

static void wait_for(struct lookup *lookup, struct waiter *waiter)
{
    *lookup->last = waiter;
    lookup->last = &waiter->next;
}

void resolve_name(struct resolve *resolve, const char *name, void (*done)(void *context, const struct resolve_answer *),
                  void *context)
{
    struct waiter *waiter = malloc(sizeof *waiter);
    struct lookup *same = under_way(resolve, name), *lookup = same ? NULL : calloc(1, sizeof *lookup);
    if (!waiter || (!same && !lookup)) {
        const struct resolve_answer failed = {.status = RESOLVE_FAILED, .why = "out of memory"};
        free(waiter);
        free(lookup);
        done(context, &failed);
        return;
    }
    *waiter = (struct waiter){NULL, done, context};
    if (same) {
        wait_for(same, waiter);
        return;
    }
    lookup->next = resolve->lookups;
    resolve->lookups = lookup;
    lookup->resolve = resolve;
    lookup->last = &lookup->waiters;
    snprintf(lookup->name, sizeof lookup->name, "%s", name);
    wait_for(lookup, waiter);
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};
    ares_getaddrinfo(resolve->channel, name, NULL, &hints, answered, lookup);
}

int resolve_timeout(struct resolve *resolve)
{
    struct timeval left;
    if (!resolve->lookups || !ares_timeout(resolve->channel, NULL, &left))
        return -1;
    return (int)(left.tv_sec * 1000 + left.tv_usec / 1000) + 1;
}

void resolve_tick(struct resolve *resolve)
{
    if (resolve->lookups)
        ares_process_fd(resolve->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}
