/* packets.c - packets that were refused because they are neither TCP nor DNS, as the kernel logs them (nfnetlink_log). */
#include "state.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static const char *protocol_name(unsigned protocol, char buffer[16])
{
    if (protocol == IPPROTO_UDP)
        return "udp";
    if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
        return "icmp";
    if (protocol == IPPROTO_TCP)
        return "tcp";
    snprintf(buffer, 16, "ip-%u", protocol);
    return buffer;
}

/* Where the packet was going; false when it is too short to tell. */
static bool read_packet(const uint8_t *bytes, size_t length, struct address *address, uint16_t *port,
                        unsigned *protocol)
{
    memset(address, 0, sizeof *address);
    size_t header;
    if (length >= 20 && bytes[0] >> 4 == 4) {
        address->length = 4;
        memcpy(address->bytes, bytes + 16, 4);
        *protocol = bytes[9];
        header = (size_t)(bytes[0] & 0xf) * 4;
    } else if (length >= 40 && bytes[0] >> 4 == 6) {
        address->length = 16;
        memcpy(address->bytes, bytes + 24, 16);
        *protocol = bytes[6];
        header = 40;
    } else {
        return false;
    }
    bool ports = *protocol == IPPROTO_UDP || *protocol == IPPROTO_TCP;
    *port = ports && length >= header + 4 ? (uint16_t)(bytes[header + 2] << 8 | bytes[header + 3]) : 0;
    return true;
}

static void refused(struct gateway *gateway, const uint8_t *bytes, size_t length)
{
    char buffer[16];
    unsigned protocol = 0;
    struct flow flow = {.event = "packet", .rule = "built in", .reason = "only TCP and DNS leave the sandbox"};
    if (!read_packet(bytes, length, &flow.address, &flow.port, &protocol))
        return;
    flow.protocol = protocol_name(protocol, buffer);
    gateway->denied++;
    if (!window_take(&gateway->refusals, gateway->loop.now))
        flow = (struct flow){.event = "packet", .protocol = flow.protocol, .rule = flow.rule, .reason = flow.reason};
    flows_add(&gateway->flows, &flow, gateway->loop.now);
}

static void take_message(struct gateway *gateway, const struct nlmsghdr *header)
{
    size_t at = NLMSG_LENGTH(sizeof(struct nfgenmsg));
    if (header->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
        return;
    while (at + NLA_HDRLEN <= header->nlmsg_len) {
        const struct nlattr *attribute = (const void *)((const char *)header + at);
        if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > header->nlmsg_len)
            return;
        if ((attribute->nla_type & NLA_TYPE_MASK) == NFULA_PAYLOAD)
            refused(gateway, (const uint8_t *)attribute + NLA_HDRLEN, attribute->nla_len - (size_t)NLA_HDRLEN);
        at += NLA_ALIGN(attribute->nla_len);
    }
}

static void log_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    enum { TURN = 64 };
    struct gateway *gateway = (struct gateway *)((char *)watch - offsetof(struct gateway, log));
    union {
        struct nlmsghdr header;
        char bytes[32768];
    } buffer;
    for (int i = 0; i < TURN; i++) {
        ssize_t got = recv(gateway->capture.sockets[CAPTURE_LOG], &buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == ENOBUFS))
            continue;
        if (got <= 0)
            return;
        size_t left = (size_t)got;
        const struct nlmsghdr *header = &buffer.header;
        while (left >= sizeof *header && header->nlmsg_len >= sizeof *header && header->nlmsg_len <= left) {
            take_message(gateway, header);
            size_t step = NLMSG_ALIGN(header->nlmsg_len);
            if (step >= left)
                break;
            left -= step;
            header = (const void *)((const char *)header + step);
        }
    }
}

int packets_start(struct gateway *gateway)
{
    gateway->log.ready = log_ready;
    int fd = gateway->capture.sockets[CAPTURE_LOG];
    return fd < 0 ? 0 : loop_add_level(&gateway->loop, fd, &gateway->log, EPOLLIN);
}
