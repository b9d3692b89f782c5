/* Bytes as rules: refused, or rules that can be asked anything, and that find the row which a look at all of them finds. */
#include "../../core/gateway/decide.h"

#include "fuzz.h"

#include <string.h>

static bool has_port(const struct row *row, const struct target *target, uint16_t port)
{
    bool any = !target->port && row->n_ports == 0;
    for (size_t i = 0; i < row->n_ports; i++)
        any = any || (!target->port && row->ports[i] == port);
    return any || target->port == port;
}

/* The first row about a name, without addresses. */
static int first_row(const struct rules *rules, const char *name, uint16_t port)
{
    for (size_t r = 0; r < rules->n_rows; r++)
        for (size_t t = 0; t < rules->rows[r].n_targets; t++) {
            const struct target *target = &rules->rows[r].targets[t];
            bool named = target->kind == TARGET_NAME || target->kind == TARGET_BELOW;
            if (named && name_matches(name, target->name, target->kind == TARGET_BELOW) &&
                has_port(&rules->rows[r], target, port))
                return (int)r;
        }
    return -1;
}

static void ask(const struct rules *rules, const char *name, const struct address *address)
{
    static const uint16_t ports[] = {0, 22, 443, 65535};
    bool any = false;
    for (size_t p = 0; p < sizeof ports / sizeof ports[0]; p++) {
        struct decision decision = rules_decide(rules, name, address, ports[p]);
        MUST(decision.reason && decision.from && decision.row < (int)rules->n_rows);
        MUST(!decision.allow || ports[p]);
        if (name && !address)
            any = any || decision.allow;
        if (name && !address && ports[p] && !rules_host(rules, name))
            MUST(first_row(rules, name, ports[p]) == (decision.row < 0 ? -1 : decision.row));
        if (decision.allow && address && address_internal(address))
            MUST(decision.row >= 0 && rules->rows[decision.row].word == ROW_ALLOW_INTERNAL);
    }
    if (name && any)
        MUST(rules_answers(rules, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct address inside = {4, {10, 1, 2, 3}}, outside = {4, {203, 0, 113, 7}},
                                wrapped = {16, {0x20, 2, 10}};
    struct err err = {0};
    char below[NAME_SIZE + 2];
    struct rules *rules = rules_decode(data, size, &err);
    MUST(rules || err.text[0]);
    if (!rules)
        return 0;
    ask(rules, NULL, &inside);
    ask(rules, NULL, &outside);
    ask(rules, "www.example.org", &wrapped);
    ask(rules, "localhost", NULL);
    for (size_t r = 0; r < rules->n_rows; r++)
        for (size_t t = 0; t < rules->rows[r].n_targets && t < 50; t++) {
            const struct target *target = &rules->rows[r].targets[t];
            if (target->kind == TARGET_BLOCK)
                ask(rules, NULL, &target->block);
            if (!target->name)
                continue;
            snprintf(below, sizeof below, "w.%s", target->name);
            ask(rules, target->name, NULL);
            ask(rules, target->name, &inside);
            if (strlen(below) < NAME_SIZE)
                ask(rules, below, NULL);
        }
    rules_free(rules);
    return 0;
}
