/* hello.h - the server name in the first bytes of a TLS connection (RFC 8446 section 4.1.2, RFC 6066 section 3). */
#ifndef MOONBOX_GATEWAY_HELLO_H
#define MOONBOX_GATEWAY_HELLO_H

#include "name.h"

#include <stdint.h>

enum { HELLO_MAX = 16384 + 1024 }; /* bytes of records that a ClientHello may take, however it is cut */

enum hello_result {
    HELLO_MORE,     /* so far the start of a ClientHello: more bytes are needed */
    HELLO_NOT_TLS,  /* the bytes are no TLS handshake record; what they are is somebody else's question */
    HELLO_NAMED,    /* whole, with one server name, which is canonical in `name` */
    HELLO_NAMELESS, /* whole, without a server name */
    HELLO_BAD,      /* TLS, but too long, malformed, or with a name that has no canonical form */
};

/* Looks at the first `length` bytes of a connection, from their start each time. The ClientHello may be cut into any
 * segments and any records. SSLv2 hellos are HELLO_BAD. */
enum hello_result hello_scan(const uint8_t *bytes, size_t length, char name[NAME_SIZE]);

#endif
