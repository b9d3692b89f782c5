/* netlink.h - messages to the kernel's routing and netfilter tables (netlink(7), rtnetlink(7)), built in one buffer and
 * sent in one piece.
 *
 * Building never fails: what doesn't fit is remembered, and netlink_send then refuses.  No library: those of the
 * distribution marshal the same bytes, take ten times as long to start, and would be all that the program links for it. */
#ifndef MOONBOX_NETLINK_H
#define MOONBOX_NETLINK_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NETLINK_BYTES = 16384, NETLINK_MESSAGES = 64 };

struct netlink {
    size_t used;                        /* bytes of all messages so far */
    size_t message;                     /* where the one that is being built starts */
    size_t last;                        /* where the last one starts that the kernel answers */
    unsigned count;                     /* messages so far; the sequence number of the next */
    const char *what[NETLINK_MESSAGES]; /* what each of them does, for errors */
    bool full;
    _Alignas(8) char bytes[NETLINK_BYTES];
};

/* Opens a socket of a NETLINK_… protocol, close-on-exec, whose errors come with the kernel's own words (NETLINK_EXT_ACK). The
 * caller closes it. -1 with err set. */
int netlink_open(int protocol, struct err *err);

void netlink_init(struct netlink *nl);

/* Starts a message. `what`, borrowed until netlink_send returns, completes "can't …"; NULL for a mark that the kernel
 * doesn't answer. `header`: the family's own after struct nlmsghdr. NLM_F_REQUEST is added to the flags. */
void netlink_message(struct netlink *nl, const char *what, uint16_t type, uint16_t flags, const void *header,
                     size_t size);

/* Adds an attribute to it. The numbers are in the machine's order, or in the network's (be16, be32). */
void netlink_put(struct netlink *nl, uint16_t type, const void *value, size_t size);
void netlink_put_text(struct netlink *nl, uint16_t type, const char *text);
void netlink_put_u32(struct netlink *nl, uint16_t type, uint32_t value);
void netlink_put_be16(struct netlink *nl, uint16_t type, uint16_t value);
void netlink_put_be32(struct netlink *nl, uint16_t type, uint32_t value);

/* Starts an attribute that holds those which follow, until netlink_end with what this returned. */
size_t netlink_nest(struct netlink *nl, uint16_t type);
void netlink_end(struct netlink *nl, size_t nest);

/* Sends all messages and reads the kernel's answers, which are there when send(2) returns. 0 when every one was obeyed;
 * else -1 with the first refused message's `what`, the kernel's own words where it has some, and its errno. */
int netlink_send(int fd, struct netlink *nl, struct err *err);

#endif
