/* http_head.c - one byte after another through a table of states; bodies are passed over in one go.
 *
 * The hard question is what is no HTTP at all: whatever is called so passes unread. A first line is HTTP when some server
 * might take it for a request line: it begins, after any white space, with what a method is made of, and it has "HTTP/" in
 * it or is the GET of HTTP/0.9. Such a line is then held to the letter of RFC 9112. Anything else is another protocol, but for
 * the header of the PROXY protocol, behind which a server begins anew. */
#include "http_head.h"

#include "authority.h"

#include <string.h>
#include <strings.h>

enum state {
    METHOD,
    TARGET,
    VERSION,
    REQUEST_LF, /* behind the CR of a request line */
    ODD_LINE,   /* a first line that is no good request line: up to its end, to see what it is */
    FIELD_START,
    FIELD_NAME,
    FIELD_VALUE,
    FIELD_LF,
    HEAD_LF, /* behind the CR of the empty line */
    CHUNK_SIZE,
    CHUNK_SIZE_LF,
    CHUNK_END,
    CHUNK_END_LF,
    BODY,
    CHUNK,
    HELD, /* a request with Upgrade is whole, the answer is not known */
    PASS,
    BAD,
};

static enum http_result bad(struct http_head *http, const char *reason)
{
    http->state = BAD;
    http->reason = reason;
    return HTTP_BAD;
}

static enum http_result go(struct http_head *http, enum state state)
{
    http->state = (int)state;
    return HTTP_MORE;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 9110 section 5.6.2. */
static bool is_token(uint8_t c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_control(uint8_t c)
{
    return c < 0x20 || c == 0x7f;
}

/* Adds a byte to a buffer which keeps the first `size`; *have goes on counting. */
static void keep(char *buffer, size_t size, size_t *have, uint8_t c)
{
    if (*have < size)
        buffer[*have] = (char)c;
    *have += 1;
}

static bool is_word(const char *kept, size_t have, const char *word)
{
    return have == strlen(word) && strncasecmp(kept, word, have) == 0;
}

void http_head_init(struct http_head *http)
{
    memset(http, 0, sizeof *http);
}

bool http_head_reading(const struct http_head *http)
{
    return http->state == METHOD ? http->named > 0 : http->state <= HEAD_LF;
}

static enum http_result start_request(struct http_head *http)
{
    http->head = http->have = http->named = http->left = 0;
    http->matched = http->digits = 0;
    http->has_host = http->has_length = http->chunked = http->upgrade = http->names_hosts = http->trailers = false;
    return go(http, METHOD);
}

static enum http_result end_request(struct http_head *http)
{
    return http->upgrade ? go(http, HELD) : start_request(http);
}

static enum http_result see_host(struct http_head *http, const char *text, size_t length)
{
    char host[NAME_SIZE] = "";
    if (!authority_host(text, length, host))
        return bad(http, "the Host of a request is no name");
    if (!http->host[0])
        memcpy(http->host, host, sizeof host);
    return strcmp(http->host, host) == 0 ? HTTP_MORE : bad(http, "a request is for another host than the first");
}

/* Origin form, `*` of OPTIONS, or absolute form, whose host is the one that counts (RFC 9112 section 3.2.2). */
static enum http_result see_target(struct http_head *http)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};
    size_t have = http->have < sizeof http->text->line ? http->have : sizeof http->text->line;
    if (is_word(http->text->field, http->named, "CONNECT"))
        return bad(http, "CONNECT asks for another host");
    if (http->text->line[0] == '/')
        return HTTP_MORE;
    if (http->have == 1 && http->text->line[0] == '*' && is_word(http->text->field, http->named, "OPTIONS"))
        return HTTP_MORE;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t start = strlen(schemes[i]), end;
        if (have < start || strncasecmp(http->text->line, schemes[i], start) != 0)
            continue;
        for (end = start; end < have && !strchr("/?#", http->text->line[end]);)
            end++;
        if (end == have && have < http->have)
            break;
        return see_host(http, http->text->line + start, end - start);
    }
    return bad(http, "the target of a request has no known form");
}

