#include "dns.h"

#include <stdio.h>
#include <string.h>

enum { HEADER = 12, MAX_NAME = 255, MAX_OTHERS = 4, IN = 1, SOA = 6, IXFR = 251, MAILA = 254 };
enum { QR = 0x80, OPCODE = 0x78, TC = 0x02, RD = 0x01, RA = 0x80, CD = 0x10 }; /* of bytes 2 and 3 */

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* Copies the labels of the name at *at to `text`, with a dot behind each, and moves *at behind it. False when it is no
 * name or a compressed one. A label with a dot in it gives `text` a byte that no name has. */
static bool read_name(const uint8_t *message, size_t length, size_t *at, char text[MAX_NAME + 1], size_t *text_length)
{
    size_t start = *at, used = 0;
    while (*at < length) {
        size_t label = message[(*at)++];
        if (label == 0) {
            *text_length = used;
            return *at - start <= MAX_NAME;
        }
        if (label > 63 || label > length - *at || used + label + 1 > MAX_NAME)
            return false;
        for (size_t i = 0; i < label; i++) {
            char c = (char)message[*at + i];
            if (c == '.')
                c = '\n';
            text[used++] = c;
        }
        text[used++] = '.';
        *at += label;
    }
    return false;
}

/* Moves behind a name which may be compressed. */
static bool skip_name(const uint8_t *message, size_t length, size_t *at)
{
    for (size_t start = *at; *at < length && *at - start <= MAX_NAME;) {
        size_t label = message[(*at)++];
        if (label == 0)
            return true;
        if (label >= 0xc0) {
            *at += 1;
            return *at <= length;
        }
        if (label > 63)
            return false;
        *at += label;
    }
    return false;
}

/* Four decimal labels, last byte first (RFC 1035 section 3.5). */
static bool reverse4(const char *name, struct address *address)
{
    unsigned b[4];
    int end = 0;
    char text[NAME_SIZE];
    if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &b[3], &b[2], &b[1], &b[0], &end) != 4 || end == 0 || name[end])
        return false;
    snprintf(text, sizeof text, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
    if (strcmp(text, name) != 0)
        return false;
    snprintf(text, sizeof text, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    return address_parse(text, address);
}

/* 32 labels of one hexadecimal digit, last one first (RFC 3596 section 2.5). */
static bool reverse6(const char *name, struct address *address)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(name) != 64 + strlen("ip6.arpa") || strcmp(name + 64, "ip6.arpa") != 0)
        return false;
    struct address read = {.length = 16};
    for (size_t i = 0; i < 32; i++) {
        const char *digit = strchr(digits, name[2 * i]);
        if (!digit || name[2 * i + 1] != '.')
            return false;
        read.bytes[15 - i / 2] |= (uint8_t)((digit - digits) << (i % 2 ? 4 : 0));
    }
    *address = read;
    return true;
}

static bool read_opt(const uint8_t *record, struct dns_question *question, int *code)
{
    uint16_t room = get16(record + 2);
    if (question->edns)
        return false; /* one is the most: RFC 6891 section 6.1.1 */
    question->edns = true;
    question->wants_dnssec = record[6] & 0x80;
    if (room > question->room)
        question->room = room < DNS_MAX_UDP ? room : DNS_MAX_UDP;
    if (record[5] != 0)
        *code = DNS_BADVERS;
    return true;
}

/* The records behind the question, of which only OPT is looked at. False when they are malformed. */
static bool read_others(const uint8_t *message, size_t length, struct dns_question *question, int *code)
{
    size_t at = question->end, others = get16(message + 10);
    if (get16(message + 6) || get16(message + 8) || others > MAX_OTHERS)
        return false;
    for (; others > 0; others--) {
        size_t start = at;
        if (!skip_name(message, length, &at) || length - at < 10)
            return false;
        const uint8_t *record = message + at;
        size_t data = get16(record + 8);
        at += 10;
        if (data > length - at)
            return false;
        at += data;
        if (get16(record) == DNS_OPT && (message[start] != 0 || !read_opt(record, question, code)))
            return false;
    }
    return at == length;
}

