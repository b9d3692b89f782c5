/* flows.h - the log of what was reached and refused: JSON lines on an append-only descriptor.
 *
 * A connection is one line, written when it ends or is refused. Equal refusals within a second are joined to one line
 * with a count, so that a tenant who hammers a closed door can't fill the disk. When the log can't be written any
 * more, flows_ok says so, and nothing is let through that could not be logged. */
#ifndef MOONBOX_GATEWAY_FLOWS_H
#define MOONBOX_GATEWAY_FLOWS_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOWS_BUFFER = 65536, FLOWS_JOINED = 256, FLOWS_KEY = 512 };

/* What a line says; NULL, 0 or length 0: left out. Texts are borrowed for the call and may be hostile. */
struct flow {
    const char *event; /* "flow", "dns", "packet" or "warning" */
    uint64_t id;
    const char *name, *sni, *protocol, *type;
    struct address address;
    uint16_t port;
    bool allow, watch, open;
    bool inbound; /* from the host to a published port: the address is the one that it came from */
    const char *rule, *reason, *outcome;
    bool counted; /* up, down and seconds are known */
    uint64_t up, down;
    double seconds;
    uint64_t count; /* 0: one */
};

struct joined {
    char key[FLOWS_KEY]; /* the line without time and count; "" empty */
    double since;
    uint64_t count;
};

struct flows {
    int fd;            /* borrowed; -1: nothing is written */
    const char *step;  /* borrowed; NULL none */
    uint64_t left;     /* bytes that the log may still take */
    bool full, failed; /* nothing more is written */
    char buffer[FLOWS_BUFFER];
    size_t have;
    struct joined joined[FLOWS_JOINED];
    bool any_joined;
};

void flows_init(struct flows *flows, int fd, const char *step, uint64_t most);

/* Appends a line; refusals (`allow` unset) are joined. */
void flows_add(struct flows *flows, const struct flow *flow, double now);

/* Writes what is buffered, and joined refusals that are a second old (`all`: of any age). */
void flows_flush(struct flows *flows, double now, bool all);

bool flows_ok(const struct flows *flows);

#endif
