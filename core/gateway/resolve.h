/* resolve.h - upstream name lookups in the gateway, by c-ares, without blocking.
 *
 * DNS only: no search domains, no hosts file, no mDNS; what names of the host mean to the host is not what they mean
 * to a sandbox. Everything that has to be read from files is read by resolve_init, before the gateway loses them. */
#ifndef MOONBOX_GATEWAY_RESOLVE_H
#define MOONBOX_GATEWAY_RESOLVE_H

#include "../err.h"
#include "address.h"
#include "loop.h"

#include <stddef.h>

enum { RESOLVE_MOST = 16 }; /* addresses of one answer; more than that is a refusal */

enum resolve_status { RESOLVE_OK, RESOLVE_NO_NAME, RESOLVE_FAILED };

struct resolve_answer {
    enum resolve_status status;
    struct address addresses[RESOLVE_MOST]; /* IPv4 first */
    size_t n;
    const char *why; /* when not OK */
};

struct resolve;

/* `server` of length 0: those of resolv.conf(5). NULL with err set. */
struct resolve *resolve_init(struct loop *loop, const struct address *server, uint16_t port, struct err *err);

/* Looks a canonical name up, A and AAAA, and calls `done` once, perhaps before it returns. */
void resolve_name(struct resolve *resolve, const char *name, void (*done)(void *context, const struct resolve_answer *),
                  void *context);

/* Milliseconds until resolve_tick is due; -1: never. */
int resolve_timeout(struct resolve *resolve);
void resolve_tick(struct resolve *resolve);

#endif
