#include "ruleset.h"

#include "capture.h"
#include "nft.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stddef.h>

/* As nft(8) would show it; `queue num 1 bypass` and the chains hold and out in the exact mode only:
 *
 *  table inet moonbox {
 *    chain own { tcp dport 1 reject with tcp reset; accept }                  # what the sandbox says to itself
 *    chain local {
 *      ip daddr 127.0.0.0/8 goto own;  ip daddr 100.64.0.30 goto own
 *      ip6 daddr ::1 goto own;         ip6 daddr fd53:6278::2 goto own
 *      tcp dport 53 accept;            udp dport 53 accept                    # the DNS sockets, on every address
 *    }
 *    chain pre { type filter hook prerouting priority mangle; policy drop;
 *      meta l4proto tcp tcp flags & (syn|ack) != syn accept
 *      jump local
 *      meta nfproto ipv4 meta l4proto tcp tproxy ip to :1 accept
 *      meta nfproto ipv6 meta l4proto tcp tproxy ip6 to :1 accept
 *      udp sport 53 accept                                                    # DNS answers to a foreign source address
 *      icmp type destination-unreachable accept;  icmpv6 type destination-unreachable accept
 *      meta l4proto tcp log group 1 snaplen 64 reject with tcp reset
 *      log group 1 snaplen 64 reject with icmpx port-unreachable
 *    }
 *    chain hold { type filter hook output priority -160; policy accept;
 *      meta l4proto tcp tcp flags & ack == ack accept                         # most packets
 *      meta l4proto tcp tcp flags & (rst|ack) == rst queue num 1 bypass
 *      meta l4proto tcp tcp flags & (syn|ack) != syn accept
 *      jump local
 *      meta l4proto tcp queue num 1 bypass
 *    }
 *    chain out { type filter hook output priority filter; policy accept;
 *      meta mark 0xbad meta l4proto tcp reject with tcp reset
 *      meta mark 0xbae meta l4proto tcp reject with icmpx host-unreachable
 *    }
 *  }
 *
 * Only pure SYNs are steered: a SYN-ACK on its way to a client with a foreign source address is for that client's socket,
 * which is not transparent. Without a listener tproxy doesn't match, and the SYN is refused: fail closed. By a reset, as
 * an ICMP error that comes while connect(2) still holds its socket is noticed at the first retransmission only. */

static const char own[] = "own", local[] = "local", pre[] = "pre", hold[] = "hold", out[] = "out";

enum { BEFORE_FILTERS = -160 }; /* between mangle (-150) and raw (-300): netfilter_ipv4.h, enum nf_ip_hook_priorities */

static void family_is(struct nft *nft, uint8_t family)
{
    nft_meta_is(nft, NFT_META_NFPROTO, &family, sizeof family);
}

static void protocol_is(struct nft *nft, uint8_t protocol)
{
    nft_meta_is(nft, NFT_META_L4PROTO, &protocol, sizeof protocol);
}

/* Source ports are at 0, destination ports at 2, in TCP and in UDP. */
static void port_is(struct nft *nft, uint8_t protocol, uint32_t offset, uint16_t port)
{
    port = htons(port);
    protocol_is(nft, protocol);
    nft_payload_is(nft, NFT_PAYLOAD_TRANSPORT_HEADER, offset, &port, sizeof port);
}

static void port_rule(struct nft *nft, const char *chain, uint8_t protocol, uint32_t offset, uint16_t port)
{
    nft_rule(nft, chain, "add the rule for DNS");
    port_is(nft, protocol, offset, port);
    nft_verdict(nft, NF_ACCEPT, NULL);
    nft_rule_end(nft);
}

/* Packets to the address whose first `size` bytes are given are the sandbox's own affair. */
static void own_rule(struct nft *nft, uint8_t family, const void *address, size_t size)
{
    nft_rule(nft, local, "add the rule for the sandbox's own addresses");
    family_is(nft, family);
    nft_payload_is(nft, NFT_PAYLOAD_NETWORK_HEADER,
                   family == NFPROTO_IPV4 ? offsetof(struct iphdr, daddr) : offsetof(struct ip6_hdr, ip6_dst), address,
                   size);
    nft_verdict(nft, NFT_GOTO, own);
    nft_rule_end(nft);
}

