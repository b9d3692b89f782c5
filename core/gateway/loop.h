/* loop.h - one thread, one epoll set, edge-triggered. */
#ifndef MOONBOX_GATEWAY_LOOP_H
#define MOONBOX_GATEWAY_LOOP_H

#include "../err.h"

#include <stdint.h>

/* Embedded in whatever is watched. `ready` gets epoll's event bits. */
struct watch {
    void (*ready)(struct watch *watch, uint32_t events);
};

struct loop {
    int epoll;
    double now; /* monotonic seconds, taken once for each batch of events */
};

int loop_init(struct loop *loop, struct err *err);

/* Edge-triggered for reading, writing and hang-ups. 0, or -1 with errno. Closing the descriptor ends the watch. */
int loop_add(struct loop *loop, int fd, struct watch *watch);

/* Level-triggered for `events`. */
int loop_add_level(struct loop *loop, int fd, struct watch *watch, uint32_t events);
int loop_change_level(struct loop *loop, int fd, struct watch *watch, uint32_t events);
void loop_remove(struct loop *loop, int fd);

/* Waits at most `milliseconds` (-1: for ever) and calls each ready watch once. A watch must stay valid until the batch is
 * over, even when it is removed in it. */
int loop_turn(struct loop *loop, int milliseconds, struct err *err);

#endif
