/* netns_beside.h - a network namespace with loopback up, made beside what the child does meanwhile.
 *
 * The kernel takes half a millisecond to make one, as long as for a third of all the rest, and longer while it tears
 * another down. So a process that shares our memory and descriptors makes it (on another processor, where there is one)
 * and ends; until it is joined the child is in the caller's network namespace, where none of its steps has business. */
#ifndef MOONBOX_NETNS_BESIDE_H
#define MOONBOX_NETNS_BESIDE_H

#include "err.h"

#include <sys/types.h>

struct netns_beside {
    pid_t pid; /* 0: none begun */
    int fd;    /* the namespace; -1 not made */
    struct err err;
};

/* Begins. With CAP_SYS_ADMIN in our user namespace, which will own it. */
int netns_begin(struct netns_beside *beside, struct err *err);

/* Waits for it and enters it. From here on nothing of the caller's network is in reach. */
int netns_join(struct netns_beside *beside, struct err *err);

#endif
