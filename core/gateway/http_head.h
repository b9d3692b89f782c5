/* http_head.h - follows the requests of a plain HTTP/1 connection, so that none of them names another host (RFC 9112).
 *
 * Fed with the client's bytes in order, in pieces of any size. Every head has to carry exactly one Host, equal to the first
 * one's; bodies are passed over by Content-Length or chunk sizes. What a server could read differently (both lengths, two
 * lengths, obs-fold, bare CR or LF, spaces before the colon, chunk extensions) is bad, not guessed. What a server makes of
 * a request, such as a body that it doesn't read, can't be seen from here. */
#ifndef MOONBOX_GATEWAY_HTTP_HEAD_H
#define MOONBOX_GATEWAY_HTTP_HEAD_H

#include "name.h"

#include <stdbool.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX = 65536 }; /* bytes of one head, or of the lines between chunks */

enum http_result {
    HTTP_MORE,    /* the bytes are fine so far and all taken; those that end a head or belong to a body may pass */
    HTTP_NOT,     /* the connection's first bytes are no HTTP request: everything may pass from now on */
    HTTP_UPGRADE, /* a head with Upgrade: its body may pass, what follows isn't taken until the server's answer is known */
    HTTP_BAD,     /* must not pass: `reason` says why */
};

/* What is kept of the line that is being read; http_head.c's own. */
struct http_text {
    char line[320]; /* the start of a request line, or a field's value; no longer one matters */
    char field[24]; /* the start of a field's name */
};

/* Zero after http_head_init. All but text, host, requests and reason is http_head.c's own. */
struct http_head {
    struct http_text *text; /* the caller's; needed while feeding, and in between while http_head_reading() */
    char host[NAME_SIZE];   /* canonical, of the first request; an address is in its RFC 5952 form; "" none yet */
    size_t have, named;     /* bytes of line and field that were there, kept or not */
    size_t head;            /* bytes of the head so far */
    uint64_t left;          /* bytes of body or chunk still to come */
    uint64_t fed, cleared;
    int state, matched, digits; /* matched: bytes of a version; digits: of a chunk's size, or of a first "HTTP/" */
    bool odd, saw_http, version_0, has_host, has_length, chunked, upgrade, names_hosts, trailers;
    unsigned requests;  /* heads completed */
    const char *reason; /* of HTTP_BAD: a sentence without a stop */
};

void http_head_init(struct http_head *http);

/* Whether a head has begun and not ended: its text is then needed at the next call. Most connections of a program wait
 * between two requests, and need none. */
bool http_head_reading(const struct http_head *http);

/* Feeds bytes. *passed is how many of all the bytes taken so far (this call's and held ones) may be forwarded: bytes of an
 * unfinished head are held back. HTTP_NOT and HTTP_BAD are final. After HTTP_UPGRADE what lies behind *passed was not
 * taken: it is fed again when more of the body has come, or after http_head_answered. */
enum http_result http_head_feed(struct http_head *http, const uint8_t *bytes, size_t length, uint64_t *passed);

/* The client has ended while bytes of it are held. HTTP_NOT: they are the start of a line that no server takes for a
 * request, and may pass. */
enum http_result http_head_ended(struct http_head *http);

/* After HTTP_UPGRADE: the server's answer began with status 101 (switched: all passes from now on, unless to another
 * protocol that names hosts: HTTP or TLS) or another one. */
void http_head_answered(struct http_head *http, bool switched);

#endif
