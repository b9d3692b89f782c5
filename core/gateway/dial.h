/* dial.h - a connection on its way out: looked up, judged, dialled. */
#ifndef MOONBOX_GATEWAY_DIAL_H
#define MOONBOX_GATEWAY_DIAL_H

#include <stdint.h>

struct conn;

/* Begins with a new connection, which may have ended when this returns. */
void dial_start(struct conn *conn);

/* Its client was accepted as `fd`, which is taken. */
void dial_accepted(struct conn *conn, int fd);

/* An event of the socket that is being connected to the far end. */
void dial_ready(struct conn *conn, uint32_t events);

#endif
