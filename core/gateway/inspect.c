#include "inspect.h"

#include "hello.h"
#include "http_head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum stage { STAGE_FIRST, STAGE_HTTP, STAGE_ANSWER };

enum { ANSWER = 12 }; /* bytes of "HTTP/1.1 101" */

struct inspect {
    const char *name;
    enum stage stage;
    uint8_t *bytes; /* the client's, not let pass yet; let pass are the first `passed` of them until the next call */
    size_t have, room, passed;
    struct http_head *http;
    uint64_t allowed; /* of the client's bytes, let pass by http */
    char answer[ANSWER];
    size_t answered;
    bool server_spoke;
    char *sni; /* NULL none; most connections that stay under inspection are not TLS, so not in here */
};

struct inspect *inspect_new(const char *name)
{
    struct inspect *inspect = calloc(1, sizeof *inspect);
    if (inspect)
        inspect->name = name;
    return inspect;
}

void inspect_free(struct inspect *inspect)
{
    if (!inspect)
        return;
    free(inspect->bytes);
    if (inspect->http)
        free(inspect->http->text);
    free(inspect->http);
    free(inspect->sni);
    free(inspect);
}

bool inspect_wants_server(const struct inspect *inspect)
{
    return inspect->stage == STAGE_ANSWER;
}

bool inspect_holds(const struct inspect *inspect)
{
    return inspect->have > inspect->passed;
}

void inspect_server_spoke(struct inspect *inspect)
{
    inspect->server_spoke = true;
}

const char *inspect_sni(const struct inspect *inspect)
{
    return inspect->sni;
}

static void refuse(struct inspect_result *result, const char *reason)
{
    result->verdict = INSPECT_REFUSE;
    result->length = 0;
    snprintf(result->reason, sizeof result->reason, "%s", reason);
}

static void refuse_name(struct inspect_result *result, const char *where, const char *said, const char *name)
{
    result->verdict = INSPECT_REFUSE;
    result->length = 0;
    snprintf(result->reason, sizeof result->reason, "%s names %.100s on a connection to %.100s", where, said, name);
}

static void let_pass(struct inspect *inspect, size_t length, struct inspect_result *result)
{
    result->pass = inspect->bytes;
    result->length = inspect->passed = length;
}

static void let_all(struct inspect *inspect, struct inspect_result *result)
{
    result->verdict = INSPECT_DONE;
    let_pass(inspect, inspect->have, result);
}

/* What the last call let pass has been taken. */
static void forget_passed(struct inspect *inspect)
{
    if (inspect->passed == 0)
        return;
    inspect->have -= inspect->passed;
    memmove(inspect->bytes, inspect->bytes + inspect->passed, inspect->have);
    inspect->passed = 0;
}

static bool append(struct inspect *inspect, const uint8_t *bytes, size_t length)
{
    if (inspect->have + length > inspect->room) {
        /* Mostly one head comes at a time, and waits here until the next: no more than that. */
        size_t room = inspect->have + length + inspect->have / 2;
        uint8_t *grown = realloc(inspect->bytes, room);
        if (!grown)
            return false;
        inspect->bytes = grown;
        inspect->room = room;
    }
    if (length > 0)
        memcpy(inspect->bytes + inspect->have, bytes, length);
    inspect->have += length;
    return true;
}

/* `name`: "" when there is none. */
static void tls(struct inspect *inspect, const char *name, struct inspect_result *result)
{
    if (*name && !(inspect->sni = strdup(name)))
        refuse(result, "the gateway is out of memory");
    else if (inspect->name && !*name)
        refuse(result, "TLS without a server name (SNI)");
    else if (inspect->name && strcmp(name, inspect->name) != 0)
        refuse_name(result, "TLS (SNI)", name, inspect->name);
    else
        let_all(inspect, result);
}

static enum http_result feed(struct inspect *inspect, size_t seen)
{
    struct http_head *http = inspect->http;
    if (!http->text && !(http->text = malloc(sizeof *http->text))) {
        http->reason = "the gateway is out of memory";
        return HTTP_BAD;
    }
    enum http_result said = http_head_feed(http, inspect->bytes + seen, inspect->have - seen, &inspect->allowed);
    if (!http_head_reading(http)) {
        free(http->text);
        http->text = NULL;
    }
    return said;
}