static enum http_result end_request_line(struct http_head *http)
{
    if (http->odd)
        return bad(http, http->reason);
    if (see_target(http) == HTTP_BAD)
        return HTTP_BAD;
    http->have = http->named = 0;
    http->digits = 0;
    return go(http, FIELD_START);
}

static const char proxied[] = "a PROXY header, behind which anything could be meant";

static enum http_result other(struct http_head *http)
{
    http->reason = NULL;
    go(http, PASS);
    return HTTP_NOT;
}

/* The end of a first line that is no good request line. */
static enum http_result end_odd_line(struct http_head *http)
{
    bool get = http->named == 3 && memcmp(http->text->field, "GET", 3) == 0;
    bool http_0_9 = get && ((http->have > 0 && http->text->line[0] == '/') ||
                            (http->have >= 5 && strncasecmp(http->text->line, "http:", 5) == 0));
    if (is_word(http->text->field, http->named, "PROXY"))
        return bad(http, proxied);
    return http->saw_http || http_0_9 ? bad(http, http->reason) : other(http);
}

/* A length in front, as git's protocol has it, looks like a method; no server takes such a one and a NUL besides. */
static enum http_result in_odd_line(struct http_head *http, uint8_t c)
{
    if (c == 0 && !http->saw_http && http->named && !is_letter((uint8_t)http->text->field[0]))
        return other(http);
    return c == '\n' ? end_odd_line(http) : HTTP_MORE;
}

static enum http_result odd(struct http_head *http, uint8_t c, const char *reason)
{
    if (http->requests)
        return bad(http, reason);
    if (!http->odd)
        http->reason = reason;
    http->odd = true;
    go(http, ODD_LINE);
    return in_odd_line(http, c);
}

static enum http_result in_method(struct http_head *http, uint8_t c)
{
    if (is_token(c)) {
        keep(http->text->field, sizeof http->text->field, &http->named, c);
        return HTTP_MORE;
    }
    if (http->named && c == ' ')
        return go(http, TARGET);
    if (http->requests)
        return bad(http, "what follows a request is no request");
    if (http->named == 0 && is_space(c)) {
        http->odd = true;
        http->reason = "white space before a request";
        return HTTP_MORE;
    }
    if (http->named && is_space(c))
        return odd(http, c, "a method that no space follows");
    /* Its binary form begins with CR LF CR LF NUL. */
    return c == 0 && http->odd && http->fed == 5 ? bad(http, proxied) : other(http);
}

static enum http_result in_target(struct http_head *http, uint8_t c)
{
    if (c == ' ' && http->have)
        return go(http, VERSION);
    if (c == ' ' || is_control(c))
        return odd(http, c, "a request line without its three parts");
    keep(http->text->line, sizeof http->text->line, &http->have, c);
    return HTTP_MORE;
}

static enum http_result in_version(struct http_head *http, uint8_t c)
{
    static const char version[] = "HTTP/1.";
    size_t at = (size_t)http->matched++;
    if (at < strlen(version) ? c == (uint8_t)version[at] : at == strlen(version) && (c == '0' || c == '1')) {
        http->version_0 = c == '0';
        return HTTP_MORE;
    }
    if (at > strlen(version) && c == '\r')
        return go(http, REQUEST_LF);
    return odd(http, c, "a version that is neither HTTP/1.0 nor HTTP/1.1");
}

static enum http_result after_request(struct http_head *http, uint8_t c)
{
    return c == '\n' ? end_request_line(http) : odd(http, c, "a CR inside a request line");
}

static enum http_result at_field(struct http_head *http, uint8_t c)
{
    if (c == '\r')
        return go(http, HEAD_LF);
    if (!is_token(c))
        return bad(http, c == ' ' || c == '\t' ? "a folded header" : "a header without a name");
    http->have = http->named = 0;
    keep(http->text->field, sizeof http->text->field, &http->named, c);
    return go(http, FIELD_NAME);
}

static enum http_result in_field(struct http_head *http, uint8_t c)
{
    if (c == ':')
        return go(http, FIELD_VALUE);
    if (!is_token(c))
        return bad(http, "a header whose name no colon follows");
    keep(http->text->field, sizeof http->text->field, &http->named, c);
    return HTTP_MORE;
}

