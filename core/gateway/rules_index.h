/* rules_index.h - how rules look on the wire, and how they are found; between the rules_*.c files and core/bind/rules.c.
 *
 * The bytes, little-endian, nothing aligned. `text` is a u16 length, that many bytes without NUL, and a NUL; `address` is
 * a u8 length (0, 4, 16) and 16 bytes; `rate` is two doubles: count, seconds.
 *
 *   u32 magic, u32 version, u32 length of all
 *   u8 mode, u8 dns, u8 otherwise_allow, text from, rate requests, f64 bandwidth, address resolver, u16 resolver_port
 *   u32 n_hosts, each: text name, address
 *   u32 n_rows,  each: u8 word, u8 flags, text from, text why, rate requests, f64 bandwidth, u64 bytes,
 *                      u32 n_ports, each: u16
 *                      u32 n_targets, each: u8 kind, u16 port, then text name, or address and u8 bits, or nothing */
#ifndef MOONBOX_GATEWAY_RULES_INDEX_H
#define MOONBOX_GATEWAY_RULES_INDEX_H

#include "rules.h"

enum { RULES_MAGIC = 0x5258424d, RULES_VERSION = 1, RULES_MAX = 4 << 20 };
enum { ROW_WATCH = 1, ROW_HAS_WHY = 2 };

#define RULES_NONE UINT32_MAX

/* One target that is a name; those with one hash are chained in the order of their rows. */
struct name_entry {
    const char *name;
    uint32_t row, target, next;
    bool below;
};

/* One target that is a block. */
struct block_entry {
    uint32_t row, target;
};

struct rules_index {
    char *bytes; /* what was decoded: texts point into it */
    struct name_entry *names;
    uint32_t *buckets, mask; /* a power of two, less one */
    struct block_entry *blocks;
    size_t n_blocks;
    uint32_t internal; /* the first deny row about internal addresses, or RULES_NONE */
    uint16_t *ports;   /* every port that some row is about and one that none is about, in ascending order */
    size_t n_ports;
};

/* The hash of the last bytes of a name, grown to the left: from `hash` of what follows, or RULES_HASH at the end. */
#define RULES_HASH 0x811c9dc5U
static inline uint32_t rules_hash(uint32_t hash, char c)
{
    return (hash ^ (uint8_t)c) * 0x01000193U; /* FNV-1a */
}

/* Builds rules->index over decoded rows. -1 with err set when there is no memory. */
int rules_index(struct rules *rules, struct err *err);

#endif