static void local_rules(struct nft *nft)
{
    const uint8_t loopback = 127;
    struct in_addr four;
    struct in6_addr six;
    inet_pton(AF_INET, CAPTURE_ADDRESS, &four);
    inet_pton(AF_INET6, CAPTURE_ADDRESS6, &six);
    nft_chain(nft, own);
    nft_chain(nft, local);
    nft_rule(nft, own, "add the rule for the listener's own port");
    port_is(nft, IPPROTO_TCP, 2, RULESET_LISTENER_PORT);
    nft_reject_reset(nft);
    nft_rule_end(nft);
    nft_rule(nft, own, "add the rule for the sandbox's own servers");
    nft_verdict(nft, NF_ACCEPT, NULL);
    nft_rule_end(nft);
    own_rule(nft, NFPROTO_IPV4, &loopback, sizeof loopback);
    own_rule(nft, NFPROTO_IPV4, &four, sizeof four);
    own_rule(nft, NFPROTO_IPV6, &in6addr_loopback, sizeof in6addr_loopback);
    own_rule(nft, NFPROTO_IPV6, &six, sizeof six);
    port_rule(nft, local, IPPROTO_TCP, 2, RULESET_DNS_PORT);
    port_rule(nft, local, IPPROTO_UDP, 2, RULESET_DNS_PORT);
}

enum { TCP_FLAGS = 13 }; /* offset in the header, RFC 9293 section 3.1 */

static void established_rule(struct nft *nft, const char *chain)
{
    nft_rule(nft, chain, "add the rule for established connections");
    protocol_is(nft, IPPROTO_TCP);
    nft_transport_byte_is_not(nft, TCP_FLAGS, TH_SYN | TH_ACK, TH_SYN);
    nft_verdict(nft, NF_ACCEPT, NULL);
    nft_rule_end(nft);
}

static void local_jump(struct nft *nft, const char *chain)
{
    nft_rule(nft, chain, "add a jump between chains");
    nft_verdict(nft, NFT_JUMP, local);
    nft_rule_end(nft);
}

static void tproxy_rule(struct nft *nft, uint8_t family)
{
    nft_rule(nft, pre, "add a tproxy rule (kernel module nft_tproxy)");
    family_is(nft, family);
    protocol_is(nft, IPPROTO_TCP);
    nft_tproxy(nft, family, RULESET_LISTENER_PORT);
    nft_verdict(nft, NF_ACCEPT, NULL);
    nft_rule_end(nft);
}

static void unreachable_rule(struct nft *nft, uint8_t protocol, uint8_t type)
{
    nft_rule(nft, pre, "add the rule for ICMP errors");
    protocol_is(nft, protocol);
    nft_payload_is(nft, NFT_PAYLOAD_TRANSPORT_HEADER, 0, &type, sizeof type);
    nft_verdict(nft, NF_ACCEPT, NULL);
    nft_rule_end(nft);
}

static void refusal(struct nft *nft, bool tcp)
{
    nft_rule(nft, pre, "add a rule that logs and refuses (kernel modules nft_log, nfnetlink_log, nft_reject_inet)");
    if (tcp)
        protocol_is(nft, IPPROTO_TCP);
    nft_log(nft, CAPTURE_LOG_GROUP, RULESET_LOG_BYTES);
    if (tcp)
        nft_reject_reset(nft);
    else
        nft_reject_icmpx(nft, NFT_REJECT_ICMPX_PORT_UNREACH);
    nft_rule_end(nft);
}

