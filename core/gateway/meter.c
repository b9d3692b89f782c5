#include "meter.h"

#include <math.h>
#include <stdlib.h>

static const double burst_seconds = 0.02;

static double burst(const struct bucket *bucket)
{
    return fmax(bucket->rate * burst_seconds, METER_LEAST_BURST);
}

void bucket_init(struct bucket *bucket, double bits_per_second, double now)
{
    bucket->rate = bits_per_second / 8;
    bucket->level = burst(bucket);
    bucket->at = now;
}

size_t bucket_level(struct bucket *bucket, double now)
{
    if (bucket->rate <= 0)
        return SIZE_MAX;
    bucket->level = fmin(bucket->level + (now - bucket->at) * bucket->rate, burst(bucket));
    bucket->at = now;
    return bucket->level < 1 ? 0 : (size_t)bucket->level;
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
