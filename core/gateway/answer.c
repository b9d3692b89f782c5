/* answer.c - the sandbox's name server, on UDP and TCP.
 *
 * It never asks anybody: a name that the policy knows gets a synthetic address, and is looked up when it is connected to;
 * any other does not exist. So nothing leaks in questions, and what a program was told can't be used elsewhere.
 * With dns = "verify" a name is looked up first, and one that does not exist is said not to. */
#include "decide.h"
#include "dns.h"
#include "state.h"

#include "../util.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { TTL = 60, MOST_TCP = 32, TCP_MESSAGE = 4096, UDP_TURN = 64 };

struct stream;

/* Where an answer goes. */
struct asker {
    struct stream *stream;           /* TCP; NULL: UDP */
    uint64_t number;                 /* TCP: of the connection; the stream may be another's by now */
    struct sockaddr_storage address; /* UDP: who asked, */
    socklen_t address_length;
    struct in6_pktinfo local; /* and on which address of ours */
};

struct stream {
    struct watch watch;
    struct gateway *gateway;
    int fd; /* -1: unused */
    uint64_t number;
    size_t have;
    double since;
    uint8_t bytes[TCP_MESSAGE];
};

static struct stream streams[MOST_TCP];

static void send_udp(const struct gateway *gateway, const struct asker *asker, const uint8_t *bytes, size_t length)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control = {0};
    struct iovec io = {(void *)bytes, length};
    struct msghdr message = {.msg_name = (void *)&asker->address,
                             .msg_namelen = asker->address_length,
                             .msg_iov = &io,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof asker->local);
    memcpy(CMSG_DATA(header), &asker->local, sizeof asker->local);
    /* A lost answer is asked for again. */
    sendmsg(gateway->capture.sockets[CAPTURE_DNS_UDP], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void stream_close(struct stream *stream)
{
    util_close(&stream->fd);
    stream->have = 0;
}

/* An answer that finds no room, because none is read, ends the stream: half of one would garble all that follow. */
static void send_tcp(const struct asker *asker, const uint8_t *bytes, size_t length)
{
    struct stream *stream = asker->stream;
    if (stream->fd < 0 || stream->number != asker->number)
        return;
    if (send(stream->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length)
        stream_close(stream);
}

static void reply(const struct gateway *gateway, const struct asker *asker, const uint8_t *query, size_t length,
                  const struct dns_question *question, const struct dns_answer *answer)
{
    uint8_t out[2 + DNS_MAX_REPLY];
    size_t n = dns_reply(query, length, question, answer, out + 2, DNS_MAX_REPLY);
    if (n == 0)
        return;
    out[0] = (uint8_t)(n >> 8);
    out[1] = (uint8_t)n;
    if (asker->stream)
        send_tcp(asker, out, n + 2);
    else
        send_udp(gateway, asker, out + 2, n);
}

static const char *type_name(uint16_t type)
{
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = {{DNS_A, "A"},     {2, "NS"},     {5, "CNAME"},  {6, "SOA"},         {10, "NULL"},
                 {DNS_PTR, "PTR"}, {15, "MX"},    {16, "TXT"},   {DNS_AAAA, "AAAA"}, {33, "SRV"},
                 {64, "SVCB"},     {65, "HTTPS"}, {252, "AXFR"}, {255, "ANY"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].type == type)
            return names[i].name;
    return "other";
}

static void log_refusal(struct gateway *gateway, const struct dns_question *question, const char *rule,
                        const char *reason)
{
    struct flow flow = {
        .event = "dns", .name = question->name, .type = type_name(question->type), .rule = rule, .reason = reason};
    gateway->denied++;
    if (!window_take(&gateway->refusals, gateway->loop.now))
        flow = (struct flow){.event = "dns", .rule = rule, .reason = reason};
    flows_add(&gateway->flows, &flow, gateway->loop.now);
}

static struct dns_answer reverse(const struct gateway *gateway, const struct dns_question *question)
{
    const char *name = fakes_name(&gateway->fakes, &question->reverse);
    if (question->type == DNS_PTR && name)
        return (struct dns_answer){.code = DNS_NOERROR, .pointer = name, .ttl = TTL};
    return (struct dns_answer){.code = name ? DNS_NOERROR : DNS_NXDOMAIN};
}

/* `counted`: a new name has been counted as one already. */
static struct dns_answer fake(struct gateway *gateway, const struct dns_question *question, bool counted)
{
    struct dns_answer answer = {.code = DNS_NOERROR, .ttl = TTL};
    if (question->type != DNS_A)
        return answer;
    counted = counted || fakes_known(&gateway->fakes, question->name);
    if (!counted && !window_take(&gateway->new_names, gateway->loop.now)) {
        log_refusal(gateway, question, "built in", "too many new names in a short time");
        return (struct dns_answer){.code = DNS_SERVFAIL};
    }
    if (!fakes_address(&gateway->fakes, question->name, &answer.a)) {
        log_refusal(gateway, question, "built in", "too many names");
        return (struct dns_answer){.code = DNS_SERVFAIL};
    }
    return answer;
}

/* A question that waits for the resolver (dns = "verify"). */
struct verified {
    struct gateway *gateway;
    struct asker asker;
    struct dns_question question;
    size_t length;
    uint8_t query[DNS_MAX_UDP];
};

static void verified(void *context, const struct resolve_answer *found)
{
    struct verified *v = context;
    struct dns_answer answer = {.code = found->status == RESOLVE_NO_NAME ? DNS_NXDOMAIN : DNS_SERVFAIL};
    if (found->status == RESOLVE_OK)
        answer = fake(v->gateway, &v->question, true);
    reply(v->gateway, &v->asker, v->query, v->length, &v->question, &answer);
    free(v);
}

/* False: the question can be answered at once, or is one too many and `fake` says so. */
static bool verify_first(struct gateway *gateway, const struct asker *asker, const struct dns_question *question,
                         const uint8_t *query, size_t length)
{
    if (gateway->rules->dns != RULES_DNS_VERIFY || length > DNS_MAX_UDP || question->type != DNS_A ||
        rules_host(gateway->rules, question->name) || fakes_known(&gateway->fakes, question->name))
        return false;
    if (!window_take(&gateway->new_names, gateway->loop.now))
        return false;
    struct verified *v = malloc(sizeof *v);
    if (!v)
        return false;
    *v = (struct verified){.gateway = gateway, .asker = *asker, .question = *question, .length = length};
    memcpy(v->query, query, length);
    resolve_name(gateway->resolve, question->name, verified, v);
    return true;
}

static void take_query(struct gateway *gateway, const struct asker *asker, const uint8_t *query, size_t length)
{
    struct dns_question question;
    struct dns_answer answer = {.code = DNS_NXDOMAIN};
    int code = dns_parse(query, length, &question);
    if (code < 0)
        return;
    if (code > 0) {
        answer.code = code;
    } else if (question.reverse.length) {
        answer = reverse(gateway, &question);
    } else if (question.name[0] == '\0' || !rules_answers(gateway->rules, question.name)) {
        struct decision decision = rules_decide(gateway->rules, question.name[0] ? question.name : NULL, NULL, 443);
        log_refusal(gateway, &question, question.name[0] ? decision.from : "built in",
                    question.name[0] ? decision.reason : "a name that has no canonical form");
    } else if (verify_first(gateway, asker, &question, query, length)) {
        return;
    } else {
        answer = fake(gateway, &question, false);
    }
    reply(gateway, asker, query, length, &question, &answer);
}

static void udp_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct gateway *gateway = (struct gateway *)((char *)watch - offsetof(struct gateway, dns_udp));
    for (int i = 0; i < UDP_TURN; i++) {
        uint8_t query[DNS_MAX_UDP];
        union {
            struct cmsghdr header;
            char bytes[256];
        } control;
        struct asker asker = {.address_length = sizeof asker.address};
        struct iovec io = {query, sizeof query};
        struct msghdr message = {.msg_name = &asker.address,
                                 .msg_namelen = sizeof asker.address,
                                 .msg_iov = &io,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        ssize_t got = recvmsg(gateway->capture.sockets[CAPTURE_DNS_UDP], &message, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return;
        asker.address_length = message.msg_namelen;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
            if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
                memcpy(&asker.local, CMSG_DATA(c), sizeof asker.local);
        asker.local.ipi6_ifindex = 0;
        if (!(message.msg_flags & MSG_TRUNC))
            take_query(gateway, &asker, query, (size_t)got);
    }
}

static void stream_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct stream *stream = (struct stream *)watch;
    if (stream->fd < 0)
        return;
    ssize_t got = recv(stream->fd, stream->bytes + stream->have, sizeof stream->bytes - stream->have, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        stream_close(stream);
        return;
    }
    stream->have += (size_t)got;
    stream->since = stream->gateway->loop.now;
    while (stream->have >= 2) {
        size_t length = (size_t)stream->bytes[0] << 8 | stream->bytes[1];
        if (length + 2 > sizeof stream->bytes) {
            stream_close(stream);
            return;
        }
        if (stream->have < length + 2)
            return;
        const struct asker asker = {.stream = stream, .number = stream->number};
        take_query(stream->gateway, &asker, stream->bytes + 2, length);
        if (stream->fd < 0)
            return;
        stream->have -= length + 2;
        memmove(stream->bytes, stream->bytes + length + 2, stream->have);
    }
}

/* A free place, or that of the one that has been quiet for longest. */
static struct stream *place(void)
{
    struct stream *oldest = &streams[0];
    for (size_t i = 0; i < MOST_TCP; i++) {
        if (streams[i].fd < 0)
            return &streams[i];
        if (streams[i].since < oldest->since)
            oldest = &streams[i];
    }
    stream_close(oldest);
    return oldest;
}

static void tcp_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct gateway *gateway = (struct gateway *)((char *)watch - offsetof(struct gateway, dns_tcp));
    int fd = accept4(gateway->capture.sockets[CAPTURE_DNS_TCP], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) && gateway->n_conns > 0) {
        /* Level-triggered: it would be reported without end; the next end of a connection makes room. */
        loop_remove(&gateway->loop, gateway->capture.sockets[CAPTURE_DNS_TCP]);
        gateway->dns_full = true;
    }
    if (fd < 0)
        return;
    static uint64_t number;
    struct stream *stream = place();
    stream->gateway = gateway;
    stream->number = ++number;
    stream->watch.ready = stream_ready;
    stream->fd = fd;
    stream->since = gateway->loop.now;
    if (loop_add_level(&gateway->loop, fd, &stream->watch, EPOLLIN) < 0)
        stream_close(stream);
}

void answer_listen(struct gateway *gateway)
{
    gateway->dns_full = false;
    loop_add_level(&gateway->loop, gateway->capture.sockets[CAPTURE_DNS_TCP], &gateway->dns_tcp, EPOLLIN);
}

int answer_start(struct gateway *gateway)
{
    for (size_t i = 0; i < MOST_TCP; i++)
        streams[i].fd = -1;
    gateway->dns_udp.ready = udp_ready;
    gateway->dns_tcp.ready = tcp_ready;
    if (loop_add_level(&gateway->loop, gateway->capture.sockets[CAPTURE_DNS_UDP], &gateway->dns_udp, EPOLLIN) < 0)
        return -1;
    return loop_add_level(&gateway->loop, gateway->capture.sockets[CAPTURE_DNS_TCP], &gateway->dns_tcp, EPOLLIN);
}
