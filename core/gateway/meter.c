#include "meter.h"

#include <math.h>
#include <stdlib.h>

static const double burst_seconds = 0.02;

/* The least that is worth passing: reading a few bytes at a time costs more than it moves. */
static const double parts = 8, most_worth = 65536;

static double burst(const struct bucket *bucket)
{
    return fmax(bucket->rate * burst_seconds, METER_LEAST_BURST);
}

static double worth(const struct bucket *bucket)
{
    return fmin(burst(bucket) / parts, most_worth);
}

void bucket_init(struct bucket *bucket, double bits_per_second, double now)
{
    bucket->dry = false;
    bucket->rate = bits_per_second / 8;
    bucket->level = burst(bucket);
    bucket->at = now;
}

static void fill(struct bucket *bucket, double now)
{
    bucket->level = fmin(bucket->level + (now - bucket->at) * bucket->rate, burst(bucket));
    bucket->at = now;
}

size_t bucket_level(struct bucket *bucket, double now, bool turn)
{
    if (bucket->rate <= 0)
        return SIZE_MAX;
    fill(bucket, now);
    bucket->dry = bucket->level < worth(bucket) || (bucket->dry && !turn);
    return bucket->dry ? 0 : (size_t)bucket->level;
}

double bucket_wait(const struct bucket *bucket)
{
    return bucket->rate > 0 ? fmax(worth(bucket) - bucket->level, 0) / bucket->rate : 0;
}

void bucket_carry(struct bucket *bucket, struct bucket *old, double now)
{
    if (old->rate <= 0)
        return;
    fill(old, now);
    bucket->level = fmin(bucket->level, old->level);
    bucket->dry = old->dry;
}

void bucket_spend(struct bucket *bucket, size_t bytes)
{
    if (bucket->rate > 0)
        bucket->level -= (double)bytes;
}

bool window_init(struct window *window, double count, double seconds)
{
    *window = (struct window){.seconds = seconds};
    if (count <= 0)
        return true;
    if (count > WINDOW_MOST) {
        window->seconds *= WINDOW_MOST / count;
        count = WINDOW_MOST;
    }
    window->count = count < 1 ? 1 : (size_t)count;
    window->times = malloc(window->count * sizeof *window->times);
    if (!window->times)
        return false;
    for (size_t i = 0; i < window->count; i++)
        window->times[i] = -INFINITY;
    return true;
}

void window_free(struct window *window)
{
    free(window->times);
    window->times = NULL;
}

void window_carry(struct window *window, const struct window *old)
{
    if (!window->times || !old->times)
        return;
    size_t n = window->count < old->count ? window->count : old->count;
    for (size_t i = 0; i < n; i++)
        window->times[window->count - n + i] = old->times[(old->next + old->count - n + i) % old->count];
    window->next = 0;
}

bool window_take(struct window *window, double now)
{
    if (!window->times)
        return true;
    if (window->times[window->next] > now - window->seconds)
        return false;
    window->times[window->next] = now;
    window->next = (window->next + 1) % window->count;
    return true;
}
