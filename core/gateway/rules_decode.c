/* rules_decode.c - reads the bytes of rules_index.h. They may come over a socket: nothing in them is believed. */
#include "rules_index.h"

#include "../util.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Reads one thing after another; after the first that is wrong, everything reads as zero. */
struct reader {
    const uint8_t *bytes;
    size_t length, at;
    const char *wrong; /* NULL: all is well */
};

static const uint8_t *take(struct reader *r, size_t count)
{
    if (!r->wrong && count > r->length - r->at)
        r->wrong = "they end early";
    if (r->wrong)
        return NULL;
    const uint8_t *taken = r->bytes + r->at;
    r->at += count;
    return taken;
}

static bool check(struct reader *r, bool right, const char *wrong)
{
    if (!right && !r->wrong)
        r->wrong = wrong;
    return !r->wrong;
}

static uint64_t number(struct reader *r, unsigned size)
{
    const uint8_t *bytes = take(r, size);
    uint64_t value = 0;
    for (unsigned i = size; bytes && i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static uint8_t below(struct reader *r, unsigned end)
{
    uint64_t value = number(r, 1);
    return check(r, value < end, "a value is out of its range") ? (uint8_t)value : 0;
}

/* Finite and not negative. */
static double amount(struct reader *r)
{
    uint64_t bits = number(r, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return check(r, isfinite(value) && value >= 0, "an amount is no amount") ? value : 0;
}

static struct rate rate(struct reader *r)
{
    struct rate read;
    read.count = amount(r);
    read.seconds = amount(r);
    check(r, read.count == 0 || read.seconds > 0, "a rate has no time");
    return read;
}

static const char *text(struct reader *r)
{
    size_t length = number(r, 2);
    const uint8_t *bytes = take(r, length + 1);
    if (!bytes || !check(r, memchr(bytes, 0, length + 1) == bytes + length, "a text is not closed"))
        return "";
    return (const char *)bytes;
}

static const char *name(struct reader *r)
{
    char canonical[NAME_SIZE];
    const char *read = text(r);
    check(r, name_canonical(read, strlen(read), canonical) && strcmp(read, canonical) == 0, "a name is not canonical");
    return read;
}

static struct address address(struct reader *r, bool may_be_none)
{
    static const uint8_t zero[16];
    struct address read = {.length = (uint8_t)number(r, 1)};
    const uint8_t *bytes = take(r, 16);
    bool right = read.length == 4 || read.length == 16 || (read.length == 0 && may_be_none);
    if (!check(r, right, "an address has no such length") ||
        !check(r, memcmp(bytes + read.length, zero, 16U - read.length) == 0, "an address has bytes behind its end"))
        return (struct address){0};
    memcpy(read.bytes, bytes, 16);
    return read;
}

/* Reads a count of things which take at least `size` bytes each, and makes room for them. */
static void *list(struct reader *r, size_t size, size_t item, size_t *count)
{
    size_t n = number(r, 4);
    if (!check(r, n <= (r->length - r->at) / size, "a list is longer than all of them") || n == 0)
        return NULL;
    void *items = calloc(n, item);
    if (check(r, items != NULL, "there is no memory for them"))
        *count = n;
    return items;
}

static void read_block(struct reader *r, struct target *target)
{
    target->block = address(r, false);
    target->bits = (unsigned)number(r, 1);
    if (!check(r, target->bits <= target->block.length * 8U, "a block has more bits than an address"))
        return;
    for (unsigned i = target->bits; i < target->block.length * 8U; i++)
        check(r, !(target->block.bytes[i / 8] & 0x80 >> i % 8), "a block has bits behind its end");
    struct address short_form = target->block;
    address_unmap(&short_form);
    if (target->bits >= 96 && short_form.length == 4) {
        target->block = short_form;
        target->bits -= 96;
    }
}

static void read_target(struct reader *r, const struct row *row, struct target *target)
{
    target->kind = (enum target_kind)below(r, TARGET_INTERNAL + 1);
    target->port = (uint16_t)number(r, 2);
    if (target->kind == TARGET_BLOCK)
        read_block(r, target);
    else if (target->kind != TARGET_INTERNAL)
        target->name = name(r);
    check(r, row->word != ROW_ALLOW_INTERNAL || target->kind == TARGET_BLOCK, "allow_internal has a target by name");
    check(r, row->word != ROW_PUBLISH || (target->kind == TARGET_BLOCK && target->bits == target->block.length * 8U),
          "publish has a target that is no address");
    check(r, row->word == ROW_DENY || target->kind != TARGET_INTERNAL, "an allow row has all internal addresses");
}

static void read_row(struct reader *r, struct row *row)
{
    row->word = (enum row_word)below(r, ROW_PUBLISH + 1);
    unsigned flags = below(r, (ROW_WATCH | ROW_HAS_WHY) + 1);
    row->watch = flags & ROW_WATCH;
    row->from = text(r);
    const char *why = text(r);
    row->why = flags & ROW_HAS_WHY ? why : NULL;
    row->requests = rate(r);
    row->bandwidth = amount(r);
    row->bytes = number(r, 8);
    row->ports = list(r, 2, sizeof *row->ports, &row->n_ports);
    for (size_t i = 0; i < row->n_ports; i++) {
        row->ports[i] = (uint16_t)number(r, 2);
        check(r, row->ports[i] != 0, "a row has port 0");
    }
    row->targets = list(r, 3, sizeof *row->targets, &row->n_targets);
    for (size_t i = 0; i < row->n_targets; i++)
        read_target(r, row, &row->targets[i]);
    check(r, row->word != ROW_PUBLISH || row->n_targets == 1, "publish has not one target");
}

static void read_all(struct reader *r, struct rules *rules)
{
    check(r, number(r, 4) == RULES_MAGIC, "they begin with something else");
    check(r, number(r, 4) == RULES_VERSION, "they are of another version");
    check(r, number(r, 4) == r->length, "they have another length than they say");
    rules->mode = (enum rules_mode)below(r, RULES_OPEN + 1);
    rules->dns = (enum rules_dns)below(r, RULES_DNS_VERIFY + 1);
    rules->otherwise_allow = below(r, 2) != 0;
    rules->from = text(r);
    rules->requests = rate(r);
    rules->bandwidth = amount(r);
    rules->resolver = address(r, true);
    rules->resolver_port = (uint16_t)number(r, 2);
    check(r, (rules->resolver.length != 0) == (rules->resolver_port != 0), "a resolver is an address and a port");
    rules->hosts = list(r, 20, sizeof *rules->hosts, &rules->n_hosts);
    for (size_t i = 0; i < rules->n_hosts; i++) {
        rules->hosts[i].name = name(r);
        rules->hosts[i].address = address(r, false);
        address_unmap(&rules->hosts[i].address);
    }
    rules->rows = list(r, 48, sizeof *rules->rows, &rules->n_rows);
    for (size_t i = 0; i < rules->n_rows; i++)
        read_row(r, &rules->rows[i]);
    check(r, r->at == r->length, "something follows their end");
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    for (size_t i = 0; i < rules->n_rows; i++) {
        free(rules->rows[i].ports);
        free(rules->rows[i].targets);
    }
    free(rules->rows);
    free(rules->hosts);
    if (rules->index) {
        free(rules->index->bytes);
        free(rules->index->names);
        free(rules->index->buckets);
        free(rules->index->blocks);
        free(rules->index->ports);
    }
    free(rules->index);
    free(rules);
}

struct rules *rules_decode(const void *bytes, size_t length, struct err *err)
{
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules)
        rules->index = calloc(1, sizeof *rules->index);
    if (rules && rules->index && length <= RULES_MAX)
        rules->index->bytes = malloc(length + 1);
    if (!rules || !rules->index || !rules->index->bytes) {
        rules_free(rules);
        err_set(err, length > RULES_MAX ? EMSGSIZE : ENOMEM, "network rules: %zu bytes are too many", length);
        return NULL;
    }
    memcpy(rules->index->bytes, bytes, length);
    struct reader r = {.bytes = (const uint8_t *)rules->index->bytes, .length = length};
    read_all(&r, rules);
    if (r.wrong)
        err_set(err, EBADMSG, "network rules: byte %zu of %zu: %s", r.at, length, r.wrong);
    if (r.wrong || rules_index(rules, err) < 0) {
        rules_free(rules);
        return NULL;
    }
    return rules;
}
