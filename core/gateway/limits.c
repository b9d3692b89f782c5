#include "limits.h"

#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- rules that change ---- */

static bool same_target(const struct target *a, const struct target *b)
{
    if (a->kind != b->kind || a->port != b->port)
        return false;
    if (a->kind == TARGET_BLOCK)
        return a->bits == b->bits && address_equal(&a->block, &b->block);
    return a->kind == TARGET_INTERNAL || strcmp(a->name, b->name) == 0;
}

static bool same_row(const struct row *a, const struct row *b)
{
    if (a->word != b->word || a->n_targets != b->n_targets || a->n_ports != b->n_ports)
        return false;
    for (size_t i = 0; i < a->n_targets; i++)
        if (!same_target(&a->targets[i], &b->targets[i]))
            return false;
    return a->n_ports == 0 || memcmp(a->ports, b->ports, a->n_ports * sizeof *a->ports) == 0;
}

/* The meter of the old rules' row that is the same but for its limits, or NULL. Most rows stay in their places. */
static struct row_meter *before(const struct gateway *gateway, const struct rules *rules, size_t i)
{
    const struct rules *old = gateway->rules;
    if (!old)
        return NULL;
    if (i < old->n_rows && same_row(&old->rows[i], &rules->rows[i]))
        return &gateway->row_meters[i];
    for (size_t j = 0; j < old->n_rows; j++)
        if (same_row(&old->rows[j], &rules->rows[i]))
            return &gateway->row_meters[j];
    return NULL;
}

static bool make_meter(struct row_meter *meter, const struct row *row, struct row_meter *old, double now)
{
    bucket_init(&meter->up, row->bandwidth, now);
    bucket_init(&meter->down, row->bandwidth, now);
    if (!window_init(&meter->requests, row->requests.count, row->requests.seconds))
        return false;
    if (!old)
        return true;
    bucket_carry(&meter->up, &old->up, now);
    bucket_carry(&meter->down, &old->down, now);
    window_carry(&meter->requests, &old->requests);
    meter->used = old->used;
    return true;
}

static void free_meters(struct row_meter *meters, size_t n)
{
    for (size_t i = 0; meters && i < n; i++)
        window_free(&meters[i].requests);
    free(meters);
}

static struct row_meter *make_meters(const struct gateway *gateway, const struct rules *rules)
{
    struct row_meter *meters = calloc(rules->n_rows + 1, sizeof *meters);
    for (size_t i = 0; meters && i < rules->n_rows; i++) {
        if (make_meter(&meters[i], &rules->rows[i], before(gateway, rules, i), gateway->loop.now))
            continue;
        free_meters(meters, rules->n_rows);
        return NULL;
    }
    return meters;
}

bool limits_install(struct gateway *gateway, const struct rules *rules)
{
    struct window requests;
    struct bucket up, down;
    double now = gateway->loop.now;
    struct row_meter *meters = make_meters(gateway, rules);
    if (!meters || !window_init(&requests, rules->requests.count, rules->requests.seconds)) {
        free_meters(meters, rules->n_rows);
        return false;
    }
    bucket_init(&up, rules->bandwidth, now);
    bucket_init(&down, rules->bandwidth, now);
    if (gateway->rules) {
        bucket_carry(&up, &gateway->up, now);
        bucket_carry(&down, &gateway->down, now);
        window_carry(&requests, &gateway->requests);
        free_meters(gateway->row_meters, gateway->rules->n_rows);
    }
    window_free(&gateway->requests);
    gateway->row_meters = meters;
    gateway->requests = requests;
    gateway->up = up;
    gateway->down = down;
    return true;
}

/* ---- a connection's ---- */

static struct row_meter *meter_of(const struct conn *conn)
{
    return conn->row >= 0 ? &conn->gateway->row_meters[conn->row] : NULL;
}

static uint64_t budget(const struct conn *conn)
{
    return conn->row >= 0 ? conn->gateway->rules->rows[conn->row].bytes : 0;
}

bool limits_used_up(const struct conn *conn)
{
    return budget(conn) > 0 && meter_of(conn)->used >= budget(conn);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t limits_allow(const struct conn *conn, bool up, bool turn)
{
    struct gateway *gateway = conn->gateway;
    struct row_meter *meter = meter_of(conn);
    double now = gateway->loop.now;
    size_t most = bucket_level(up ? &gateway->up : &gateway->down, now, turn);
    if (meter)
        most = least(most, bucket_level(up ? &meter->up : &meter->down, now, turn));
    if (!meter || budget(conn) == 0)
        return most;
    uint64_t left = limits_used_up(conn) ? 0 : budget(conn) - meter->used;
    return left < most ? (size_t)left : most;
}

double limits_wait(const struct conn *conn, bool up)
{
    const struct gateway *gateway = conn->gateway;
    const struct row_meter *meter = meter_of(conn);
    double wait = bucket_wait(up ? &gateway->up : &gateway->down);
    return meter ? fmax(wait, bucket_wait(up ? &meter->up : &meter->down)) : wait;
}

void limits_spend(const struct conn *conn, bool up, size_t bytes)
{
    struct gateway *gateway = conn->gateway;
    struct row_meter *meter = meter_of(conn);
    bucket_spend(up ? &gateway->up : &gateway->down, bytes);
    if (!meter)
        return;
    bucket_spend(up ? &meter->up : &meter->down, bytes);
    meter->used += bytes;
}
