/* queue.c - SYNs and resets that the kernel holds until the gateway has answered (nfnetlink_queue). */
#include "state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct verdict {
    struct nlmsghdr header;
    struct nfgenmsg generic;
    struct nlattr verdict_attribute;
    struct nfqnl_msg_verdict_hdr verdict;
    struct nlattr mark_attribute;
    uint32_t mark;
};

/* Verdicts wait for each other: a netlink socket takes many messages at once (netlink(7)). */
enum { VERDICTS = 16 };
static struct verdict verdicts[VERDICTS];
static size_t n_verdicts;

void queue_flush(struct gateway *gateway)
{
    size_t length = n_verdicts * sizeof *verdicts;
    /* A verdict that can't be sent leaves the SYN held: the program waits, nothing passes. */
    while (length > 0 && send(gateway->capture.sockets[CAPTURE_QUEUE], verdicts, length, 0) < 0 && errno == EINTR)
        continue;
    n_verdicts = 0;
}

void queue_verdict(struct gateway *gateway, uint32_t packet, bool let, uint32_t mark)
{
    verdicts[n_verdicts++] = (struct verdict){
        .header = {.nlmsg_len = sizeof *verdicts,
                   .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT,
                   .nlmsg_flags = NLM_F_REQUEST},
        .generic = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(CAPTURE_QUEUE_NUMBER)},
        .verdict_attribute = {sizeof verdicts->verdict_attribute + sizeof verdicts->verdict, NFQA_VERDICT_HDR},
        .verdict = {htonl(let ? NF_ACCEPT : NF_DROP), htonl(packet)},
        .mark_attribute = {sizeof verdicts->mark_attribute + sizeof verdicts->mark, NFQA_MARK},
        .mark = htonl(mark),
    };
    if (n_verdicts == VERDICTS)
        queue_flush(gateway);
}

/* Returns the TCP flags, or -1. */
static int read_packet(const uint8_t *bytes, size_t length, struct tuple *tuple, uint32_t *sequence)
{
    enum { SEQUENCE = 4, FLAGS = 13 };
    memset(tuple, 0, sizeof *tuple);
    size_t ports = 0;
    if (length >= sizeof(struct iphdr) && bytes[0] >> 4 == 4) {
        tuple->source.length = tuple->target.length = 4;
        memcpy(tuple->source.bytes, bytes + offsetof(struct iphdr, saddr), 4);
        memcpy(tuple->target.bytes, bytes + offsetof(struct iphdr, daddr), 4);
        ports = (size_t)(bytes[0] & 0xf) * 4;
    } else if (length >= sizeof(struct ip6_hdr) && bytes[0] >> 4 == 6 &&
               bytes[offsetof(struct ip6_hdr, ip6_nxt)] == IPPROTO_TCP) {
        tuple->source.length = tuple->target.length = 16;
        memcpy(tuple->source.bytes, bytes + offsetof(struct ip6_hdr, ip6_src), 16);
        memcpy(tuple->target.bytes, bytes + offsetof(struct ip6_hdr, ip6_dst), 16);
        ports = sizeof(struct ip6_hdr);
    }
    if (ports == 0 || length <= ports + FLAGS)
        return -1;
    tuple->source_port = (uint16_t)(bytes[ports] << 8 | bytes[ports + 1]);
    tuple->target_port = (uint16_t)(bytes[ports + 2] << 8 | bytes[ports + 3]);
    memcpy(sequence, bytes + ports + SEQUENCE, sizeof *sequence);
    return bytes[ports + FLAGS];
}

static void take_message(struct gateway *gateway, const struct nlmsghdr *header)
{
    const struct nfqnl_msg_packet_hdr *packet = NULL;
    const uint8_t *payload = NULL;
    size_t payload_length = 0, at = NLMSG_LENGTH(sizeof(struct nfgenmsg));
    if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
        return;
    while (at + NLA_HDRLEN <= header->nlmsg_len) {
        const struct nlattr *attribute = (const void *)((const char *)header + at);
        if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > header->nlmsg_len)
            break;
        const void *value = (const char *)attribute + NLA_HDRLEN;
        size_t length = attribute->nla_len - (size_t)NLA_HDRLEN;
        if ((attribute->nla_type & NLA_TYPE_MASK) == NFQA_PACKET_HDR && length >= sizeof *packet)
            packet = value;
        if ((attribute->nla_type & NLA_TYPE_MASK) == NFQA_PAYLOAD) {
            payload = value;
            payload_length = length;
        }
        at += NLA_ALIGN(attribute->nla_len);
    }
    struct tuple tuple;
    uint32_t sequence = 0;
    int flags = packet && payload ? read_packet(payload, payload_length, &tuple, &sequence) : -1;
    if (flags >= 0 && flags & TH_RST)
        arrive_reset(gateway, &tuple, ntohl(packet->packet_id));
    else if (flags >= 0)
        arrive_syn(gateway, &tuple, sequence, ntohl(packet->packet_id));
    else if (packet)
        queue_verdict(gateway, ntohl(packet->packet_id), false, 0);
}

static void queue_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    enum { TURN = 64 };
    struct gateway *gateway = (struct gateway *)((char *)watch - offsetof(struct gateway, queue));
    union {
        struct nlmsghdr header;
        char bytes[8192];
    } buffer;
    for (int i = 0; i < TURN; i++) {
        struct sockaddr_nl from = {0};
        socklen_t from_length = sizeof from;
        ssize_t got = recvfrom(gateway->capture.sockets[CAPTURE_QUEUE], &buffer, sizeof buffer, MSG_DONTWAIT,
                               (struct sockaddr *)&from, &from_length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < (ssize_t)sizeof buffer.header)
            return;
        if (from.nl_pid == 0 && buffer.header.nlmsg_len <= (size_t)got &&
            buffer.header.nlmsg_len >= NLMSG_LENGTH(sizeof(struct nfgenmsg)))
            take_message(gateway, &buffer.header);
    }
}

int queue_start(struct gateway *gateway)
{
    gateway->queue.ready = queue_ready;
    int fd = gateway->capture.sockets[CAPTURE_QUEUE];
    return fd < 0 ? 0 : loop_add_level(&gateway->loop, fd, &gateway->queue, EPOLLIN);
}
