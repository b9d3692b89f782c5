#include "fakes.h"

#include <stdlib.h>
#include <string.h>

static const struct address block = {4, {198, 18}};
enum { BLOCK_BITS = 15 };

/* FNV-1a; a tenant who finds collisions slows his own gateway down, and FAKES_MOST bounds by how much. */
static unsigned hash(const char *name)
{
    unsigned value = 2166136261u;
    for (; *name; name++)
        value = (value ^ (unsigned char)*name) * 16777619u;
    return value;
}

/* The slot of the name, or the empty one where it belongs. */
static unsigned *find(const struct fakes *fakes, const char *name)
{
    size_t mask = fakes->n_slots - 1, at = hash(name) & mask;
    while (fakes->slots[at] && strcmp(fakes->names[fakes->slots[at] - 1], name) != 0)
        at = (at + 1) & mask;
    return &fakes->slots[at];
}

static bool grow_slots(struct fakes *fakes)
{
    size_t wanted = fakes->n_slots ? fakes->n_slots * 2 : 64;
    unsigned *slots = calloc(wanted, sizeof *slots);
    if (!slots)
        return false;
    free(fakes->slots);
    fakes->slots = slots;
    fakes->n_slots = wanted;
    for (size_t i = 0; i < fakes->n; i++)
        *find(fakes, fakes->names[i]) = (unsigned)i + 1;
    return true;
}

static bool make_room(struct fakes *fakes)
{
    if (fakes->n == FAKES_MOST)
        return false;
    if (fakes->n == fakes->room) {
        size_t room = fakes->room ? fakes->room * 2 : 32;
        char **names = realloc(fakes->names, room * sizeof *names);
        if (!names)
            return false;
        fakes->names = names;
        fakes->room = room;
    }
    return fakes->n * 2 < fakes->n_slots || grow_slots(fakes);
}

static void number_to_address(unsigned number, struct address *address)
{
    *address = block;
    address->bytes[1] = (uint8_t)(block.bytes[1] + (number >> 16));
    address->bytes[2] = (uint8_t)(number >> 8);
    address->bytes[3] = (uint8_t)number;
}

bool fakes_known(const struct fakes *fakes, const char *name)
{
    return fakes->n_slots && *find(fakes, name);
}

bool fakes_address(struct fakes *fakes, const char *name, struct address *address)
{
    unsigned number = fakes->n_slots ? *find(fakes, name) : 0;
    if (!number) {
        char *own = make_room(fakes) ? strdup(name) : NULL;
        if (!own)
            return false;
        unsigned *slot = find(fakes, own);
        fakes->names[fakes->n] = own;
        number = *slot = (unsigned)++fakes->n;
    }
    number_to_address(number, address);
    return true;
}

bool fakes_is(const struct address *address)
{
    return address_in(address, &block, BLOCK_BITS);
}

const char *fakes_name(const struct fakes *fakes, const struct address *address)
{
    if (!fakes_is(address))
        return NULL;
    unsigned number =
        (unsigned)(address->bytes[1] - block.bytes[1]) << 16 | (unsigned)address->bytes[2] << 8 | address->bytes[3];
    return number >= 1 && number <= fakes->n ? fakes->names[number - 1] : NULL;
}
