/* inspect.h - does what the client says name the host that it was let through to?
 *
 * The first bytes are held until they are a whole ClientHello, the start of plain HTTP, or neither. TLS has to name the
 * host (SNI); plain HTTP has to name it in every head; anything else passes unseen from there on. */
#ifndef MOONBOX_GATEWAY_INSPECT_H
#define MOONBOX_GATEWAY_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INSPECT_REASON = 320 };

enum inspect_verdict {
    INSPECT_MORE,  /* go on; what may pass is in `pass` */
    INSPECT_DONE,  /* nothing needs to be looked at any more */
    INSPECT_REFUSE /* `reason` says why */
};

struct inspect_result {
    enum inspect_verdict verdict;
    const uint8_t *pass; /* may be forwarded; valid until the next call */
    size_t length;
    char reason[INSPECT_REASON];
};

struct inspect;

/* `name`: the canonical name that the connection was allowed for, borrowed; NULL for a literal address, where only the
 * form is checked. NULL when there is no memory. */
struct inspect *inspect_new(const char *name);
void inspect_free(struct inspect *inspect);

/* The client's next bytes, or (`ended`) its end. */
void inspect_client(struct inspect *inspect, const uint8_t *bytes, size_t length, bool ended,
                    struct inspect_result *result);

/* Whether the server's next bytes matter, and those bytes. */
bool inspect_wants_server(const struct inspect *inspect);
void inspect_server(struct inspect *inspect, const uint8_t *bytes, size_t length, struct inspect_result *result);

/* Whether bytes of the client are held because what they say isn't whole. */
bool inspect_holds(const struct inspect *inspect);

/* The server has spoken before: an upgrade is then no longer understood. */
void inspect_server_spoke(struct inspect *inspect);

/* The server name of a TLS connection, canonical, or NULL. */
const char *inspect_sni(const struct inspect *inspect);

#endif
