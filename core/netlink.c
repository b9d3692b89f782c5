#include "netlink.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

int netlink_open(int protocol, struct err *err)
{
    const int on = 1;
    cleanup_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd < 0)
        return err_sys(err, "open a netlink socket");
    /* Both only make answers shorter and clearer: a kernel without them still answers. */
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    return steal_fd(&fd);
}

void netlink_init(struct netlink *nl)
{
    nl->used = nl->message = nl->last = 0;
    nl->count = 0;
    nl->full = false;
}

/* Room for `size` bytes, zeroed up to the next boundary of 4; NULL when there is none. */
static void *extend(struct netlink *nl, size_t size)
{
    size_t aligned = NLMSG_ALIGN(size);
    if (nl->full || aligned < size || aligned > sizeof nl->bytes - nl->used) {
        nl->full = true;
        return NULL;
    }
    char *at = nl->bytes + nl->used;
    memset(at, 0, aligned);
    nl->used += aligned;
    return at;
}

static struct nlmsghdr *header_at(struct netlink *nl, size_t offset)
{
    return (struct nlmsghdr *)(void *)(nl->bytes + offset);
}

void netlink_message(struct netlink *nl, const char *what, uint16_t type, uint16_t flags, const void *header,
                     size_t size)
{
    size_t start = nl->used;
    struct nlmsghdr *message = extend(nl, sizeof *message + size);
    if (!message || nl->count >= NETLINK_MESSAGES) {
        nl->full = true;
        return;
    }
    message->nlmsg_type = type;
    message->nlmsg_flags = flags | NLM_F_REQUEST;
    message->nlmsg_seq = nl->count;
    message->nlmsg_len = (uint32_t)(nl->used - start);
    memcpy(NLMSG_DATA(message), header, size);
    nl->message = start;
    nl->what[nl->count++] = what;
    if (what)
        nl->last = start;
}

void netlink_put(struct netlink *nl, uint16_t type, const void *value, size_t size)
{
    struct nlattr *attribute = extend(nl, NLA_HDRLEN + size);
    if (!attribute)
        return;
    attribute->nla_type = type;
    attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
    if (size > 0)
        memcpy((char *)attribute + NLA_HDRLEN, value, size);
    header_at(nl, nl->message)->nlmsg_len = (uint32_t)(nl->used - nl->message);
}

void netlink_put_text(struct netlink *nl, uint16_t type, const char *text)
{
    netlink_put(nl, type, text, strlen(text) + 1);
}

void netlink_put_u32(struct netlink *nl, uint16_t type, uint32_t value)
{
    netlink_put(nl, type, &value, sizeof value);
}

void netlink_put_be16(struct netlink *nl, uint16_t type, uint16_t value)
{
    value = htons(value);
    netlink_put(nl, type, &value, sizeof value);
}

void netlink_put_be32(struct netlink *nl, uint16_t type, uint32_t value)
{
    netlink_put_u32(nl, type, htonl(value));
}

size_t netlink_nest(struct netlink *nl, uint16_t type)
{
    size_t start = nl->used;
    netlink_put(nl, type | NLA_F_NESTED, NULL, 0);
    return start;
}

void netlink_end(struct netlink *nl, size_t nest)
{
    if (!nl->full)
        ((struct nlattr *)(void *)(nl->bytes + nest))->nla_len = (uint16_t)(nl->used - nest);
}

/* The kernel's own words in an answer (NLMSGERR_ATTR_MSG); "" when it has none. */
static const char *words_in(const struct nlmsghdr *answer, size_t length)
{
    const struct nlmsgerr *verdict = NLMSG_DATA(answer);
    size_t at = NLMSG_LENGTH(sizeof *verdict);
    if (!(answer->nlmsg_flags & NLM_F_ACK_TLVS))
        return "";
    if (!(answer->nlmsg_flags & NLM_F_CAPPED))
        at += NLMSG_ALIGN(verdict->msg.nlmsg_len - sizeof verdict->msg);
    while (at + NLA_HDRLEN <= length) {
        const struct nlattr *attribute = (const void *)((const char *)answer + at);
        const char *text = (const char *)attribute + NLA_HDRLEN;
        if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > length - at)
            break;
        if ((attribute->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG && attribute->nla_len > NLA_HDRLEN &&
            text[attribute->nla_len - NLA_HDRLEN - 1] == '\0')
            return text;
        at += NLA_ALIGN(attribute->nla_len);
    }
    return "";
}

/* Takes one answer: true when it is the one for the last message. The first refusal is kept in err. */
static bool take(const struct netlink *nl, const char *bytes, size_t length, struct err *err)
{
    const struct nlmsghdr *answer = (const void *)bytes;
    const struct nlmsgerr *verdict = NLMSG_DATA(answer);
    if (length < NLMSG_LENGTH(sizeof *verdict) || answer->nlmsg_len > length || answer->nlmsg_type != NLMSG_ERROR)
        return false;
    unsigned sequence = answer->nlmsg_seq;
    if (verdict->error != 0 && err->code == 0) {
        const char *what = sequence < nl->count ? nl->what[sequence] : NULL;
        const char *words = words_in(answer, answer->nlmsg_len);
        errno = -verdict->error;
        err_sys(err, "can't %s%s%s", what ? what : "change the network namespace", *words ? ": " : "", words);
    }
    return sequence == ((const struct nlmsghdr *)(const void *)(nl->bytes + nl->last))->nlmsg_seq;
}

int netlink_send(int fd, struct netlink *nl, struct err *err)
{
    _Alignas(8) char answer[4096];
    struct err refused = {0};
    bool answered = false;
    if (nl->full || nl->count == 0)
        return err_set(err, EMSGSIZE, "netlink messages of %zu bytes and more don't fit", nl->used);
    header_at(nl, nl->last)->nlmsg_flags |= NLM_F_ACK;
    if (send(fd, nl->bytes, nl->used, 0) < 0)
        return err_sys(err, "send netlink messages");
    for (;;) {
        ssize_t length = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            break;
        answered |= take(nl, answer, (size_t)length, &refused);
    }
    if (refused.code != 0)
        return err_set(err, refused.code, "%s", refused.text);
    return answered ? 0 : err_sys(err, "read the answer to netlink messages");
}
