/* state.h - what the gateway's parts share: one gateway, which serves one sandbox, and the parts that wait for its
 * events. */
#ifndef MOONBOX_GATEWAY_STATE_H
#define MOONBOX_GATEWAY_STATE_H

#include "../capture.h"
#include "conn.h"
#include "fakes.h"
#include "flows.h"
#include "hook.h"
#include "inbound.h"
#include "limits.h"
#include "loop.h"
#include "resolve.h"
#include "rules.h"

#include <stdbool.h>

enum { CONN_HASH = 1024 };

struct line {
    struct conn *first, *last; /* last: of a line that is not empty */
};

struct gateway {
    struct loop loop;
    struct rules *rules;
    struct row_meter *row_meters; /* one for each row */
    struct bucket up, down;
    struct window requests, refusals, new_names;
    struct fakes fakes;
    struct flows flows;
    struct resolve *resolve;
    struct hook *hook; /* NULL none */
    struct capture capture;
    int own; /* route socket */
    struct {
        struct address address;
        double at; /* the turn of the loop in which it was asked */
        bool own;
    } asked;
    struct conn *conns, *dead;
    struct line paced; /* connections that wait for a meter or their next turn */
    double paced_at;   /* when they are served */
    bool paced_turn;   /* they are being served */
    struct conn *by_tuple[CONN_HASH];
    size_t n_conns, most_conns, n_waiting;
    size_t unbound;  /* buffers_unbound() */
    size_t n_unsaid; /* connections with an `unsaid_since` */
    double expire_at;
    bool full, dns_full; /* the listener is not polled; the one for DNS */
    uint64_t next_id;
    uint64_t opened, denied, bytes_up, bytes_down;
    struct inbound inbound;
    struct watch listener, dns_udp, dns_tcp, log, queue, control;
    int control_fd;
    bool finish;
};

/* arrive.c */
void arrive_listen(struct gateway *gateway);
void arrive_syn(struct gateway *gateway, const struct tuple *tuple, uint32_t sequence, uint32_t packet);

/* A reset by the kernel itself, which found no socket for a packet. It is wrong about a connection that is open: a lookup
 * without locks can miss a socket at the moment that it takes the place of its SYN's (inet_ehash_insert). Thrown away then,
 * as the packet was: the client sends it again. */
void arrive_reset(struct gateway *gateway, const struct tuple *tuple, uint32_t packet);

/* queue.c, packets.c, answer.c */
int queue_start(struct gateway *gateway);
/* A verdict on a held packet, which takes effect at queue_flush() at the latest: to be called before events are waited for,
 * and before the end. */
void queue_verdict(struct gateway *gateway, uint32_t packet, bool let, uint32_t mark);
void queue_flush(struct gateway *gateway);
int packets_start(struct gateway *gateway);
int answer_start(struct gateway *gateway);
void answer_listen(struct gateway *gateway);

#endif
