#include "rules_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const char *name)
{
    uint32_t hash = RULES_HASH;
    for (size_t i = strlen(name); i-- > 0;)
        hash = rules_hash(hash, name[i]);
    return hash;
}

/* Rows about ports of the sandbox are none of those that are looked for. */
static size_t n_targets(const struct row *row)
{
    return row->word == ROW_PUBLISH ? 0 : row->n_targets;
}

static size_t count_targets(const struct rules *rules, bool blocks)
{
    size_t n = 0;
    for (size_t i = 0; i < rules->n_rows; i++)
        for (size_t t = 0; t < n_targets(&rules->rows[i]); t++) {
            enum target_kind kind = rules->rows[i].targets[t].kind;
            n += blocks ? kind == TARGET_BLOCK : kind == TARGET_NAME || kind == TARGET_BELOW;
        }
    return n;
}

static void add_target(struct rules_index *index, const struct target *target, uint32_t row, uint32_t t, uint32_t *used)
{
    if (target->kind == TARGET_BLOCK) {
        index->blocks[index->n_blocks++] = (struct block_entry){row, t};
    } else if (target->kind == TARGET_INTERNAL) {
        index->internal = row < index->internal ? row : index->internal;
    } else {
        uint32_t *bucket = &index->buckets[hash_of(target->name) & index->mask];
        bool is_below = target->kind == TARGET_BELOW;
        index->names[*used] = (struct name_entry){target->name, row, t, *bucket, is_below};
        *bucket = (*used)++;
    }
}

/* Chains are grown at their head, so names are added from the last to the first; blocks are turned round after. */
static void add_targets(struct rules *rules)
{
    struct rules_index *index = rules->index;
    uint32_t used = 0;
    for (size_t row = rules->n_rows; row-- > 0;)
        for (size_t t = n_targets(&rules->rows[row]); t-- > 0;)
            add_target(index, &rules->rows[row].targets[t], (uint32_t)row, (uint32_t)t, &used);
    for (size_t i = 0; i < index->n_blocks / 2; i++) {
        struct block_entry swapped = index->blocks[i];
        index->blocks[i] = index->blocks[index->n_blocks - 1 - i];
        index->blocks[index->n_blocks - 1 - i] = swapped;
    }
}

enum { PORT_BYTES = UINT16_MAX / 8 + 1 };

/* Puts them in ascending order into `out`, or only counts them when it is NULL. Most bytes are empty. */
static size_t list_ports(const uint8_t *seen, uint16_t *out)
{
    size_t n = 0;
    for (uint32_t byte = 0; byte < PORT_BYTES; byte++)
        for (uint32_t bit = 0; seen[byte] >> bit; bit++) {
            if (!(seen[byte] >> bit & 1U))
                continue;
            if (out)
                out[n] = (uint16_t)(byte * 8 + bit);
            n++;
        }
    return n;
}

static void see_port(uint8_t *seen, uint32_t port)
{
    seen[port / 8] |= (uint8_t)(1U << port % 8);
}

/* One bit a port, so that any number of rows costs the same memory. */
static int gather_ports(struct rules *rules)
{
    uint8_t seen[PORT_BYTES] = {0};
    struct rules_index *index = rules->index;
    for (size_t i = 0; i < rules->n_rows; i++) {
        const struct row *row = &rules->rows[i];
        for (size_t p = 0; p < row->n_ports && row->word != ROW_PUBLISH; p++)
            see_port(seen, row->ports[p]);
        for (size_t t = 0; t < n_targets(row); t++)
            see_port(seen, row->targets[t].port);
    }
    seen[0] |= 1; /* port 0 stands for a target without a port of its own */
    uint32_t unnamed = 0;
    while (unnamed <= UINT16_MAX && seen[unnamed / 8] & 1U << unnamed % 8)
        unnamed++;
    if (unnamed <= UINT16_MAX)
        see_port(seen, unnamed);
    seen[0] &= (uint8_t)~1U;
    size_t n = list_ports(seen, NULL);
    index->ports = calloc(n, sizeof *index->ports);
    if (!index->ports)
        return -1;
    index->n_ports = list_ports(seen, index->ports);
    return 0;
}

int rules_index(struct rules *rules, struct err *err)
{
    struct rules_index *index = rules->index;
    size_t n_names = count_targets(rules, false), n_blocks = count_targets(rules, true), n_buckets = 16;
    while (n_buckets < 2 * n_names)
        n_buckets *= 2;
    index->mask = (uint32_t)n_buckets - 1;
    index->internal = RULES_NONE;
    index->names = calloc(n_names + 1, sizeof *index->names);
    index->blocks = calloc(n_blocks + 1, sizeof *index->blocks);
    index->buckets = malloc(n_buckets * sizeof *index->buckets);
    if (!index->names || !index->blocks || !index->buckets || gather_ports(rules) < 0)
        return err_set(err, ENOMEM, "network rules: there is no memory for %zu names", n_names);
    memset(index->buckets, 0xff, n_buckets * sizeof *index->buckets);
    add_targets(rules);
    return 0;
}
