#include "flows.h"

#include "../util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Seconds that equal refusals are joined for. */
#define JOIN_SECONDS 1.0

enum { LINE = 4096, TEXT = 256, TEXT_ESCAPED = 2 * TEXT };

struct line {
    char bytes[LINE];
    size_t length;
};

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line->bytes + line->length, LINE - line->length, format, arguments);
    va_end(arguments);
    if (n > 0)
        line->length += (size_t)n < LINE - line->length ? (size_t)n : LINE - line->length - 1;
}

/* Most of a line is texts, and one is written for each connection: they don't go through printf(3). */
static void put_bytes(struct line *line, const char *bytes, size_t length)
{
    size_t room = LINE - 1 - line->length;
    length = length < room ? length : room;
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
    line->bytes[line->length] = '\0';
}

static void put_string(struct line *line, const char *string)
{
    put_bytes(line, string, strlen(string));
}

static void put_seconds(struct line *line, double seconds)
{
    uint64_t microseconds = seconds > 0 ? (uint64_t)(seconds * 1e6 + 0.5) : 0;
    put(line, "%llu.%06llu", (unsigned long long)(microseconds / 1000000),
        (unsigned long long)(microseconds % 1000000));
}

/* Bytes of the UTF-8 character at `text` that is no ASCII (RFC 3629 section 4); 0: it is none, or a control. */
static size_t utf8_character(const unsigned char *text)
{
    const unsigned char *t = text;
    size_t length = t[0] >= 0xc2 && t[0] < 0xe0   ? 2
                    : t[0] >= 0xe0 && t[0] < 0xf0 ? 3
                    : t[0] >= 0xf0 && t[0] < 0xf5 ? 4
                                                  : 0;
    for (size_t i = 1; i < length; i++)
        if (t[i] >> 6 != 2)
            return 0;
    bool odd = (t[0] == 0xc2 && t[1] < 0xa0) || (t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] >= 0xa0) ||
               (t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] >= 0x90);
    return odd ? 0 : length;
}

/* RFC 8259, section 7. What is no text is shown as the numbers of its bytes. However it is escaped, it ends in time for all
 * texts of a line to have room: cut JSON is none. */
static void put_text(struct line *line, const char *key, const char *text)
{
    if (!text)
        return;
    put_string(line, ",\"");
    put_string(line, key);
    put_string(line, "\":\"");
    size_t most = line->length + TEXT_ESCAPED;
    for (size_t i = 0, n; text[i] && i < TEXT && line->length < most; i += n) {
        unsigned char c = (unsigned char)text[i];
        n = c < 0x80 ? 1 : utf8_character((const unsigned char *)text + i);
        if (c == '"' || c == '\\')
            put_bytes(line, (const char[]){'\\', (char)c}, 2);
        else if (n == 0 || c < 0x20 || c == 0x7f)
            put(line, "\\u%04x", c);
        else
            put_bytes(line, text + i, n);
        n += n == 0;
    }
    put_string(line, "\"");
}

/* All of a line but time and count. */
static void put_flow(struct line *line, const struct flows *flows, const struct flow *flow)
{
    char address[ADDRESS_TEXT];
    put_string(line, "\"event\":\"");
    put_string(line, flow->event);
    put_string(line, "\"");
    if (flow->inbound)
        put_string(line, ",\"direction\":\"in\"");
    if (flow->id)
        put(line, ",\"id\":%llu", (unsigned long long)flow->id);
    put_text(line, "step", flows->step);
    put_text(line, "name", flow->name);
    if (flow->address.length) {
        address_format(&flow->address, address);
        put_text(line, "address", address);
    }
    if (flow->port)
        put(line, ",\"port\":%u", flow->port);
    put_text(line, "protocol", flow->protocol);
    put_text(line, "type", flow->type);
    put_text(line, "sni", flow->sni);
    put_text(line, "verdict", flow->allow ? "allow" : "deny");
    put_text(line, "rule", flow->rule);
    put_text(line, "reason", flow->reason);
    if (flow->watch)
        put_string(line, ",\"watch\":true");
    if (flow->open)
        put_string(line, ",\"open\":true");
    if (flow->counted) {
        put(line, ",\"up\":%llu,\"down\":%llu,\"seconds\":", (unsigned long long)flow->up,
            (unsigned long long)flow->down);
        put_seconds(line, flow->seconds);
    }
    put_text(line, "outcome", flow->outcome);
}

static void write_out(struct flows *flows)
{
    if (flows->have == 0)
        return;
    if (flows->fd >= 0 && !flows->failed && util_write_all(flows->fd, flows->buffer, flows->have) < 0)
        flows->failed = true;
    flows->have = 0;
}

static void append(struct flows *flows, const char *body, double age, uint64_t count)
{
    struct timespec now;
    struct line line;
    line.length = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    put_string(&line, "{\"time\":");
    put_seconds(&line, (double)now.tv_sec + (double)now.tv_nsec / 1e9 - age);
    put_string(&line, ",");
    put_string(&line, body);
    if (count > 1)
        put(&line, ",\"count\":%llu", (unsigned long long)count);
    put_string(&line, "}\n");
    if (flows->fd < 0 || flows->full)
        return;
    if (line.length > flows->left) {
        flows->full = true;
        return;
    }
    flows->left -= line.length;
    if (line.length > FLOWS_BUFFER - flows->have)
        write_out(flows);
    memcpy(flows->buffer + flows->have, line.bytes, line.length);
    flows->have += line.length;
}

void flows_init(struct flows *flows, int fd, const char *step, uint64_t most)
{
    memset(flows, 0, sizeof *flows);
    flows->fd = fd;
    flows->step = step;
    flows->left = most;
}

/* The first of equal refusals is written at once, its repetitions when the time is over or the place is needed. */
static void end_joined(struct flows *flows, struct joined *joined, double now)
{
    if (joined->key[0] && joined->count > 0)
        append(flows, joined->key, now - joined->since, joined->count);
    joined->key[0] = '\0';
}

static void join(struct flows *flows, const struct line *line, double now)
{
    unsigned hash = 2166136261u;
    for (size_t i = 0; i < line->length; i++)
        hash = (hash ^ (unsigned char)line->bytes[i]) * 16777619u;
    struct joined *joined = &flows->joined[hash % FLOWS_JOINED];
    if (line->length < FLOWS_KEY && strcmp(joined->key, line->bytes) == 0 && now - joined->since < JOIN_SECONDS) {
        joined->count++;
        return;
    }
    end_joined(flows, joined, now);
    append(flows, line->bytes, 0, 1);
    if (line->length >= FLOWS_KEY)
        return;
    memcpy(joined->key, line->bytes, line->length + 1);
    joined->since = now;
    joined->count = 0;
    flows->any_joined = true;
}

void flows_add(struct flows *flows, const struct flow *flow, double now)
{
    struct line line;
    line.length = 0;
    line.bytes[0] = '\0';
    put_flow(&line, flows, flow);
    if (flow->allow || flow->counted)
        append(flows, line.bytes, 0, flow->count);
    else
        join(flows, &line, now);
}

void flows_flush(struct flows *flows, double now, bool all)
{
    bool left = false;
    for (size_t i = 0; flows->any_joined && i < FLOWS_JOINED; i++) {
        struct joined *joined = &flows->joined[i];
        if (joined->key[0] && (all || now - joined->since >= JOIN_SECONDS))
            end_joined(flows, joined, now);
        left = left || joined->key[0];
    }
    flows->any_joined = left;
    write_out(flows);
}

bool flows_ok(const struct flows *flows)
{
    return !flows->full && !flows->failed;
}
