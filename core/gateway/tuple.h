/* tuple.h - who speaks with whom: both ends of a connection of the sandbox, by which its packets are found again. */
#ifndef MOONBOX_GATEWAY_TUPLE_H
#define MOONBOX_GATEWAY_TUPLE_H

#include "address.h"

struct tuple {
    struct address source, target;
    uint16_t source_port, target_port;
};

/* Not spread evenly among all numbers: for a table, take the remainder. */
size_t tuple_hash(const struct tuple *tuple);
bool tuple_equal(const struct tuple *a, const struct tuple *b);

#endif
