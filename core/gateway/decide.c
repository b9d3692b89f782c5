/* decide.c - decides about connections. A name costs one pass over its bytes, whatever the number of rows: exact names and
 * wildcards are in one hash table, asked for the name and for each of its parents. Blocks are few, and are looked at one
 * by one. */
#include "decide.h"
#include "rules_index.h"

#include <string.h>

struct question {
    const struct rules *rules;
    const char *name;
    struct address address; /* length 0: not known yet */
    struct address inner;   /* the IPv4 address in it; length 0: none */
    uint16_t port;
    bool literal, stated; /* there is no name; the address is the name's static host */
};

static bool has_port(const struct row *row, const struct target *target, uint16_t port)
{
    if (target->port)
        return target->port == port;
    for (size_t i = 0; i < row->n_ports; i++)
        if (row->ports[i] == port)
            return true;
    return row->n_ports == 0;
}

/* The first row in one chain that is about exactly `name`, or names below it; RULES_NONE when there is none. *other is set
 * when an allow row is about the name and not the port. */
static uint32_t find_in_chain(const struct question *q, uint32_t hash, const char *name, bool below, bool *other)
{
    const struct rules_index *index = q->rules->index;
    for (uint32_t i = index->buckets[hash & index->mask]; i != RULES_NONE; i = index->names[i].next) {
        const struct name_entry *entry = &index->names[i];
        if (entry->below != below || strcmp(entry->name, name) != 0)
            continue;
        const struct row *row = &q->rules->rows[entry->row];
        if (has_port(row, &row->targets[entry->target], q->port))
            return entry->row;
        *other = *other || row->word == ROW_ALLOW;
    }
    return RULES_NONE;
}

static uint32_t first_by_name(const struct question *q, bool *other)
{
    uint32_t hash = RULES_HASH, first = RULES_NONE, found;
    for (size_t i = strlen(q->name); i-- > 0; hash = rules_hash(hash, q->name[i])) {
        if (q->name[i] != '.')
            continue;
        found = find_in_chain(q, hash, q->name + i + 1, true, other);
        first = found < first ? found : first;
    }
    found = find_in_chain(q, hash, q->name, false, other);
    return found < first ? found : first;
}

static bool block_matches(const struct question *q, const struct row *row, const struct target *target)
{
    if (address_in(&q->address, &target->block, target->bits))
        return true;
    return row->word == ROW_DENY && address_in(&q->inner, &target->block, target->bits);
}

/* The first row before `before` that is about a block with the address: an allow_internal row, or one of the others. */
static uint32_t first_by_block(const struct question *q, bool internal, uint32_t before, bool *other)
{
    const struct rules_index *index = q->rules->index;
    for (size_t i = 0; q->address.length && i < index->n_blocks; i++) {
        uint32_t at = index->blocks[i].row;
        const struct row *row = &q->rules->rows[at];
        const struct target *target = &row->targets[index->blocks[i].target];
        if (at >= before)
            break;
        if ((row->word == ROW_ALLOW_INTERNAL) != internal || (row->word == ROW_ALLOW && !q->literal))
            continue;
        if (!block_matches(q, row, target))
            continue;
        if (has_port(row, target, q->port))
            return at;
        *other = *other || row->word != ROW_DENY;
    }
    return RULES_NONE;
}

static struct decision by_row(const struct rules *rules, uint32_t at)
{
    static const char *const said[] = {"an allow row has it", "a deny row has it", "an allow_internal row has it"};
    const struct row *row = &rules->rows[at];
    return (struct decision){row->word != ROW_DENY, (int)at, row->why ? row->why : said[row->word], row->from};
}

static struct decision built_in(const char *reason)
{
    return (struct decision){false, DECIDED_BUILT_IN, reason, "built in"};
}

static struct decision otherwise(const struct rules *rules, bool allow, const char *reason)
{
    return (struct decision){allow, DECIDED_OTHERWISE, reason, rules->from};
}

static bool ends_with_label(const char *name, const char *label)
{
    return strcmp(name, label) == 0 || name_matches(name, label, true);
}

/* Names that the public DNS doesn't have: asking for them tells a resolver, or a neighbour, what a sandbox does. */
static bool is_local_name(const char *name)
{
    static const char *const tops[] = {"localhost", "local", "internal", "onion", "alt", "invalid", "home.arpa"};
    for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++)
        if (ends_with_label(name, tops[i]))
            return true;
    return strchr(name, '.') == NULL;
}

/* What holds for a connection that no row is about. */
static struct decision without_row(const struct question *q, bool other)
{
    const struct rules *rules = q->rules;
    if (!rules->otherwise_allow && rules->mode != RULES_OPEN)
        return otherwise(rules, false, other ? "it is allowed on other ports only" : "no row allows it");
    if (!q->literal && !q->stated && is_local_name(q->name))
        return built_in("a name of local use, which no public DNS has");
    return otherwise(rules, true, rules->mode == RULES_OPEN ? "the network is open" : "otherwise");
}

static struct decision decide_internal(const struct question *q, uint32_t row, bool other)
{
    const struct rules *rules = q->rules;
    bool port_only = false;
    uint32_t opened = first_by_block(q, true, RULES_NONE, &port_only);
    bool denied = row != RULES_NONE && rules->rows[row].word == ROW_DENY;
    if (opened == RULES_NONE) {
        uint32_t internal = rules->index->internal;
        if (denied && row < internal)
            return by_row(rules, row);
        if (port_only)
            return built_in("this internal address is opened on other ports only");
        return internal != RULES_NONE ? by_row(rules, internal) : built_in("internal addresses are never reached");
    }
    if (denied && (row < opened || !(q->literal || q->stated)))
        return by_row(rules, row);
    if (q->literal || q->stated || row != RULES_NONE)
        return by_row(rules, opened);
    struct decision rest = without_row(q, other);
    return rest.allow ? by_row(rules, opened) : rest;
}

struct decision rules_decide(const struct rules *rules, const char *name, const struct address *address, uint16_t port)
{
    struct question q = {.rules = rules, .name = name, .port = port, .literal = !name};
    const struct address *host = name ? rules_host(rules, name) : NULL;
    if (port == 0)
        return built_in("there is no port 0");
    if (address || host)
        q.address = address ? *address : *host;
    address_unmap(&q.address);
    q.stated = host && address_equal(host, &q.address);
    address_inner(&q.address, &q.inner);
    bool other = false;
    uint32_t row = name ? first_by_name(&q, &other) : RULES_NONE;
    uint32_t block = first_by_block(&q, false, row, &other);
    if (block < row)
        row = block;
    if (q.address.length && address_internal(&q.address))
        return decide_internal(&q, row, other);
    if (!name && !q.address.length)
        return built_in("neither a name nor an address is known");
    return row != RULES_NONE ? by_row(rules, row) : without_row(&q, other);
}

bool rules_answers(const struct rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->index->n_ports; i++)
        if (rules_decide(rules, name, NULL, rules->index->ports[i]).allow)
            return true;
    return false;
}

const struct address *rules_host(const struct rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->n_hosts; i++)
        if (strcmp(rules->hosts[i].name, name) == 0)
            return &rules->hosts[i].address;
    return NULL;
}