/* Gives the parser what it has not seen yet; it stops by itself behind an upgrade. */
static void http(struct inspect *inspect, bool ended, struct inspect_result *result)
{
    uint64_t before = inspect->allowed;
    size_t seen = (size_t)(inspect->http->fed - before);
    enum http_result said = feed(inspect, seen);
    if (said == HTTP_NOT) {
        let_all(inspect, result);
        return;
    }
    if (said == HTTP_BAD) {
        refuse(result, inspect->http->reason);
        return;
    }
    if (inspect->name && inspect->http->requests > 0 && strcmp(inspect->http->host, inspect->name) != 0) {
        refuse_name(result, "HTTP (Host)", inspect->http->host, inspect->name);
        return;
    }
    let_pass(inspect, (size_t)(inspect->allowed - before), result);
    if (said == HTTP_UPGRADE && inspect->stage != STAGE_ANSWER) {
        if (inspect->server_spoke || inspect->http->requests > 1)
            refuse(result, "an HTTP upgrade on a connection that was used before");
        inspect->stage = STAGE_ANSWER;
    }
    if (inspect->have - inspect->passed > HTTP_HEAD_MAX)
        refuse(result, "an HTTP head without its end");
    if (!ended || !inspect_holds(inspect) || result->verdict == INSPECT_REFUSE)
        return;
    if (http_head_ended(inspect->http) == HTTP_NOT)
        let_all(inspect, result);
    else
        refuse(result, inspect->http->reason);
}

static void first(struct inspect *inspect, bool ended, struct inspect_result *result)
{
    char name[NAME_SIZE] = "";
    switch (hello_scan(inspect->bytes, inspect->have, name)) {
    case HELLO_NAMED:
        tls(inspect, name, result);
        return;
    case HELLO_NAMELESS:
        tls(inspect, "", result);
        return;
    case HELLO_BAD:
        refuse(result, "a TLS ClientHello that makes no sense");
        return;
    case HELLO_MORE:
        if (ended && inspect->have > 0)
            refuse(result, "a TLS ClientHello without its end");
        return;
    case HELLO_NOT_TLS:
        break;
    }
    inspect->http = malloc(sizeof *inspect->http);
    if (!inspect->http) {
        refuse(result, "the gateway is out of memory");
        return;
    }
    http_head_init(inspect->http);
    inspect->stage = STAGE_HTTP;
    http(inspect, ended, result);
}

void inspect_client(struct inspect *inspect, const uint8_t *bytes, size_t length, bool ended,
                    struct inspect_result *result)
{
    *result = (struct inspect_result){.verdict = INSPECT_MORE, .pass = NULL};
    forget_passed(inspect);
    if (!append(inspect, bytes, length)) {
        refuse(result, "the gateway is out of memory");
        return;
    }
    if (inspect->have == 0 && ended)
        return;
    switch (inspect->stage) {
    case STAGE_FIRST:
        first(inspect, ended, result);
        break;
    case STAGE_HTTP:
    case STAGE_ANSWER:
        http(inspect, ended, result);
        break;
    }
}

void inspect_server(struct inspect *inspect, const uint8_t *bytes, size_t length, struct inspect_result *result)
{
    *result = (struct inspect_result){.verdict = INSPECT_MORE, .pass = NULL};
    forget_passed(inspect);
    size_t n = length < ANSWER - inspect->answered ? length : ANSWER - inspect->answered;
    memcpy(inspect->answer + inspect->answered, bytes, n);
    inspect->answered += n;
    if (inspect->answered < ANSWER)
        return;
    bool switched = memcmp(inspect->answer, "HTTP/1.", 7) == 0 && memcmp(inspect->answer + 8, " 101", 4) == 0;
    inspect->server_spoke = true;
    http_head_answered(inspect->http, switched);
    inspect->stage = STAGE_HTTP; /* and it is asked again: what the connection turned to may be refused */
    http(inspect, false, result);
}
