/* capture.h - a network namespace whose every packet ends at five sockets of ours. Runs in the sandbox's child, which is
 * privileged over the new namespace and nothing else.
 *
 * Loopback is the only interface; every address is routed to it (AnyIP), and nftables steers TCP to one transparent
 * listener, DNS to another socket, everything else into a log and an ICMP refusal.  The sockets stay in this namespace
 * whoever holds them: the gateway accepts from outside. */
#ifndef MOONBOX_CAPTURE_H
#define MOONBOX_CAPTURE_H

#include "err.h"

#include <stdbool.h>

/* In the order of preference; doctor and the record name the one in use. */
enum capture_mode {
    CAPTURE_EXACT,  /* tproxy, and SYNs held by NFQUEUE until the far end has answered */
    CAPTURE_ACCEPT, /* tproxy, and connections accepted first, then reset when refused */
};

enum { CAPTURE_LISTENER, CAPTURE_DNS_UDP, CAPTURE_DNS_TCP, CAPTURE_LOG, CAPTURE_QUEUE, CAPTURE_SOCKETS };

struct capture {
    int sockets[CAPTURE_SOCKETS]; /* CAPTURE_QUEUE is -1 unless the mode is exact */
    enum capture_mode mode;
};

/* Marks that the gateway gives to a held SYN's verdict when the connection is refused. */
enum { CAPTURE_MARK_REFUSED = 0xbad, CAPTURE_MARK_UNREACHABLE = 0xbae };

enum { CAPTURE_LOG_GROUP = 1, CAPTURE_QUEUE_NUMBER = 1 };

/* The sandbox's own address beside 127.0.0.1, for programs that want one that is not loopback (RFC 6598, RFC 4193). */
#define CAPTURE_ADDRESS "100.64.0.30"
#define CAPTURE_ADDRESS6 "fd53:6278::2"

/* Sets the current network namespace up and opens the sockets. `proc_fd` is a writable procfs of it, for its own sysctls;
 * `low_ports`: ports below 1024 may be bound. The sockets are the caller's (O_CLOEXEC, non-blocking; what the
 * listeners accept inherits TCP_NODELAY). What a mode needs and this kernel lacks leads to the next mode; without the last
 * one it is an error: there is no network rather than an unwatched one. 0, or -1 with the step in err, code ENONET, and
 * nothing left open. */
int capture_setup(struct capture *capture, int proc_fd, bool low_ports, struct err *err);

void capture_close(struct capture *capture);

#endif
