/* meter.h - how much and how often: token buckets for bytes, sliding windows for connections. */
#ifndef MOONBOX_GATEWAY_METER_H
#define MOONBOX_GATEWAY_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes at a steady rate, with a burst of 20 ms and at least METER_LEAST_BURST bytes. */
enum { METER_LEAST_BURST = 4096 };

struct bucket {
    double rate; /* bytes per second; 0: no limit */
    double level, at;
};

void bucket_init(struct bucket *bucket, double bits_per_second, double now);

/* Bytes that may pass now; SIZE_MAX without a limit. */
size_t bucket_level(struct bucket *bucket, double now);
void bucket_spend(struct bucket *bucket, size_t bytes);

/* At most `count` events in any `seconds`. Counts above WINDOW_MOST are held as the same rate over a shorter time, which
 * is stricter. */
enum { WINDOW_MOST = 65536 };

struct window {
    double *times; /* of the last `count` events, a ring; NULL: no limit */
    size_t count, next;
    double seconds;
};

/* False when there is no memory. */
bool window_init(struct window *window, double count, double seconds);
void window_free(struct window *window);

/* Whether one more event fits now; counts it when it does. */
bool window_take(struct window *window, double now);

#endif
