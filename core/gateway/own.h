/* own.h - is an address one of this machine's own? A public address on the host's network card leads to the host's
 * services as surely as 127.0.0.1 does. */
#ifndef MOONBOX_GATEWAY_OWN_H
#define MOONBOX_GATEWAY_OWN_H

#include "../err.h"
#include "address.h"

/* A socket to ask the kernel's routing table with (rtnetlink(7)); -1 with err set. */
int own_open(struct err *err);

/* Whether the route to the address is local, broadcast or multicast, as of now; what can't be found out counts as own. */
bool own_address(int socket, const struct address *address);

#endif
