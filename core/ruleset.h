/* ruleset.h - the nftables rules that take every packet of a sandbox to a socket of ours, or refuse it. */
#ifndef MOONBOX_RULESET_H
#define MOONBOX_RULESET_H

#include "err.h"

#include <stdint.h>

/* How SYNs are held: not at all; by the `queue` expression; by the NFQUEUE target of iptables. */
enum ruleset_queue { RULESET_NO_QUEUE, RULESET_QUEUE, RULESET_QUEUE_TARGET };

/* Ports of the sockets that the rules lead to. Programs of the sandbox can't bind them on any address. */
enum { RULESET_LISTENER_PORT = 1, RULESET_DNS_PORT = 53 };

/* Bytes of a refused packet that the log gets: the largest usual IP header and the ports. */
enum { RULESET_LOG_BYTES = 64 };

/* Which way of holding SYNs this kernel has, asked on an open NETLINK_NETFILTER socket: RULESET_QUEUE_TARGET where it can
 * be known without trying, else RULESET_QUEUE, which may fail. */
enum ruleset_queue ruleset_queue_kind(int fd);

/* Adds the rules, all or none, to the current network namespace through an open NETLINK_NETFILTER socket. */
int ruleset_install(int fd, enum ruleset_queue queue, struct err *err);

#endif
