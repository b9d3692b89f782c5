/* A query: whatever it is, the reply is a message that can be read to its last byte and is about the same question. */
#include "../../core/gateway/dns.h"

#include "fuzz.h"

#include <string.h>

static size_t number(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

static size_t skip_name(const uint8_t *message, size_t length, size_t at)
{
    for (;;) {
        MUST(at < length);
        size_t label = message[at++];
        if (label == 0)
            return at;
        if (label >= 0xc0) {
            MUST(at < length && message[at] == 12);
            return at + 1;
        }
        MUST(label <= 63);
        at += label;
    }
}

static void read_reply(const uint8_t *query, size_t query_length, const uint8_t *reply, size_t length)
{
    MUST(length >= 12 && memcmp(query, reply, 2) == 0 && reply[2] & 0x80);
    MUST((reply[2] & 0x79) == (query[2] & 0x79));
    size_t at = 12;
    for (size_t i = number(reply + 4); i > 0; i--) {
        at = skip_name(reply, length, at) + 4;
        MUST(at <= length && at <= query_length && memcmp(query + 12, reply + 12, at - 12) == 0);
    }
    for (size_t i = number(reply + 6) + number(reply + 8) + number(reply + 10); i > 0; i--) {
        at = skip_name(reply, length, at) + 10;
        MUST(at <= length);
        at += number(reply + at - 2);
        MUST(at <= length);
    }
    MUST(at == length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t sizes[] = {DNS_MAX_UDP, 512, 60, 30, 12, 11};
    struct dns_question question;
    char canonical[NAME_SIZE];
    int code = dns_parse(data, size, &question);
    if (code < 0) {
        MUST(size < 12 || data[2] & 0x80);
        return 0;
    }
    MUST(question.end <= size && question.room >= 512 && question.room <= DNS_MAX_UDP);
    MUST(question.name[0] == 0 || name_canonical(question.name, strlen(question.name), canonical));
    struct dns_answer answers[] = {{.code = code},
                                   {.code = DNS_NXDOMAIN, .ttl = 5},
                                   {.a = {4, {198, 18, 0, 1}}, .ttl = 60},
                                   {.a = {16, {0x20, 1}}, .ttl = 60},
                                   {.pointer = question.name[0] ? question.name : "a.example"},
                                   {.refuse_more = true}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            uint8_t *reply = malloc(sizes[s]);
            MUST(reply);
            size_t length = dns_reply(data, size, &question, &answers[i], reply, sizes[s]);
            MUST((length == 0) == (sizes[s] < 12));
            if (length)
                read_reply(data, size, reply, length);
            free(reply);
        }
    return 0;
}
