#include "kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kept_init(struct kept *kept, uint64_t room)
{
    *kept = (struct kept){.head_room = room - room / 4, .tail_room = room / 4};
}

void kept_free(struct kept *kept)
{
    free(kept->head);
    free(kept->tail);
    kept_init(kept, 0);
}

size_t kept_head(struct kept *kept, size_t count)
{
    uint64_t room = kept->head_room - kept->headed;
    size_t share = count < room ? count : (size_t)room;
    kept->headed += share;
    return share;
}

void kept_add_tail(struct kept *kept, const char *bytes, size_t count)
{
    if (count == 0)
        return;
    if (!kept->tail && kept->tail_room > 0 && !(kept->tail = malloc(kept->tail_room)))
        kept->tail_room = 0;
    if (kept->tail_room == 0) {
        kept->lost += count;
        return;
    }
    if (count > kept->tail_room) {
        kept->tailed += count - kept->tail_room;
        bytes += count - kept->tail_room;
        count = (size_t)kept->tail_room;
    }
    size_t at = (size_t)(kept->tailed % kept->tail_room), first = (size_t)kept->tail_room - at;
    if (first > count)
        first = count;
    memcpy(kept->tail + at, bytes, first);
    memcpy(kept->tail, bytes + first, count - first);
    kept->tailed += count;
}

void kept_add(struct kept *kept, const char *bytes, size_t count)
{
    size_t share = kept_head(kept, count);
    char *grown = share > 0 ? realloc(kept->head, kept->head_length + share) : kept->head;
    if (share > 0 && grown) {
        kept->head = grown;
        memcpy(grown + kept->head_length, bytes, share);
        kept->head_length += share;
    } else {
        kept->lost += share;
    }
    kept_add_tail(kept, bytes + share, count - share);
}

uint64_t kept_dropped(const struct kept *kept)
{
    return kept->lost + (kept->tailed > kept->tail_room ? kept->tailed - kept->tail_room : 0);
}

static char *join(const struct kept *kept, size_t head, size_t *length)
{
    char line[96];
    uint64_t dropped = kept_dropped(kept);
    size_t tail = (size_t)(kept->tailed < kept->tail_room ? kept->tailed : kept->tail_room), said = 0;
    /* Where nothing at all was to be kept, nothing is said either. */
    if (dropped > 0 && kept->head_room > 0)
        said = (size_t)snprintf(line, sizeof line, "\nmoonbox: %llu bytes were left out here\n",
                                (unsigned long long)dropped);
    char *text = head + said + tail > 0 ? malloc(head + said + tail) : NULL;
    *length = text ? head + said + tail : 0;
    if (!text)
        return NULL;
    /* A log's head is in its file: there is no pointer to copy from, and memcpy() wants one even for nothing. */
    if (head > 0)
        memcpy(text, kept->head, head);
    memcpy(text + head, line, said);
    size_t at = kept->tailed > kept->tail_room ? (size_t)(kept->tailed % kept->tail_room) : 0;
    if (tail > 0) {
        memcpy(text + head + said, kept->tail + at, tail - at);
        memcpy(text + head + said + (tail - at), kept->tail, at);
    }
    return text;
}

char *kept_end(const struct kept *kept, size_t *length)
{
    return join(kept, 0, length);
}

char *kept_text(const struct kept *kept, size_t *length)
{
    return join(kept, kept->head_length, length);
}
