#include "netns.h"

#include "capture.h"
#include "netlink.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK = 1 }; /* its index in every network namespace (LOOPBACK_IFINDEX of the kernel's net/flow.h) */

static void loopback_up(struct netlink *nl)
{
    const struct ifinfomsg link = {
        .ifi_family = AF_UNSPEC, .ifi_index = LOOPBACK, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    netlink_message(nl, "bring loopback up", RTM_NEWLINK, 0, &link, sizeof link);
}

static size_t size_of(int family)
{
    return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

/* One host address. NODAD: nobody else could answer on loopback, and a tentative address can't be used (RFC 4862). */
static void address(struct netlink *nl, int family, const void *bytes)
{
    const size_t size = size_of(family);
    const struct ifaddrmsg header = {.ifa_family = (uint8_t)family,
                                     .ifa_prefixlen = (uint8_t)(size * 8),
                                     .ifa_flags = IFA_F_NODAD,
                                     .ifa_index = LOOPBACK};
    netlink_message(nl, "give loopback an address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
    netlink_put(nl, IFA_LOCAL, bytes, size);
    netlink_put(nl, IFA_ADDRESS, bytes, size);
}

/* Everything is local. `source` is what a program that doesn't choose sends from. */
static void route(struct netlink *nl, int family, const void *source)
{
    const struct rtmsg header = {.rtm_family = (uint8_t)family,
                                 .rtm_table = RT_TABLE_LOCAL,
                                 .rtm_protocol = RTPROT_STATIC,
                                 .rtm_scope = RT_SCOPE_HOST,
                                 .rtm_type = RTN_LOCAL};
    netlink_message(nl, "route every address to loopback", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header,
                    sizeof header);
    netlink_put_u32(nl, RTA_OIF, LOOPBACK);
    netlink_put(nl, RTA_PREFSRC, source, size_of(family));
}

/* By ioctl, as nothing else is to be done here: a netlink message for this alone takes a fifth longer. The socket tells
 * its namespace (SIOCGSKNS): looked up in procfs, that would leave there what has to be cleared away when we end. errno
 * is written only when something fails, for core/netns_beside: the C library's functions do so, and cleanup_fd does not. */
int netns_loopback_up(struct err *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "open a socket in the network namespace");
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    int result = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? err_sys(err, "bring loopback up") : 0;
    if (result == 0 && (result = ioctl(fd, SIOCGSKNS)) < 0)
        err_sys(err, "open the network namespace");
    close(fd);
    return result;
}

int netns_all_addresses(struct err *err)
{
    struct in_addr four;
    struct in6_addr six;
    struct netlink nl;
    inet_pton(AF_INET, CAPTURE_ADDRESS, &four);
    inet_pton(AF_INET6, CAPTURE_ADDRESS6, &six);
    netlink_init(&nl);
    loopback_up(&nl);
    address(&nl, AF_INET, &four);
    address(&nl, AF_INET6, &six);
    route(&nl, AF_INET, &four);
    route(&nl, AF_INET6, &six);
    cleanup_fd int fd = netlink_open(NETLINK_ROUTE, err);
    return fd < 0 ? -1 : netlink_send(fd, &nl, err);
}

int netns_allow_low_ports(int proc_fd, struct err *err)
{
    if (util_write_file(proc_fd, "sys/net/ipv4/ip_unprivileged_port_start", "1") < 0)
        return err_sys(err, "allow ports below 1024 (net.ipv4.ip_unprivileged_port_start)");
    return 0;
}

/* Kernel Documentation/networking/ip-sysctl, each but the first for speed:
 * - a cookie's final ACK is no SYN, and only SYNs are steered to the listener
 * - pacing congestion controls, which the host may have as its default, wait for timers on every loopback hop
 * - SYNs come in bursts, and at most a quarter of the backlog's free places go to unknown peers without cookies
 * - the ports from which connections go out, without those below 16384 on which people let their servers listen
 * - a port towards the same address may be used again at once: both ends of it are ours
 * - buffers that are large enough for a way without length: what nobody reads takes of the memory for TCP that a sandbox may
 *   use (cgroup.c), and of the one that the whole host has (tcp_mem) */
static const char *const settings[][2] = {
    {"sys/net/ipv4/tcp_syncookies", "0"},         {"sys/net/ipv4/tcp_congestion_control", "reno"},
    {"sys/net/ipv4/tcp_max_syn_backlog", "8192"}, {"sys/net/ipv4/ip_local_port_range", "16384 65535"},
    {"sys/net/ipv4/tcp_tw_reuse", "1"},           {"sys/net/ipv4/tcp_rmem", "4096 131072 2097152"},
};

int netns_tcp_settings(int proc_fd, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (util_write_file(proc_fd, settings[i][0], settings[i][1]) < 0 && errno != ENOENT)
            return err_sys(err, "set %s to %s", settings[i][0], settings[i][1]);
    return 0;
}
