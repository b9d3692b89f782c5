/* nft.h - nftables rules in their binary form (linux/netfilter/nf_tables.h), one function an expression.
 *
 * A rule is nft_rule, its expressions in order, nft_rule_end.  An expression that doesn't match ends its rule.  Values that
 * are compared pass through one register. */
#ifndef MOONBOX_NFT_H
#define MOONBOX_NFT_H

#include "netlink.h"

#include <netinet/in.h>

/* After the C library's header: the kernel's then leaves out what that one defined. */
#include <linux/netfilter.h>

struct nft {
    struct netlink *nl;
    uint8_t family;    /* NFPROTO_… of the table */
    const char *table; /* borrowed */
    size_t rule, list;
};

/* A batch: all of it happens or nothing. Between the two come tables, chains and rules in the order of their use. */
void nft_begin(struct nft *nft, struct netlink *nl);
void nft_end(struct nft *nft);

/* Makes a table, in which everything until the next one is made. */
void nft_table(struct nft *nft, uint8_t family, const char *name);

/* A chain that packets pass at `hook` (NF_INET_…), and one that rules send packets to. `policy`: NF_ACCEPT, NF_DROP. */
void nft_base_chain(struct nft *nft, const char *name, uint32_t hook, int priority, uint32_t policy);
void nft_chain(struct nft *nft, const char *name);

/* `what` completes "can't …" when the kernel refuses the rule. */
void nft_rule(struct nft *nft, const char *chain, const char *what);
void nft_rule_end(struct nft *nft);

/* Matches: a NFT_META_… value, bytes at an offset of a header (NFT_PAYLOAD_…), equal to `value`. */
void nft_meta_is(struct nft *nft, uint32_t key, const void *value, size_t size);
void nft_payload_is(struct nft *nft, uint32_t base, uint32_t offset, const void *value, size_t size);
/* One byte of the transport header, masked, is or isn't `value`. */
void nft_transport_byte_is(struct nft *nft, uint32_t offset, uint8_t mask, uint8_t value);
void nft_transport_byte_is_not(struct nft *nft, uint32_t offset, uint8_t mask, uint8_t value);

/* Verdicts: NF_ACCEPT and the like, or NFT_JUMP and NFT_GOTO with a chain. */
void nft_verdict(struct nft *nft, int code, const char *chain);
/* Gives the packet to a transparent socket on `port`; no match when there is none. `family`: NFPROTO_IPV4 or _IPV6. */
void nft_tproxy(struct nft *nft, uint32_t family, uint16_t port);
void nft_reject_reset(struct nft *nft);
void nft_reject_icmpx(struct nft *nft, uint8_t code); /* NFT_REJECT_ICMPX_… */
/* Copies the packet's first `bytes` to a NFLOG group, at once, and goes on. */
void nft_log(struct nft *nft, uint16_t group, uint32_t bytes);
/* Holds the packet in an NFQUEUE; lets it pass when nobody listens there. */
void nft_queue(struct nft *nft, uint16_t number);
/* The same by the target of iptables, for kernels without the expression (nft_compat). */
void nft_queue_target(struct nft *nft, uint16_t number);

/* Whether the kernel has that target and takes it in nftables. Asks on an open NETLINK_NETFILTER socket. */
bool nft_has_queue_target(int fd);

#endif
