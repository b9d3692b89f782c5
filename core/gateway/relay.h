/* relay.h - a connection that has both of its ends: bytes both ways, within the meters. */
#ifndef MOONBOX_GATEWAY_RELAY_H
#define MOONBOX_GATEWAY_RELAY_H

#include "loop.h"

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct gateway;
struct pipes;

struct side {
    struct watch watch; /* first */
    struct conn *conn;
    int fd; /* -1 none */
    bool readable, writable;
    bool hung_up; /* sticky: from now on read until the end shows */
    bool urgent;  /* sticky: it has sent urgent data, at which each read stops (tcp(7)) */
    bool ended;   /* its end has been read */
    bool shut;    /* its writing side was closed by us */
};

/* Bytes on their way from one side to the other. */
struct way {
    uint8_t *held; /* read and not written yet */
    size_t held_at, held_length;
    struct pipes *pipe; /* only while bytes are in it */
    size_t piped;
    uint64_t total; /* bytes read */
};

/* Both ends are there: what they say is read, judged and passed on from now on. */
void relay_start(struct conn *conn);

/* An event of one of its sockets, which may be there before the other. */
void relay_events(struct side *side, uint32_t events);

/* Frees what is held of its bytes. */
void relay_release(struct conn *conn);

/* Serves those that wait for a meter or a turn. Milliseconds until it wants to be called again, -1: not at all. */
int relay_paced(struct gateway *gateway);

#endif
