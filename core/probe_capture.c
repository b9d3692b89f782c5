#include "probe_parts.h"

#include "capture.h"
#include "nft.h"
#include "ruleset.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>

static void tproxy(struct nft *nft, int fd)
{
    const uint8_t family = NFPROTO_IPV4, protocol = IPPROTO_TCP;
    (void)fd;
    nft_meta_is(nft, NFT_META_NFPROTO, &family, sizeof family);
    nft_meta_is(nft, NFT_META_L4PROTO, &protocol, sizeof protocol);
    nft_tproxy(nft, family, RULESET_LISTENER_PORT);
}

static void log_and_reject(struct nft *nft, int fd)
{
    (void)fd;
    nft_log(nft, CAPTURE_LOG_GROUP, RULESET_LOG_BYTES);
    nft_reject_icmpx(nft, NFT_REJECT_ICMPX_PORT_UNREACH);
}

static void queue(struct nft *nft, int fd)
{
    if (ruleset_queue_kind(fd) == RULESET_QUEUE_TARGET)
        nft_queue_target(nft, CAPTURE_QUEUE_NUMBER);
    else
        nft_queue(nft, CAPTURE_QUEUE_NUMBER);
}

static const struct {
    const char *name;
    void (*expressions)(struct nft *, int);
    const char *found;
} parts[] = {
    {"table", NULL, "a table was added in a new network namespace"},
    {"tproxy", tproxy, "connections can be steered to one socket"},
    {"log", log_and_reject, "packets can be refused and logged"},
    {"queue", queue, "connections can be held until the far end has answered"},
};

/* A table in a network namespace of its own, and in it a chain with the rule of one part, named by the table of probes. */
void probe_nftables(const struct probe_case *with, struct probe_fact *fact)
{
    struct netlink nl;
    struct nft nft;
    struct err err;
    size_t part = 0;
    while (strcmp(parts[part].name, with->name) != 0)
        part++;
    if (probe_enter(CLONE_NEWNET, fact) < 0)
        return;
    cleanup_fd int fd = netlink_open(NETLINK_NETFILTER, &err);
    if (fd < 0) {
        errno = err.code;
        probe_no(fact, "%.200s", err.text);
        return;
    }
    nft_begin(&nft, &nl);
    nft_table(&nft, NFPROTO_INET, "probe");
    if (parts[part].expressions) {
        nft_base_chain(&nft, "pre", NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE, NF_ACCEPT);
        nft_rule(&nft, "pre", "add a rule for it");
        parts[part].expressions(&nft, fd);
        nft_rule_end(&nft);
    }
    nft_end(&nft);
    if (netlink_send(fd, &nl, &err) < 0) {
        errno = err.code;
        probe_no(fact, "%.200s", err.text);
    } else {
        probe_yes(fact, "%s", parts[part].found);
    }
}

/* What a sandbox with a network gets, whole. */
void probe_capture(const struct probe_case *with, struct probe_fact *fact)
{
    struct capture capture;
    struct err err;
    (void)with;
    if (probe_enter(CLONE_NEWNET, fact) < 0)
        return;
    cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) {
        probe_no(fact, "open /proc");
    } else if (capture_setup(&capture, proc, false, &err) < 0) {
        errno = 0; /* the sentence says it */
        probe_no(fact, "%.200s", err.text);
    } else if (capture.mode == CAPTURE_EXACT) {
        probe_yes(fact, "exact: connecting has the far end's own result");
    } else {
        probe_yes(fact, "accept: connections are accepted first, and reset when they are refused");
    }
}
