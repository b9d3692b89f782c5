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
    bool dry; /* somebody waits for it */
};

void bucket_init(struct bucket *bucket, double bits_per_second, double now);

/* Bytes that may pass now; SIZE_MAX without a limit. Less than is worth passing is none. Who is told 0 waits in line and asks
 * again with `turn`; until the line has been served, who has not waited is told 0 as well. */
size_t bucket_level(struct bucket *bucket, double now, bool turn);

/* Seconds until there is something, counted from the last bucket_level. */
double bucket_wait(const struct bucket *bucket);

/* What is gone of `old` is gone of a new bucket in its place. */
void bucket_carry(struct bucket *bucket, struct bucket *old, double now);
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

/* The events of `old` are those of a new window in its place; where it counts fewer, the newest of them. */
void window_carry(struct window *window, const struct window *old);

/* Whether one more event fits now; counts it when it does. */
bool window_take(struct window *window, double now);

#endif
