/* capture.h - what the two halves of the capture helper share. */
#ifndef SPEC_CAPTURE_H
#define SPEC_CAPTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

/* Ports to which the stand-in of the gateway gives a verdict of its own, in the exact mode. */
enum { PORT_REFUSED = 81, PORT_UNREACHABLE = 82, PORT_SLOW = 83 };
enum { SLOW_MS = 200, PAUSE_MS = 1500 };

/* Connections to this address ask it something: by port, for the last line of the log, not to look at held connections for
 * PAUSE_MS, to close all its sockets. */
#define CONTROL "198.51.100.99"
enum { ASK_LOG = 9, ASK_PAUSE = 10, ASK_CLOSE = 11 };

/* "ADDRESS PORT"; a mapped IPv4 address as such. */
static inline void show_address(const struct sockaddr_in6 *address, char *text, size_t size)
{
    char name[INET6_ADDRSTRLEN];
    if (IN6_IS_ADDR_V4MAPPED(&address->sin6_addr))
        inet_ntop(AF_INET, address->sin6_addr.s6_addr + 12, name, sizeof name);
    else
        inet_ntop(AF_INET6, &address->sin6_addr, name, sizeof name);
    snprintf(text, size, "%s %d", name, ntohs(address->sin6_port));
}

/* The client's actions: run in the captured namespace, as what an agent is there. They print "NAME ANSWER" lines. */
int client(int argc, char **argv);

/* Sends a ping, with the privileges that set the namespace up. */
int client_ping(void);

double now_ms(void);

#endif
