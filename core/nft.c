#include "nft.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <linux/netlink.h>

enum { QUEUE_TARGET_REVISION = 3 }; /* the one whose flags include NFQ_FLAG_BYPASS beside others (xt_NFQUEUE.h) */
static const char queue_target[] = "NFQUEUE";

static void message(struct nft *nft, const char *what, int type, int flags)
{
    const struct nfgenmsg family = {nft->family, NFNETLINK_V0, 0};
    netlink_message(nft->nl, what, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), (uint16_t)flags, &family,
                    sizeof family);
}

static void mark(struct nft *nft, uint16_t type)
{
    const struct nfgenmsg family = {AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)};
    netlink_message(nft->nl, NULL, type, 0, &family, sizeof family);
}

void nft_begin(struct nft *nft, struct netlink *nl)
{
    nft->nl = nl;
    netlink_init(nl);
    mark(nft, NFNL_MSG_BATCH_BEGIN);
}

void nft_end(struct nft *nft)
{
    mark(nft, NFNL_MSG_BATCH_END);
}

void nft_table(struct nft *nft, uint8_t family, const char *name)
{
    nft->family = family;
    nft->table = name;
    message(nft, "add an nftables table", NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netlink_put_text(nft->nl, NFTA_TABLE_NAME, name);
}

void nft_chain(struct nft *nft, const char *name)
{
    message(nft, "add an nftables chain", NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netlink_put_text(nft->nl, NFTA_CHAIN_TABLE, nft->table);
    netlink_put_text(nft->nl, NFTA_CHAIN_NAME, name);
}

void nft_base_chain(struct nft *nft, const char *name, uint32_t hook, int priority, uint32_t policy)
{
    nft_chain(nft, name);
    size_t nest = netlink_nest(nft->nl, NFTA_CHAIN_HOOK);
    netlink_put_be32(nft->nl, NFTA_HOOK_HOOKNUM, hook);
    netlink_put_be32(nft->nl, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    netlink_end(nft->nl, nest);
    netlink_put_text(nft->nl, NFTA_CHAIN_TYPE, "filter");
    netlink_put_be32(nft->nl, NFTA_CHAIN_POLICY, policy);
}

void nft_rule(struct nft *nft, const char *chain, const char *what)
{
    message(nft, what, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netlink_put_text(nft->nl, NFTA_RULE_TABLE, nft->table);
    netlink_put_text(nft->nl, NFTA_RULE_CHAIN, chain);
    nft->rule = netlink_nest(nft->nl, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft *nft)
{
    netlink_end(nft->nl, nft->rule);
}

/* An expression's own attributes follow; end() closes it with what this returned. */
static size_t begin(struct nft *nft, const char *name)
{
    nft->list = netlink_nest(nft->nl, NFTA_LIST_ELEM);
    netlink_put_text(nft->nl, NFTA_EXPR_NAME, name);
    return netlink_nest(nft->nl, NFTA_EXPR_DATA);
}

static void end(struct nft *nft, size_t expression)
{
    netlink_end(nft->nl, expression);
    netlink_end(nft->nl, nft->list);
}

static void data(struct nft *nft, uint16_t type, const void *value, size_t size)
{
    size_t nest = netlink_nest(nft->nl, type);
    netlink_put(nft->nl, NFTA_DATA_VALUE, value, size);
    netlink_end(nft->nl, nest);
}

static void compare(struct nft *nft, uint32_t operation, const void *value, size_t size)
{
    size_t expression = begin(nft, "cmp");
    netlink_put_be32(nft->nl, NFTA_CMP_SREG, NFT_REG_1);
    netlink_put_be32(nft->nl, NFTA_CMP_OP, operation);
    data(nft, NFTA_CMP_DATA, value, size);
    end(nft, expression);
}

static void payload(struct nft *nft, uint32_t base, uint32_t offset, size_t size)
{
    size_t expression = begin(nft, "payload");
    netlink_put_be32(nft->nl, NFTA_PAYLOAD_DREG, NFT_REG_1);
    netlink_put_be32(nft->nl, NFTA_PAYLOAD_BASE, base);
    netlink_put_be32(nft->nl, NFTA_PAYLOAD_OFFSET, offset);
    netlink_put_be32(nft->nl, NFTA_PAYLOAD_LEN, (uint32_t)size);
    end(nft, expression);
}

void nft_meta_is(struct nft *nft, uint32_t key, const void *value, size_t size)
{
    size_t expression = begin(nft, "meta");
    netlink_put_be32(nft->nl, NFTA_META_DREG, NFT_REG_1);
    netlink_put_be32(nft->nl, NFTA_META_KEY, key);
    end(nft, expression);
    compare(nft, NFT_CMP_EQ, value, size);
}

void nft_payload_is(struct nft *nft, uint32_t base, uint32_t offset, const void *value, size_t size)
{
    payload(nft, base, offset, size);
    compare(nft, NFT_CMP_EQ, value, size);
}

static void transport_byte(struct nft *nft, uint32_t offset, uint8_t bits, uint32_t comparison, uint8_t value)
{
    const uint8_t none = 0;
    payload(nft, NFT_PAYLOAD_TRANSPORT_HEADER, offset, 1);
    size_t expression = begin(nft, "bitwise");
    netlink_put_be32(nft->nl, NFTA_BITWISE_SREG, NFT_REG_1);
    netlink_put_be32(nft->nl, NFTA_BITWISE_DREG, NFT_REG_1);
    netlink_put_be32(nft->nl, NFTA_BITWISE_LEN, 1);
    data(nft, NFTA_BITWISE_MASK, &bits, 1);
    data(nft, NFTA_BITWISE_XOR, &none, 1);
    end(nft, expression);
    compare(nft, comparison, &value, 1);
}

void nft_transport_byte_is(struct nft *nft, uint32_t offset, uint8_t bits, uint8_t value)
{
    transport_byte(nft, offset, bits, NFT_CMP_EQ, value);
}

void nft_transport_byte_is_not(struct nft *nft, uint32_t offset, uint8_t bits, uint8_t value)
{
    transport_byte(nft, offset, bits, NFT_CMP_NEQ, value);
}

void nft_verdict(struct nft *nft, int code, const char *chain)
{
    size_t expression = begin(nft, "immediate");
    netlink_put_be32(nft->nl, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t value = netlink_nest(nft->nl, NFTA_IMMEDIATE_DATA), verdict = netlink_nest(nft->nl, NFTA_DATA_VERDICT);
    netlink_put_be32(nft->nl, NFTA_VERDICT_CODE, (uint32_t)code);
    if (chain)
        netlink_put_text(nft->nl, NFTA_VERDICT_CHAIN, chain);
    netlink_end(nft->nl, verdict);
    netlink_end(nft->nl, value);
    end(nft, expression);
}

void nft_tproxy(struct nft *nft, uint32_t family, uint16_t port)
{
    port = htons(port);
    size_t expression = begin(nft, "immediate");
    netlink_put_be32(nft->nl, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    data(nft, NFTA_IMMEDIATE_DATA, &port, sizeof port);
    end(nft, expression);
    expression = begin(nft, "tproxy");
    netlink_put_be32(nft->nl, NFTA_TPROXY_FAMILY, family);
    netlink_put_be32(nft->nl, NFTA_TPROXY_REG_PORT, NFT_REG_1);
    end(nft, expression);
}

static void reject(struct nft *nft, uint32_t type, uint8_t code)
{
    size_t expression = begin(nft, "reject");
    netlink_put_be32(nft->nl, NFTA_REJECT_TYPE, type);
    netlink_put(nft->nl, NFTA_REJECT_ICMP_CODE, &code, sizeof code);
    end(nft, expression);
}

void nft_reject_reset(struct nft *nft)
{
    reject(nft, NFT_REJECT_TCP_RST, 0);
}

void nft_reject_icmpx(struct nft *nft, uint8_t code)
{
    reject(nft, NFT_REJECT_ICMPX_UNREACH, code);
}

void nft_log(struct nft *nft, uint16_t group, uint32_t bytes)
{
    size_t expression = begin(nft, "log");
    netlink_put_be16(nft->nl, NFTA_LOG_GROUP, group);
    netlink_put_be32(nft->nl, NFTA_LOG_SNAPLEN, bytes);
    netlink_put_be16(nft->nl, NFTA_LOG_QTHRESHOLD, 1);
    end(nft, expression);
}

void nft_queue(struct nft *nft, uint16_t number)
{
    size_t expression = begin(nft, "queue");
    netlink_put_be16(nft->nl, NFTA_QUEUE_NUM, number);
    netlink_put_be16(nft->nl, NFTA_QUEUE_TOTAL, 1);
    netlink_put_be16(nft->nl, NFTA_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
    end(nft, expression);
}

void nft_queue_target(struct nft *nft, uint16_t number)
{
    /* The kernel wants the size that XT_ALIGN gives it. */
    const union {
        struct xt_NFQ_info_v3 queue;
        uint64_t aligned;
    } info = {.queue = {number, 1, NFQ_FLAG_BYPASS}};
    size_t expression = begin(nft, "target");
    netlink_put_text(nft->nl, NFTA_TARGET_NAME, queue_target);
    netlink_put_be32(nft->nl, NFTA_TARGET_REV, QUEUE_TARGET_REVISION);
    netlink_put(nft->nl, NFTA_TARGET_INFO, &info, sizeof info);
    end(nft, expression);
}

bool nft_has_queue_target(int fd)
{
    enum { IS_TARGET = 1 };
    const struct nfgenmsg family = {NFPROTO_IPV4, NFNETLINK_V0, 0};
    struct netlink nl;
    struct err err;
    netlink_init(&nl);
    netlink_message(&nl, "find a target", NFNL_SUBSYS_NFT_COMPAT << 8 | NFNL_MSG_COMPAT_GET, 0, &family, sizeof family);
    netlink_put_text(&nl, NFTA_COMPAT_NAME, queue_target);
    netlink_put_be32(&nl, NFTA_COMPAT_REV, QUEUE_TARGET_REVISION);
    netlink_put_be32(&nl, NFTA_COMPAT_TYPE, IS_TARGET);
    return netlink_send(fd, &nl, &err) == 0;
}
