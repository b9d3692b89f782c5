/* dns.h - DNS messages: one question in, one answer out (RFC 1035, RFC 6891, RFC 2308). No I/O. */
#ifndef MOONBOX_GATEWAY_DNS_H
#define MOONBOX_GATEWAY_DNS_H

#include "address.h"
#include "name.h"

#include <stddef.h>
#include <stdint.h>

enum { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_OPT = 41, DNS_SVCB = 64, DNS_HTTPS = 65 };
enum {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16
};
enum { DNS_MAX_UDP = 1232, DNS_MAX_REPLY = 1024 };

struct dns_question {
    char name[NAME_SIZE];   /* canonical; "" when the name on the wire has no canonical form */
    struct address reverse; /* of a PTR question below in-addr.arpa or ip6.arpa; else length 0 */
    uint16_t type, class;
    size_t end;    /* of the question section in the message; 0 when there is none to repeat */
    uint16_t room; /* bytes of a reply over UDP that the client takes: 512 to DNS_MAX_UDP */
    bool edns;     /* the query has an OPT record, so the reply gets one */
    bool wants_dnssec;
};

/* Parses a query. 0: a question to answer. A DNS_… code: to be replied with as it is. -1: not worth a reply (too short to
 * have an id, or itself a response). Exactly one question, no compression in it, opcode QUERY, class IN, no transfer of a
 * zone, at most four other records, nothing behind them. */
int dns_parse(const uint8_t *message, size_t length, struct dns_question *question);

struct dns_answer {
    int code;            /* DNS_… */
    struct address a;    /* length 4: an A record; length 16: an AAAA record; else none */
    const char *pointer; /* a PTR record's canonical name; NULL none */
    uint32_t ttl;        /* seconds */
    bool refuse_more;    /* set TC: come again over TCP */
};

/* Builds the reply to a message that dns_parse gave 0 or a code for. No answer and code 0 is no-data; that and NXDOMAIN
 * carry an SOA of the root, so that resolvers may cache them for `ttl`. What does not fit in `size` is left out and TC is
 * set. Returns its length, 0 when even a bare header does not fit. */
size_t dns_reply(const uint8_t *query, size_t length, const struct dns_question *question,
                 const struct dns_answer *answer, uint8_t *out, size_t size);

#endif
