/* name.h - host names in one canonical form, which policy, DNS, SNI and Host all go through.
 *
 * Canonical: ASCII, lower case, no trailing dot, labels of 1 to 63 letters, digits, `-` and `_` that neither begin nor
 * end with `-`, at most 253 bytes (RFC 1035, RFC 1123), whose last label is no number, decimal or 0x… (inet_aton(3)
 * would read an address).  What could mean two things has no canonical form. */
#ifndef MOONBOX_GATEWAY_NAME_H
#define MOONBOX_GATEWAY_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_SIZE = 254 }; /* bytes of the longest name with its NUL */

/* Writes the canonical form of `length` bytes. False when there is none; `out` is then "". */
bool name_canonical(const char *text, size_t length, char out[NAME_SIZE]);

/* Whether a canonical name is `pattern` (a canonical name), or a name below it when `below` is set (`*.pattern`:
 * subdomains only, at any depth). */
bool name_matches(const char *name, const char *pattern, bool below);

#endif
