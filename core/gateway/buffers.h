/* buffers.h - how much a slow reader may leave unread, in the kernel and here. */
#ifndef MOONBOX_GATEWAY_BUFFERS_H
#define MOONBOX_GATEWAY_BUFFERS_H

#include <stddef.h>

struct conn;
struct gateway;

/* Bytes that one way of a connection may keep for a reader who is slow, with as many connections as there are now: 32 MB
 * divided among them, at least 16 KB. */
size_t buffers_share(const struct gateway *gateway);

/* How many connections at once leave the sizes of their sockets' buffers to the kernel, on this host: 4 to 64; 8 where it does
 * not say what it has (in a network namespace of its own). Reads /proc. */
size_t buffers_unbound(void);

/* Gives a socket that is to be connected a fixed receive buffer of the share, where there are more connections than that: at
 * connect(2) the most that its window can become is agreed on (tcp(7), SO_RCVBUF). */
void buffers_promise(const struct gateway *gateway, int fd);

/* Bytes that one way may carry before buffers_bind() is called: the kernel gives no socket much for so few, and most
 * connections carry no more. */
enum { BUFFERS_LITTLE = 16 << 10 };

/* Gives both sockets of a connection the other fixed buffers, once, where there are more connections than that. */
void buffers_bind(struct conn *conn);

#endif