int dns_parse(const uint8_t *message, size_t length, struct dns_question *question)
{
    char text[MAX_NAME + 1];
    size_t text_length, at = HEADER;
    int code = DNS_NOERROR;
    *question = (struct dns_question){.room = 512};
    if (length < HEADER || message[2] & QR)
        return -1;
    if (message[2] & OPCODE)
        return DNS_NOTIMP;
    if (get16(message + 4) != 1 || !read_name(message, length, &at, text, &text_length) || length - at < 4)
        return DNS_FORMERR;
    name_canonical(text, text_length, question->name);
    question->type = get16(message + at);
    question->class = get16(message + at + 2);
    question->end = at + 4;
    if (!read_others(message, length, question, &code))
        return DNS_FORMERR;
    if (code == DNS_NOERROR && (question->class != IN || (question->type >= IXFR && question->type <= MAILA)))
        return DNS_REFUSED;
    if (question->type == DNS_PTR && !reverse4(question->name, &question->reverse))
        reverse6(question->name, &question->reverse);
    return code;
}

struct writer {
    uint8_t *out;
    size_t used, size;
    bool full;
};

static void put(struct writer *w, const void *bytes, size_t count)
{
    if (count > w->size - w->used)
        w->full = true;
    if (w->full)
        return;
    memcpy(w->out + w->used, bytes, count);
    w->used += count;
}

static void put16(struct writer *w, unsigned value)
{
    put(w, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put32(struct writer *w, uint32_t value)
{
    put16(w, value >> 16);
    put16(w, value & 0xffff);
}

static void put_name(struct writer *w, const char *name)
{
    while (*name) {
        size_t label = strcspn(name, ".");
        put(w, (uint8_t[]){(uint8_t)label}, 1);
        put(w, name, label);
        name += label + (name[label] == '.');
    }
    put(w, "", 1);
}

/* A record about the name of the question. */
static void put_answer(struct writer *w, const struct dns_answer *answer)
{
    uint8_t length = answer->a.length;
    unsigned pointer = answer->pointer ? (unsigned)strlen(answer->pointer) + 2 : 0;
    put16(w, 0xc000 | HEADER);
    put16(w, answer->pointer ? DNS_PTR : (length == 4 ? DNS_A : DNS_AAAA));
    put16(w, IN);
    put32(w, answer->ttl);
    put16(w, answer->pointer ? pointer : length);
    if (answer->pointer)
        put_name(w, answer->pointer);
    else
        put(w, answer->a.bytes, length);
}

/* The authority of an answer that there is nothing (RFC 2308 section 5): the smaller of both times counts. */
static void put_soa(struct writer *w, uint32_t ttl)
{
    put(w, "", 1);
    put16(w, SOA);
    put16(w, IN);
    put32(w, ttl);
    put16(w, 22);
    put(w, "\0", 2); /* server and mailbox: the root, which is neither */
    put32(w, 1);
    put32(w, 3600);
    put32(w, 600);
    put32(w, 86400);
    put32(w, ttl);
}

static void put_opt(struct writer *w, const struct dns_question *question, int code)
{
    put(w, "", 1);
    put16(w, DNS_OPT);
    put16(w, DNS_MAX_UDP);
    put32(w, (uint32_t)code >> 4 << 24 | (question->wants_dnssec ? 0x8000U : 0));
    put16(w, 0);
}

/* The header and what follows; false when it did not fit. */
static bool build(struct writer *w, const uint8_t *query, const struct dns_question *question,
                  const struct dns_answer *answer, bool cut)
{
    int code = answer->code;
    bool negative = !answer->a.length && !answer->pointer && (code == DNS_NOERROR || code == DNS_NXDOMAIN);
    bool positive = !negative && code == DNS_NOERROR;
    uint8_t header[HEADER] = {query[0], query[1]};
    cut = cut || answer->refuse_more;
    header[2] = (uint8_t)(QR | (query[2] & (OPCODE | RD)) | (cut ? TC : 0));
    header[3] = (uint8_t)(RA | (query[3] & CD) | (code & 0xf));
    header[5] = question->end != 0;
    header[7] = positive && !cut;
    header[9] = negative && !cut;
    header[11] = question->edns;
    w->used = 0;
    w->full = false;
    put(w, header, HEADER);
    if (question->end)
        put(w, query + HEADER, question->end - HEADER);
    if (header[7])
        put_answer(w, answer);
    if (header[9])
        put_soa(w, answer->ttl);
    if (question->edns)
        put_opt(w, question, code);
    return !w->full;
}

size_t dns_reply(const uint8_t *query, size_t length, const struct dns_question *question,
                 const struct dns_answer *answer, uint8_t *out, size_t size)
{
    struct writer w = {.out = out, .size = size};
    struct dns_question bare = {0};
    if (length < HEADER || question->end > length)
        return 0;
    if (build(&w, query, question, answer, false) || build(&w, query, question, answer, true) ||
        build(&w, query, &bare, answer, true))
        return w.used;
    return 0;
}