static enum http_result in_value(struct http_head *http, uint8_t c)
{
    if (c == '\r')
        return go(http, FIELD_LF);
    if (is_control(c) && c != '\t')
        return bad(http, c == '\n' ? "a line that ends without CR" : "a control character in a header");
    if (http->have || (c != ' ' && c != '\t'))
        keep(http->text->line, sizeof http->text->line, &http->have, c);
    return HTTP_MORE;
}

static enum http_result see_length(struct http_head *http)
{
    bool good = http->have >= 1 && http->have <= 18 && (http->text->line[0] != '0' || http->have == 1);
    for (size_t i = 0; good && i < http->have; i++) {
        good = http->text->line[i] >= '0' && http->text->line[i] <= '9';
        http->left = http->left * 10 + (uint64_t)(http->text->line[i] - '0');
    }
    if (!good || http->has_length || http->chunked)
        return bad(http, "a body with two lengths, or a length that is no number");
    http->has_length = true;
    return HTTP_MORE;
}

static enum http_result see_encoding(struct http_head *http)
{
    if (http->has_length || http->chunked || http->version_0 || !is_word(http->text->line, http->have, "chunked"))
        return bad(http, "a body whose end is not certain");
    http->chunked = true;
    return HTTP_MORE;
}

/* Other protocols in which a client names hosts, and which nobody would look into. */
static enum http_result see_upgrade(struct http_head *http)
{
    static const char *const words[] = {"h2", "h3", "http", "tls"};
    http->upgrade = true;
    if (http->have > sizeof http->text->line)
        http->names_hosts = true;
    for (size_t i = 0; i < http->have && i < sizeof http->text->line; i++)
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            size_t length = strlen(words[w]);
            if (http->have - i >= length && strncasecmp(http->text->line + i, words[w], length) == 0)
                http->names_hosts = true;
        }
    return HTTP_MORE;
}

static enum http_result end_field(struct http_head *http)
{
    static const struct {
        const char *name;
        enum http_result (*see)(struct http_head *);
    } fields[] = {
        {"host", NULL}, {"content-length", see_length}, {"transfer-encoding", see_encoding}, {"upgrade", see_upgrade}};
    char name[sizeof http->text->field];
    size_t kept = http->have < sizeof http->text->line ? http->have : sizeof http->text->line;
    go(http, FIELD_START);
    for (size_t i = 0; i < http->named && i < sizeof name; i++) {
        name[i] = http->text->field[i];
        if (name[i] == '_')
            name[i] = '-';
    }
    while (kept == http->have && kept > 0 && (http->text->line[kept - 1] == ' ' || http->text->line[kept - 1] == '\t'))
        kept = --http->have;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (http->named >= sizeof name || !is_word(name, http->named, fields[i].name))
            continue;
        if (http->trailers || memchr(http->text->field, '_', http->named))
            return bad(http, http->trailers ? "a trailer about a message's end" : "a header with _ for -");
        if (fields[i].see)
            return fields[i].see(http);
        if (http->has_host || kept < http->have)
            return bad(http, "a request with two Hosts, or one that is too long");
        http->has_host = true;
        return see_host(http, http->text->line, kept);
    }
    return HTTP_MORE;
}

static enum http_result after_value(struct http_head *http, uint8_t c)
{
    return c == '\n' ? end_field(http) : bad(http, "a CR inside a header");
}

static enum http_result after_head(struct http_head *http, uint8_t c)
{
    if (c != '\n')
        return bad(http, "a CR where a head ends");
    if (http->trailers) {
        http->cleared = http->fed;
        return end_request(http);
    }
    if (!http->has_host)
        return bad(http, "a request without Host");
    if (http->chunked && http->upgrade)
        return bad(http, "an upgrade with a chunked body");
    http->requests++;
    http->cleared = http->fed;
    http->head = 0;
    if (http->chunked)
        return go(http, CHUNK_SIZE);
    return http->left ? go(http, BODY) : end_request(http);
}

static enum http_result in_size(struct http_head *http, uint8_t c)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : -1;
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        digit = (c | 0x20) - 'a' + 10;
    if (digit >= 0 && ++http->digits <= 15) {
        http->left = http->left * 16 + (unsigned)digit;
        return HTTP_MORE;
    }
    if (c == '\r' && http->digits > 0)
        return go(http, CHUNK_SIZE_LF);
    return bad(http, "a chunk whose size is not just a number");
}

