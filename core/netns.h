/* netns.h - the sandbox's own network namespace.  In it there is only loopback; all that leads outside will be
 * sockets made here and handed to the gateway, which lives outside. */
#ifndef MOONBOX_NETNS_H
#define MOONBOX_NETNS_H

#include "err.h"

#include <stdbool.h>

/* Brings loopback up. Must run inside the namespace with CAP_NET_ADMIN over it. */
int netns_loopback_up(struct err *err);

/* Lets every process of the namespace bind ports from 1 on (ip_unprivileged_port_start, kernel
 * Documentation/networking/ip-sysctl): a capability held in the nested user namespace counts for nothing here.
 * `proc_fd` is a procfs whose reader is in the namespace. */
int netns_allow_low_ports(int proc_fd, struct err *err);

#endif
