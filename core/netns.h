/* netns.h - the sandbox's own network namespace.  In it there is only loopback; all that leads outside will be
 * sockets made here and handed to the gateway, which lives outside.
 *
 * Everything here must run inside the namespace with CAP_NET_ADMIN over it. `proc_fd` is a procfs whose reader is in the
 * namespace. */
#ifndef MOONBOX_NETNS_H
#define MOONBOX_NETNS_H

#include "err.h"

#include <stdbool.h>

/* Brings loopback up. Returns a descriptor of the namespace, close-on-exec; -1 with err set. */
int netns_loopback_up(struct err *err);

/* Brings loopback up, gives it CAPTURE_ADDRESS and CAPTURE_ADDRESS6, and makes every address there is one of its own
 * (AnyIP: local routes for all of IPv4 and IPv6, ip-route(8)), so that each packet comes back in. */
int netns_all_addresses(struct err *err);

/* Lets every process of the namespace bind ports from 1 on (ip_unprivileged_port_start, kernel
 * Documentation/networking/ip-sysctl): a capability held in the nested user namespace counts for nothing here. */
int netns_allow_low_ports(int proc_fd, struct err *err);

/* The settings of TCP that capturing needs; those that the kernel is built without are left out. */
int netns_tcp_settings(int proc_fd, struct err *err);

#endif
