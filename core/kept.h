/* kept.h - what is kept of a long output: its beginning and its end, in bounded memory.
 *
 * Three quarters of the room are for the head, a quarter for the tail: an error is most often told at the end, and what
 * a program was doing at the beginning.  Between them one line says how much is missing. */
#ifndef MOONBOX_KEPT_H
#define MOONBOX_KEPT_H

#include <stddef.h>
#include <stdint.h>

struct kept {
    uint64_t head_room, tail_room; /* bytes */
    char *head, *tail;             /* owned; the tail is a ring, filled once the head is full */
    size_t head_length;
    uint64_t headed, tailed; /* bytes given to the head and to the tail so far */
    uint64_t lost;           /* for want of memory */
};

void kept_init(struct kept *kept, uint64_t room);
void kept_free(struct kept *kept);

/* How many of the next `count` bytes belong to the head, for a caller that keeps the head itself; counts them. */
size_t kept_head(struct kept *kept, size_t count);

/* Keeps bytes: the head in memory, or (kept_add_tail) none of it. */
void kept_add(struct kept *kept, const char *bytes, size_t count);
void kept_add_tail(struct kept *kept, const char *bytes, size_t count);

/* Bytes that are in neither. */
uint64_t kept_dropped(const struct kept *kept);

/* The line about what is missing, when something is, and the tail: malloc'ed and the caller's; NULL when there is none.
 * kept_text: the head before it. */
char *kept_end(const struct kept *kept, size_t *length);
char *kept_text(const struct kept *kept, size_t *length);

#endif