static enum http_result after_size(struct http_head *http, uint8_t c)
{
    if (c != '\n')
        return bad(http, "a CR in a chunk's size");
    http->cleared = http->fed;
    http->head = 0;
    http->digits = 0;
    http->trailers = http->left == 0;
    return go(http, http->left ? CHUNK : FIELD_START);
}

static enum http_result after_chunk(struct http_head *http, uint8_t c)
{
    return c == '\r' ? go(http, CHUNK_END_LF) : bad(http, "a chunk that is longer than its size");
}

static enum http_result after_chunk_cr(struct http_head *http, uint8_t c)
{
    if (c != '\n')
        return bad(http, "a chunk that is longer than its size");
    http->cleared = http->fed;
    return go(http, CHUNK_SIZE);
}

static void watch_for_http(struct http_head *http, uint8_t c)
{
    static const char word[] = "http/";
    uint8_t lower = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    if (lower == (uint8_t)word[http->digits])
        http->digits++;
    else
        http->digits = lower == 'h';
    http->saw_http = http->saw_http || http->digits == 5;
    http->digits %= 5;
}

static enum http_result step(struct http_head *http, uint8_t c)
{
    static enum http_result (*const steps[])(struct http_head *, uint8_t) = {
        [METHOD] = in_method,      [TARGET] = in_target,
        [VERSION] = in_version,    [REQUEST_LF] = after_request,
        [ODD_LINE] = in_odd_line,  [FIELD_START] = at_field,
        [FIELD_NAME] = in_field,   [FIELD_VALUE] = in_value,
        [FIELD_LF] = after_value,  [HEAD_LF] = after_head,
        [CHUNK_SIZE] = in_size,    [CHUNK_SIZE_LF] = after_size,
        [CHUNK_END] = after_chunk, [CHUNK_END_LF] = after_chunk_cr,
    };
    http->fed++;
    if (http->requests == 0 && http->state <= ODD_LINE)
        watch_for_http(http, c);
    if (++http->head > HTTP_HEAD_MAX)
        return bad(http, "a head of more than 64 KiB");
    return steps[http->state](http, c);
}

/* Passes over as much of a body as there is. Returns the bytes taken. */
static size_t skip_body(struct http_head *http, size_t length)
{
    size_t taken = http->left < length ? (size_t)http->left : length;
    http->left -= taken;
    http->fed += taken;
    http->cleared = http->fed;
    if (http->left == 0 && http->state == CHUNK)
        go(http, CHUNK_END);
    else if (http->left == 0)
        end_request(http);
    return taken;
}

enum http_result http_head_feed(struct http_head *http, const uint8_t *bytes, size_t length, uint64_t *passed)
{
    size_t at = 0;
    while (at < length && http->state < HELD) {
        if (http->state == BODY || http->state == CHUNK)
            at += skip_body(http, length - at);
        else
            step(http, bytes[at++]);
    }
    if (http->state == PASS) {
        http->fed += length - at;
        http->cleared = http->fed;
    }
    *passed = http->cleared;
    if (http->state == BAD || http->state == PASS)
        return http->state == BAD ? HTTP_BAD : HTTP_NOT;
    return http->upgrade && http->cleared == http->fed ? HTTP_UPGRADE : HTTP_MORE;
}

enum http_result http_head_ended(struct http_head *http)
{
    if (http->requests || http->state > (int)ODD_LINE || http->state == (int)REQUEST_LF)
        return bad(http, "an HTTP head without its end");
    if (!http->odd)
        http->reason = "an HTTP request line without its end";
    return http->named ? end_odd_line(http) : other(http);
}

void http_head_answered(struct http_head *http, bool switched)
{
    bool held = http->state == HELD;
    if (http->state == BAD || http->state == PASS || !http->upgrade)
        return;
    http->upgrade = false;
    if (switched && http->names_hosts)
        bad(http, "the connection turned to another protocol that names hosts");
    else if (switched)
        go(http, PASS);
    else if (held)
        start_request(http);
}
