/* A byte, and what a client sends: the same passes however it is cut, and what passes is whole requests for one host. */
#include "../../core/gateway/http_head.h"

#include "fuzz.h"

#include <string.h>
#include <strings.h>

struct outcome {
    enum http_result result;
    uint64_t passed;
    unsigned requests;
    bool upgraded;
    char host[NAME_SIZE];
};

/* Feeds all in pieces of random sizes up to `most`. The server's answer to an upgrade comes when nothing else can be done. */
static struct outcome feed(const uint8_t *data, size_t size, size_t most, uint8_t answers)
{
    struct http_head http;
    struct http_text text;
    struct outcome out = {.result = HTTP_MORE};
    uint64_t state = size + most;
    http_head_init(&http);
    http.text = &text;
    for (size_t at = 0; at < size;) {
        size_t piece = 1 + fuzz_next(&state) % most;
        piece = piece < size - at ? piece : size - at;
        uint64_t before = out.passed;
        if (!http_head_reading(&http))
            memset(&text, (int)fuzz_next(&state), sizeof text);
        out.result = http_head_feed(&http, data + at, piece, &out.passed);
        MUST(out.passed >= before && out.passed <= at + piece);
        if (out.result == HTTP_BAD)
            break;
        at += piece;
        if (out.result != HTTP_UPGRADE)
            continue;
        out.upgraded = true;
        at = out.passed;
        if (out.passed == before) {
            http_head_answered(&http, answers & 1);
            answers >>= 1;
        }
    }
    MUST(out.result != HTTP_BAD || http.reason);
    MUST(out.result != HTTP_NOT || out.passed == size);
    out.requests = http.requests;
    memcpy(out.host, http.host, sizeof out.host);
    return out;
}

static const uint8_t *find(const uint8_t *data, size_t size, const char *text)
{
    return memmem(data, size, text, strlen(text));
}

/* The value of a field that is there once; what stands behind it ends it. */
static const char *field(const uint8_t *head, size_t size, const char *name)
{
    const char *value = NULL;
    for (const uint8_t *line = find(head, size, "\r\n"); line;
         line = find(line + 2, size - (size_t)(line + 2 - head), "\r\n"))
        if (size - (size_t)(line + 2 - head) > strlen(name) &&
            strncasecmp((const char *)line + 2, name, strlen(name)) == 0) {
            MUST(!value);
            value = (const char *)line + 2 + strlen(name);
        }
    return value;
}

static size_t skip_chunks(const uint8_t *data, size_t size, size_t at)
{
    while (at < size) {
        size_t length = strtoull((const char *)data + at, NULL, 16);
        const uint8_t *end = find(data + at, size - at, "\r\n");
        MUST(end);
        at = (size_t)(end - data) + 2;
        if (length == 0) {
            end = find(data + at - 2, size - at + 2, "\r\n\r\n");
            return end ? (size_t)(end - data) + 4 : size;
        }
        if (length >= size - at || size - at - length < 2)
            return size;
        MUST(memcmp(data + at + length, "\r\n", 2) == 0);
        at += length + 2;
    }
    return at;
}

/* Reads what passed as simply as can be. */
static void judge(const uint8_t *passed, size_t size, const char *host)
{
    for (size_t at = 0; at < size;) {
        const uint8_t *end = find(passed + at, size - at, "\r\n\r\n");
        MUST(end);
        size_t length = (size_t)(end - passed) - at;
        const char *is = field(passed + at, length, "host:"), *body = field(passed + at, length, "content-length:");
        const char *coding = field(passed + at, length, "transfer-encoding:");
        MUST(is && !(body && coding));
        is += strspn(is, " \t[");
        if (!strchr(host, ':'))
            MUST(strncasecmp(is, host, strlen(host)) == 0 && strchr(".: \t\r", is[strlen(host)]));
        at += length + 4;
        if (coding) {
            at = skip_chunks(passed, size, at);
        } else if (body) {
            size_t count = strtoull(body, NULL, 10);
            at = count < size - at ? at + count : size;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t answers = data[0];
    struct outcome whole = feed(data + 1, size - 1, 1 << 30, answers);
    static const size_t most[] = {1, 2, 7, 100};
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        struct outcome cut = feed(data + 1, size - 1, most[i], answers);
        MUST(cut.result == whole.result && cut.passed == whole.passed && cut.requests == whole.requests);
        MUST(strcmp(cut.host, whole.host) == 0);
    }
    if (whole.result == HTTP_NOT || whole.upgraded)
        return 0;
    char *text = malloc(whole.passed + 1); /* closed, for strtoull */
    MUST(text);
    memcpy(text, data + 1, whole.passed);
    text[whole.passed] = 0;
    judge((uint8_t *)text, whole.passed, whole.host);
    free(text);
    return 0;
}
