/* publish.h - the host's end of published ports: listening sockets on its loopback, made by the supervisor, which may
 * still be refused a port, and served by the gateway (inbound.h). */
#ifndef MOONBOX_GATEWAY_PUBLISH_H
#define MOONBOX_GATEWAY_PUBLISH_H

#include "../err.h"
#include "address.h"

#include <stddef.h>
#include <stdint.h>

enum { PUBLISH_MOST = 32 };

struct published {
    int fd;            /* listening; -1: closed */
    uint16_t port;     /* of the sandbox */
    struct address on; /* of the host */
    uint16_t asked;    /* the host's port that the row has; 0: any free one */
    uint16_t on_port;  /* the one that it is */
};

/* In the order of the rows, and of the ports in each. */
struct published_ports {
    struct published ports[PUBLISH_MOST];
    size_t n;
};

/* Listens for every publish row of the rules (rules_decode's bytes). 0, or -1 with the row in err and nothing left open. */
int publish_open(const void *rules, size_t length, struct published_ports *ports, struct err *err);

void publish_close(struct published_ports *ports);

#endif
