/* http_head.h - follows the requests of a plain HTTP/1 connection, so that none of them names another host (RFC 9112).
 *
 * Fed with the client's bytes in order, in pieces of any size. Every head has to carry exactly one Host, equal to the first
 * one's; bodies are passed over by Content-Length or chunk sizes. What a server could read differently (both lengths, two
 * different ones, obs-fold, bare CR, spaces before the colon, chunk sizes out of range) is bad, not guessed. */
#ifndef MOONBOX_GATEWAY_HTTP_HEAD_H
#define MOONBOX_GATEWAY_HTTP_HEAD_H

#include "name.h"

#include <stdint.h>

enum { HTTP_HEAD_MAX = 65536 }; /* bytes of one head */

enum http_result {
    HTTP_MORE,    /* the bytes are fine so far; those fed until now that end a head or belong to a body may pass */
    HTTP_NOT,     /* the connection's first bytes are no HTTP request: everything may pass from now on */
    HTTP_UPGRADE, /* a whole head with Upgrade, or CONNECT: hold what follows until the server's answer is known */
    HTTP_BAD,     /* must not pass: `reason` says why */
};

struct http_head {
    char host[NAME_SIZE]; /* canonical, of the first request; an address literal is kept as its text; "" none yet */
    char line[1024 * 8];  /* the line that is being read */
    size_t have;          /* bytes of it */
    size_t head;          /* bytes of the head so far */
    uint64_t left;        /* bytes of body or chunk still to come */
    int state;
    bool chunked, upgrade, has_host, has_length, first;
    unsigned requests; /* heads completed */
    const char *reason;
};

void http_head_init(struct http_head *http);

/* Feeds bytes. *passed is how many of all the bytes fed so far (this call's and held ones) may be forwarded: bytes of an
 * unfinished head are held back. */
enum http_result http_head_feed(struct http_head *http, const uint8_t *bytes, size_t length, uint64_t *passed);

/* After HTTP_UPGRADE: the server's answer began with status 101 (switched: all passes from now on) or another one. */
void http_head_answered(struct http_head *http, bool switched);

#endif
