#include "capture.h"

#include "failpoint.h"
#include "netlink.h"
#include "netns.h"
#include "ruleset.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Pending connections and, at most, SYNs that are held. The kernel caps the first by net.core.somaxconn (4096). */
enum { BACKLOG = 65535, HELD_SYNS = 4096 };

/* Bytes of a held SYN that the gateway sees: the largest IPv6 header without extensions, and of TCP. */
enum { HELD_BYTES = 128 };

/* As much as net.core.rmem_max allows, to which the kernel caps it: SO_RCVBUFFORCE is not for user namespaces. */
enum { WISHED_BUFFER = 4 << 20 };

static void configure(struct netlink *nl, const char *what, int type, uint16_t number)
{
    const struct nfgenmsg header = {AF_UNSPEC, NFNETLINK_V0, htons(number)};
    netlink_init(nl);
    netlink_message(nl, what, (uint16_t)type, 0, &header, sizeof header);
}

/* Whatever doesn't fit into the buffer is dropped by the kernel; the error about it (ENOBUFS) would only be one more thing
 * to read and pass over (netlink(7)). */
static int send_configuration(int *fd, struct netlink *nl, struct err *err)
{
    const int on = 1, size = WISHED_BUFFER;
    *fd = netlink_open(NETLINK_NETFILTER, err);
    if (*fd < 0)
        return -1;
    if (setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0 ||
        setsockopt(*fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on) < 0)
        return err_sys(err, "set up a netlink socket");
    return netlink_send(*fd, nl, err);
}

static int open_log(int *fd, struct err *err)
{
    const struct nfulnl_msg_config_cmd bind = {NFULNL_CFG_CMD_BIND};
    const struct nfulnl_msg_config_mode mode = {htonl(RULESET_LOG_BYTES), NFULNL_COPY_PACKET, 0};
    struct netlink nl;
    configure(&nl, "listen for logged packets (kernel module nfnetlink_log)", NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG,
              CAPTURE_LOG_GROUP);
    netlink_put(&nl, NFULA_CFG_CMD, &bind, sizeof bind);
    netlink_put(&nl, NFULA_CFG_MODE, &mode, sizeof mode);
    netlink_put_be32(&nl, NFULA_CFG_QTHRESH, 1);
    return send_configuration(fd, &nl, err);
}

/* FAIL_OPEN: a SYN for which there is no room goes on, to the listener, where the same policy is enforced. */
static int open_queue(int *fd, struct err *err)
{
    const struct nfqnl_msg_config_cmd bind = {NFQNL_CFG_CMD_BIND, 0, 0};
    const struct nfqnl_msg_config_params params = {htonl(HELD_BYTES), NFQNL_COPY_PACKET};
    struct netlink nl;
    configure(&nl, "hold connections (kernel module nfnetlink_queue)", NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
              CAPTURE_QUEUE_NUMBER);
    netlink_put(&nl, NFQA_CFG_CMD, &bind, sizeof bind);
    netlink_put(&nl, NFQA_CFG_PARAMS, &params, sizeof params);
    netlink_put_be32(&nl, NFQA_CFG_QUEUE_MAXLEN, HELD_SYNS);
    netlink_put_be32(&nl, NFQA_CFG_MASK, NFQA_CFG_F_FAIL_OPEN);
    netlink_put_be32(&nl, NFQA_CFG_FLAGS, NFQA_CFG_F_FAIL_OPEN);
    return send_configuration(fd, &nl, err);
}

/* The exact mode's rules where it can be had; the other's where not. */
static int install_rules(struct capture *capture, struct err *err)
{
    struct err ignored;
    cleanup_fd int fd = netlink_open(NETLINK_NETFILTER, err);
    if (fd < 0)
        return -1;
    capture->mode = CAPTURE_EXACT;
    if (failpoint("capture", "queue", &ignored) == 0 && open_queue(&capture->sockets[CAPTURE_QUEUE], &ignored) == 0 &&
        ruleset_install(fd, ruleset_queue_kind(fd), &ignored) == 0)
        return 0;
    util_close(&capture->sockets[CAPTURE_QUEUE]);
    capture->mode = CAPTURE_ACCEPT;
    return ruleset_install(fd, RULESET_NO_QUEUE, err);
}

static int on(int fd, int level, int option)
{
    const int one = 1;
    return setsockopt(fd, level, option, &one, sizeof one);
}

/* Binds [::]:port for IPv4 too. Nobody may share the port, so no SO_REUSEADDR: a program of the sandbox then can't bind it
 * on any address (bind(2), EADDRINUSE). */
static int bound(int type, uint16_t port, struct err *err)
{
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    const int off = 0;
    cleanup_fd int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT)
        return err_sys(err, "IPv6 is switched off in the kernel; boot without ipv6.disable=1");
    if (fd < 0 || setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)
        return err_sys(err, "open a socket for port %u", port);
    if (type == SOCK_STREAM && on(fd, IPPROTO_TCP, TCP_NODELAY) < 0)
        return err_sys(err, "turn Nagle's algorithm off");
    if (type == SOCK_STREAM && port == RULESET_LISTENER_PORT &&
        (on(fd, SOL_IPV6, IPV6_TRANSPARENT) < 0 || on(fd, SOL_SOCKET, SO_OOBINLINE) < 0))
        return err_sys(err, "make the listener transparent");
    if (bind(fd, (const struct sockaddr *)&any, sizeof any) < 0)
        return err_sys(err, "bind port %u", port);
    if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
        return err_sys(err, "listen on port %u", port);
    return steal_fd(&fd);
}

/* FREEBIND: an answer comes from the address that was asked, which only the local route makes ours (ipv6(7)). */
static int open_dns(int *fd, struct err *err)
{
    *fd = bound(SOCK_DGRAM, RULESET_DNS_PORT, err);
    if (*fd < 0)
        return -1;
    if (on(*fd, SOL_IPV6, IPV6_RECVPKTINFO) < 0 || on(*fd, SOL_IPV6, IPV6_FREEBIND) < 0)
        return err_sys(err, "set up the DNS socket");
    return 0;
}

static int open_sockets(int sockets[CAPTURE_SOCKETS], struct err *err)
{
    sockets[CAPTURE_LISTENER] = bound(SOCK_STREAM, RULESET_LISTENER_PORT, err);
    if (sockets[CAPTURE_LISTENER] < 0)
        return -1;
    if (open_dns(&sockets[CAPTURE_DNS_UDP], err) < 0)
        return -1;
    sockets[CAPTURE_DNS_TCP] = bound(SOCK_STREAM, RULESET_DNS_PORT, err);
    return sockets[CAPTURE_DNS_TCP] < 0 ? -1 : 0;
}

int capture_setup(struct capture *capture, int proc_fd, bool low_ports, struct err *err)
{
    for (int i = 0; i < CAPTURE_SOCKETS; i++)
        capture->sockets[i] = -1;
    if (netns_tcp_settings(proc_fd, err) == 0 && (!low_ports || netns_allow_low_ports(proc_fd, err) == 0) &&
        netns_all_addresses(err) == 0 && open_log(&capture->sockets[CAPTURE_LOG], err) == 0 &&
        install_rules(capture, err) == 0 && open_sockets(capture->sockets, err) == 0)
        return 0;
    capture_close(capture);
    err->code = ENONET;
    return -1;
}

void capture_close(struct capture *capture)
{
    for (int i = 0; i < CAPTURE_SOCKETS; i++)
        util_close(&capture->sockets[i]);
}
