/* address.h - IP addresses as plain values: read, write, compare, and tell internal ones from public ones. */
#ifndef MOONBOX_GATEWAY_ADDRESS_H
#define MOONBOX_GATEWAY_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT = 46 }; /* the longest text with its NUL (INET6_ADDRSTRLEN) */

struct address {
    uint8_t length;    /* 4, 16, or 0: none */
    uint8_t bytes[16]; /* network order; the unused rest is zero */
};

/* Reads the usual dotted spelling or an RFC 4291 one without a zone. Octal, hexadecimal and short forms, which
 * inet_aton(3) takes, are refused. */
bool address_parse(const char *text, struct address *address);

/* Writes it as RFC 5952 says. */
void address_format(const struct address *address, char text[ADDRESS_TEXT]);

bool address_equal(const struct address *a, const struct address *b);

/* Whether it lies in the block of the first `bits` bits of `block`. Different families never match. */
bool address_in(const struct address *address, const struct address *block, unsigned bits);

/* The IPv4 address that an IPv6 form carries: mapped, compatible, translated, NAT64 or 6to4. False: it is no such form. */
bool address_inner(const struct address *address, struct address *inner);

/* Loopback, private, shared, link-local, multicast and the like (IANA special-purpose registries), also when an IPv6
 * form carries such an IPv4 address. Other IPv6 is internal outside of global unicast. Documentation ranges are not. */
bool address_internal(const struct address *address);

/* An IPv4-mapped address becomes the IPv4 one, which is what the kernel dials; others stay. */
void address_unmap(struct address *address);

/* Any family but AF_INET and AF_INET6 gives length 0; no address gives socklen_t 0. */
void address_from_socket(const struct sockaddr_storage *from, struct address *address, uint16_t *port);
socklen_t address_to_socket(const struct address *address, uint16_t port, struct sockaddr_storage *to);

#endif
