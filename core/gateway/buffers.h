/* buffers.h - how much a slow reader may leave unread, in the kernel and here. */
#ifndef MOONBOX_GATEWAY_BUFFERS_H
#define MOONBOX_GATEWAY_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>

struct gateway;

/* Bytes that one way of a connection may keep for a reader who is slow, with as many connections as there are now: 32 MB
 * divided among them, at least 16 KB. */
size_t buffers_share(const struct gateway *gateway);

/* How many connections at once leave the sizes of their sockets' buffers to the kernel, on this host: 4 to 64; 8 where it does
 * not say what it has (in a network namespace of its own). Reads /proc. */
size_t buffers_unbound(void);

/* Gives a socket fixed buffers of the share, each way, where there are more connections than that. To be called before
 * connect(2), at which the most that the window can become is agreed on (tcp(7), SO_RCVBUF); `connected`: it is one that
 * was accepted. */
void buffers_limit(const struct gateway *gateway, int fd, bool connected);

#endif
