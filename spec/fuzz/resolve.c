/* What a resolver may answer, over UDP and, when it says so, over TCP: a lookup ends once, with addresses in the form in which
 * they are judged and dialled, or with a reason. c-ares reads the messages; this is about what is made of them. */
#include "../../core/gateway/resolve.h"

#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 12, QUERY = 512, REPLY = 4096, HOSTILE = 4, TURNS = 20000 };

static struct loop loop;
static struct resolve *resolver;
static int over_udp, over_tcp, stream = -1; /* stream: what was accepted */
static const uint8_t *next_byte, *last_byte;
static int ended, hostile;

/* Both protocols on one port that is free in both. */
static bool bind_both(struct sockaddr_in *at)
{
    socklen_t length = sizeof *at;
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    over_udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    over_tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(over_tcp, (struct sockaddr *)at, sizeof *at) == 0 &&
        getsockname(over_tcp, (struct sockaddr *)at, &length) == 0 &&
        bind(over_udp, (struct sockaddr *)at, sizeof *at) == 0)
        return true;
    close(over_udp);
    close(over_tcp);
    return false;
}

/* A resolver on the loopback, once. */
static void begin(void)
{
    struct err err = {0};
    struct sockaddr_in at;
    const struct address loopback = {4, {127, 0, 0, 1}};
    bool bound = bind_both(&at);
    for (int i = 0; i < 20 && !bound; i++)
        bound = bind_both(&at);
    MUST(bound && listen(over_tcp, 16) == 0 && loop_init(&loop, &err) == 0);
    resolver = resolve_init(&loop, &loopback, ntohs(at.sin_port), &err);
    MUST(resolver);
}

static void done(void *context, const struct resolve_answer *answer)
{
    MUST(context == &ended && ended++ == 0);
    if (answer->status != RESOLVE_OK) {
        MUST(answer->why);
        return;
    }
    MUST(answer->n > 0 && answer->n <= RESOLVE_MOST);
    for (size_t i = 0; i < answer->n; i++) {
        struct address plain = answer->addresses[i];
        address_unmap(&plain);
        MUST((plain.length == 4 || plain.length == 16) && address_equal(&plain, &answer->addresses[i]));
    }
}

/* The first answers are the input's: flags and counts, the question or not, and what follows. The others, and those that are
 * `honest`, say that there is no such name. */
static size_t answer(const uint8_t *query, size_t length, uint8_t reply[REPLY], bool honest)
{
    static const uint8_t no_name[] = {0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0};
    MUST(length > HEADER);
    memcpy(reply, query, length);
    memcpy(reply + 2, no_name, sizeof no_name);
    size_t left = (size_t)(last_byte - next_byte);
    if (honest || left < HEADER - 1 || hostile++ >= HOSTILE)
        return length;
    bool asked = *next_byte++ & 1;
    memcpy(reply + 2, next_byte, HEADER - 2);
    reply[2] |= 0x80;
    next_byte += HEADER - 2;
    left -= HEADER - 1;
    size_t used = asked ? length : HEADER, more = left < REPLY - used ? left : REPLY - used;
    more = hostile % 2 ? more / 2 : more;
    memcpy(reply + used, next_byte, more);
    next_byte += more;
    return used + more;
}

static void serve_udp(void)
{
    uint8_t query[QUERY], reply[REPLY];
    struct sockaddr_in from;
    socklen_t from_length = sizeof from;
    ssize_t got = recvfrom(over_udp, query, sizeof query, 0, (struct sockaddr *)&from, &from_length);
    if (got <= HEADER)
        return;
    size_t length = answer(query, (size_t)got, reply, false);
    sendto(over_udp, reply, length, 0, (struct sockaddr *)&from, from_length);
    /* Had it been passed over, this would be waited for. */
    length = answer(query, (size_t)got, reply, true);
    sendto(over_udp, reply, length, 0, (struct sockaddr *)&from, from_length);
}

/* One connection at a time, one query on it: whoever asks more asks again. */
static void serve_tcp(void)
{
    uint8_t query[2 + QUERY], reply[2 + REPLY];
    if (stream < 0)
        stream = accept4(over_tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ssize_t got = stream < 0 ? -1 : recv(stream, query, sizeof query, 0);
    if (got < 0)
        return;
    if (got > 2 + HEADER) {
        size_t length = answer(query + 2, (size_t)got - 2, reply + 2, false);
        reply[0] = (uint8_t)(length >> 8);
        reply[1] = (uint8_t)length;
        send(stream, reply, 2 + length, MSG_NOSIGNAL);
    }
    close(stream);
    stream = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    if (!resolver)
        begin();
    next_byte = data;
    last_byte = data + size;
    ended = hostile = 0;
    resolve_name(resolver, "a.example", done, &ended);
    for (int i = 0; i < TURNS && !ended; i++) {
        serve_udp();
        serve_tcp();
        MUST(loop_turn(&loop, i < 40 ? 0 : 1, &err) == 0);
        resolve_tick(resolver);
    }
    MUST(ended == 1);
    return 0;
}