static void steer(struct nft *nft)
{
    nft_base_chain(nft, pre, NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE, NF_DROP);
    established_rule(nft, pre);
    local_jump(nft, pre);
    tproxy_rule(nft, NFPROTO_IPV4);
    tproxy_rule(nft, NFPROTO_IPV6);
    port_rule(nft, pre, IPPROTO_UDP, 0, RULESET_DNS_PORT);
    unreachable_rule(nft, IPPROTO_ICMP, ICMP_DEST_UNREACH);
    unreachable_rule(nft, IPPROTO_ICMPV6, ICMP6_DST_UNREACH);
    refusal(nft, true);
    refusal(nft, false);
}

static void mark_rule(struct nft *nft, uint32_t mark)
{
    nft_rule(nft, out, "add the rule for refused connections");
    nft_meta_is(nft, NFT_META_MARK, &mark, sizeof mark);
    protocol_is(nft, IPPROTO_TCP);
    if (mark == CAPTURE_MARK_REFUSED)
        nft_reject_reset(nft);
    else
        nft_reject_icmpx(nft, NFT_REJECT_ICMPX_HOST_UNREACH);
    nft_rule_end(nft);
}

static void queue_it(struct nft *nft, enum ruleset_queue queue)
{
    if (queue == RULESET_QUEUE_TARGET)
        nft_queue_target(nft, CAPTURE_QUEUE_NUMBER);
    else
        nft_queue(nft, CAPTURE_QUEUE_NUMBER);
}

/* All of an established connection's packets but a few. */
static void acknowledging_rule(struct nft *nft)
{
    nft_rule(nft, hold, "add the rule for packets that acknowledge");
    protocol_is(nft, IPPROTO_TCP);
    nft_transport_byte_is(nft, TCP_FLAGS, TH_ACK, TH_ACK);
    nft_verdict(nft, NF_ACCEPT, NULL);
    nft_rule_end(nft);
}

/* What the kernel sends where it found no socket for a packet (RFC 9293 section 3.10.7.1); the reset of a socket carries an
 * ACK, and so does the refusal of a SYN. */
static void hold_resets(struct nft *nft, enum ruleset_queue queue)
{
    nft_rule(nft, hold, "add a queue rule for resets (kernel modules nft_queue, nfnetlink_queue)");
    protocol_is(nft, IPPROTO_TCP);
    nft_transport_byte_is(nft, TCP_FLAGS, TH_RST | TH_ACK, TH_RST);
    queue_it(nft, queue);
    nft_rule_end(nft);
}

/* A verdict on a queued packet goes on with the next chain, so marks are looked at in one of their own. */
static void hold_syns(struct nft *nft, enum ruleset_queue queue)
{
    nft_base_chain(nft, hold, NF_INET_LOCAL_OUT, BEFORE_FILTERS, NF_ACCEPT);
    acknowledging_rule(nft);
    hold_resets(nft, queue);
    established_rule(nft, hold);
    local_jump(nft, hold);
    nft_rule(nft, hold, "add a queue rule (kernel modules nft_queue, nfnetlink_queue)");
    protocol_is(nft, IPPROTO_TCP);
    queue_it(nft, queue);
    nft_rule_end(nft);
    nft_base_chain(nft, out, NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER, NF_ACCEPT);
    mark_rule(nft, CAPTURE_MARK_REFUSED);
    mark_rule(nft, CAPTURE_MARK_UNREACHABLE);
}

/* A batch that fails waits for an RCU grace period, tens of set-ups long: hence the question first. */
enum ruleset_queue ruleset_queue_kind(int fd)
{
    return nft_has_queue_target(fd) ? RULESET_QUEUE_TARGET : RULESET_QUEUE;
}

int ruleset_install(int fd, enum ruleset_queue queue, struct err *err)
{
    struct netlink nl;
    struct nft nft;
    nft_begin(&nft, &nl);
    nft_table(&nft, NFPROTO_INET, "moonbox");
    local_rules(&nft);
    steer(&nft);
    if (queue != RULESET_NO_QUEUE)
        hold_syns(&nft, queue);
    nft_end(&nft);
    return netlink_send(fd, &nl, err);
}
