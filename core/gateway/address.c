#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct block {
    struct address first;
    unsigned bits;
};

/* IANA IPv4 special-purpose registry and class D and E. Left out: the documentation ranges (RFC 5737), and the AS112 and
 * AMT anycast services, which are public. */
static const struct block internal4[] = {
    {{4, {0}}, 8},            /* this network, RFC 791 */
    {{4, {10}}, 8},           /* RFC 1918 */
    {{4, {100, 64}}, 10},     /* shared, RFC 6598 */
    {{4, {127}}, 8},          /* loopback, RFC 1122 */
    {{4, {169, 254}}, 16},    /* link-local, RFC 3927; metadata services */
    {{4, {172, 16}}, 12},     /* RFC 1918 */
    {{4, {192, 0, 0}}, 24},   /* protocol assignments, RFC 6890 */
    {{4, {192, 88, 99}}, 24}, /* the nearest 6to4 relay, whoever runs it, RFC 7526 */
    {{4, {192, 168}}, 16},    /* RFC 1918 */
    {{4, {198, 18}}, 15},     /* benchmarking, RFC 2544; and the gateway's own synthetic addresses */
    {{4, {224}}, 3},          /* multicast, reserved, broadcast */
};

/* Of IPv6 only global unicast is public (RFC 4291 section 2.4), and not all of it. */
static const struct block global6 = {{16, {0x20}}, 3};
static const struct block internal6[] = {
    {{16, {0x20, 0x01}}, 23}, /* protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID */
};

/* IPv6 forms that carry an IPv4 address: where it begins. */
static const struct carrier {
    struct block block;
    unsigned at;
} carriers[] = {
    {{{16, {0}}, 96}, 12},                                        /* compatible, RFC 4291; with :: and ::1 */
    {{{16, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96}, 12}, /* mapped, RFC 4291 */
    {{{16, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96}, 12},       /* translated, RFC 2765 */
    {{{16, {0, 0x64, 0xff, 0x9b}}, 96}, 12},                      /* NAT64, RFC 6052 */
    {{{16, {0x20, 0x02}}, 16}, 2},                                /* 6to4, RFC 3056 */
};
enum { MAPPED = 1 };

bool address_parse(const char *text, struct address *address)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, address->bytes) == 1)
        address->length = 4;
    else if (inet_pton(AF_INET6, text, address->bytes) == 1)
        address->length = 16;
    else
        memset(address, 0, sizeof *address);
    return address->length != 0;
}

static unsigned group(const uint8_t *bytes, int number)
{
    const uint8_t *at = bytes + (size_t)number * 2;
    return (unsigned)at[0] << 8 | at[1];
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 section 4.2). Its length, 0 for none. */
static int longest_zeros(const uint8_t *bytes, int *start)
{
    int best = 1;
    *start = -1;
    for (int i = 0; i < 8; i++) {
        int n = 0;
        while (i + n < 8 && group(bytes, i + n) == 0)
            n++;
        if (n > best) {
            best = n;
            *start = i;
        }
    }
    return *start < 0 ? 0 : best;
}

static void format6(const uint8_t *bytes, char text[ADDRESS_TEXT])
{
    int start, zeros = longest_zeros(bytes, &start);
    size_t used = 0;
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            used += (size_t)snprintf(text + used, ADDRESS_TEXT - used, "::");
            i += zeros - 1;
            continue;
        }
        const char *colon = i == 0 || (start >= 0 && i == start + zeros) ? "" : ":";
        used += (size_t)snprintf(text + used, ADDRESS_TEXT - used, "%s%x", colon, group(bytes, i));
    }
}

void address_format(const struct address *address, char text[ADDRESS_TEXT])
{
    const uint8_t *b = address->bytes;
    text[0] = 0;
    if (address->length == 4)
        snprintf(text, ADDRESS_TEXT, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else if (address->length == 16 && address_in(address, &carriers[MAPPED].block.first, 96))
        snprintf(text, ADDRESS_TEXT, "::ffff:%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
    else if (address->length == 16)
        format6(b, text);
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

bool address_in(const struct address *address, const struct address *block, unsigned bits)
{
    if (address->length == 0 || address->length != block->length || bits > address->length * 8U)
        return false;
    if (memcmp(address->bytes, block->bytes, bits / 8) != 0)
        return false;
    unsigned mask = 0xff00U >> (bits % 8) & 0xff;
    return bits % 8 == 0 || ((address->bytes[bits / 8] ^ block->bytes[bits / 8]) & mask) == 0;
}

bool address_inner(const struct address *address, struct address *inner)
{
    for (size_t i = 0; i < sizeof carriers / sizeof carriers[0]; i++) {
        if (!address_in(address, &carriers[i].block.first, carriers[i].block.bits))
            continue;
        *inner = (struct address){.length = 4};
        memcpy(inner->bytes, address->bytes + carriers[i].at, 4);
        return true;
    }
    return false;
}

static bool in_any(const struct address *address, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (address_in(address, &blocks[i].first, blocks[i].bits))
            return true;
    return false;
}

bool address_internal(const struct address *address)
{
    struct address inner;
    if (address_inner(address, &inner))
        address = &inner;
    if (address->length == 4)
        return in_any(address, internal4, sizeof internal4 / sizeof internal4[0]);
    return !address_in(address, &global6.first, global6.bits) ||
           in_any(address, internal6, sizeof internal6 / sizeof internal6[0]);
}

void address_unmap(struct address *address)
{
    if (!address_in(address, &carriers[MAPPED].block.first, 96))
        return;
    memcpy(address->bytes, address->bytes + 12, 4);
    memset(address->bytes + 4, 0, 12);
    address->length = 4;
}

void address_from_socket(const struct sockaddr_storage *from, struct address *address, uint16_t *port)
{
    memset(address, 0, sizeof *address);
    *port = 0;
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        address->length = 4;
        memcpy(address->bytes, &in.sin_addr, 4);
        *port = ntohs(in.sin_port);
    } else if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof in);
        address->length = 16;
        memcpy(address->bytes, &in.sin6_addr, 16);
        *port = ntohs(in.sin6_port);
    }
}

socklen_t address_to_socket(const struct address *address, uint16_t port, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (address->length == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in.sin_addr, address->bytes, 4);
        memcpy(to, &in, sizeof in);
        return sizeof in;
    }
    if (address->length == 16) {
        struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&in.sin6_addr, address->bytes, 16);
        memcpy(to, &in, sizeof in);
        return sizeof in;
    }
    return 0;
}
