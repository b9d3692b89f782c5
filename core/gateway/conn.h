/* conn.h - one connection through the gateway (state.h).
 *
 * A connection's way, each step in a file of its own:
 *   arrive    a SYN that the queue holds, or an accepted connection: who is meant, and is that allowed?
 *   inbound   one that comes from the host, to a published port: a socket inside is asked for and connected
 *   dial      the name is looked up, every address judged, the far end connected to; then the SYN is let go
 *   relay     bytes both ways, copied first and spliced later, within the meters
 *   inspect   the client's first bytes (and every head of plain HTTP): do they name the same host?
 * Whatever refuses goes through conn_refuse, whatever ends through conn_end; each writes the flow. */
#ifndef MOONBOX_GATEWAY_CONN_H
#define MOONBOX_GATEWAY_CONN_H

#include "conn_end.h"
#include "relay.h"
#include "resolve.h"
#include "tuple.h"

enum conn_stage {
    CONN_LOOKUP, /* the name is being looked up */
    CONN_DIAL,   /* the far end is being connected to */
    CONN_WAIT,   /* its SYN was let go and has not been accepted yet */
    CONN_RELAY,  /* both ends are there */
    CONN_DEAD,   /* ended in this batch of events, freed after it */
};

struct gateway;

struct conn {
    struct gateway *gateway;
    struct conn *next, *previous; /* of all, the newest first */
    struct conn *same_hash;       /* of all, by tuple */
    struct conn *next_paced;      /* of those that wait for a meter or their next turn */
    enum conn_stage stage;
    bool paced;
    bool waiting;      /* does not relay yet */
    bool held;         /* the queue holds its SYN */
    bool bound;        /* buffers_bind() has been called */
    uint8_t published; /* 1 + the number of the listener that it came in by, from the host: `upstream` is then the
                          host's end, and the rest likewise; 0: it goes out */
    bool given_up;     /* its client's kernel has reset it while it waited */
    uint32_t packet;   /* the queue's number of its SYN */
    uint32_t sequence; /* of the last SYN that came (RFC 9293, SEG.SEQ) */
    uint64_t id;
    double started;
    double unsaid_since; /* since then the client's bytes are held, not being whole yet; 0: they aren't */
    struct tuple tuple;
    const char *name;             /* borrowed from the fakes; NULL: a literal address */
    struct address dialled;       /* length 0: not yet */
    bool looking_up;              /* the resolver still points here */
    struct resolve_answer *found; /* until connected; owned */
    size_t tried;                 /* of `found` */
    int row;                      /* of the rules, or DECIDED_… */
    const char *rule;             /* "FILE:LINE", as long as the rules */
    char *sni;                    /* owned; NULL: none seen */
    struct inspect *inspect;      /* NULL: the client's bytes pass unseen */
    struct side client, upstream;
    struct way up, down;
};

/* A new connection in stage LOOKUP, or NULL when there may be no more. */
struct conn *conn_new(struct gateway *gateway, const struct tuple *tuple);
/* The one with this tuple that does not relay yet, or NULL. */
struct conn *conn_waiting(struct gateway *gateway, const struct tuple *tuple);

/* It relays from now on, or has ended. */
void conn_waited(struct conn *conn);

/* Whether the client of this tuple has been let in and its connection not been ended. */
bool conn_is_open(const struct gateway *gateway, const struct tuple *tuple);

/* Takes it out of what finds connections; its memory stays. */
void conn_forget(struct conn *conn);

/* Notes whether bytes of the client are held by the inspection; `moved`: others just passed it. Held for CONN_PATIENCE, they
 * end the connection: a slot can't be taken for ever by a ClientHello or a line that never ends. */
void conn_unsaid(struct conn *conn, bool held, bool moved);

#endif
