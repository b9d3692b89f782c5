/* authority.h - the host in a Host field or in a URL (RFC 9110 section 7.2, RFC 3986 section 3.2), in its canonical form. */
#ifndef MOONBOX_GATEWAY_AUTHORITY_H
#define MOONBOX_GATEWAY_AUTHORITY_H

#include "name.h"

/* Reads `length` bytes such as "name", "name:80", "192.0.2.1" or "[2001:db8::1]:80". The host is written without its port
 * and brackets: a canonical name, or an address as RFC 5952 has it. False when it is neither, or when there is more than a
 * host and a port of one to five digits (a user's name, a zone); what `host` then holds means nothing. */
bool authority_host(const char *text, size_t length, char host[NAME_SIZE]);

#endif
