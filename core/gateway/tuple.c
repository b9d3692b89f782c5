#include "tuple.h"

size_t tuple_hash(const struct tuple *tuple)
{
    size_t value = tuple->source_port * 2654435761u ^ tuple->target_port * 40503u;
    for (size_t i = 0; i < tuple->target.length; i++)
        value = value * 31 + tuple->target.bytes[i];
    return value;
}

bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
    return a->source_port == b->source_port && a->target_port == b->target_port &&
           address_equal(&a->target, &b->target) && address_equal(&a->source, &b->source);
}
