#include "own.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

int own_open(struct err *err)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (fd < 0)
        return err_sys(err, "open a route socket");
    if (connect(fd, (struct sockaddr *)&kernel, sizeof kernel) < 0) {
        err_sys(err, "connect a route socket");
        close(fd);
        return -1;
    }
    return fd;
}

struct request {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr attribute;
    uint8_t address[16];
};

/* Without a route, connecting will say so better than we could. */
static bool no_route(const struct nlmsghdr *header)
{
    const struct nlmsgerr *error = NLMSG_DATA(header);
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof *error))
        return false;
    int code = -error->error;
    return code == ENETUNREACH || code == EHOSTUNREACH || code == EACCES || code == EINVAL;
}

union reply {
    struct nlmsghdr header;
    char bytes[4096];
};

static bool ask(int socket, const struct address *address, uint32_t number)
{
    struct request request;
    memset(&request, 0, sizeof request);
    request.header.nlmsg_type = RTM_GETROUTE;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.header.nlmsg_seq = number;
    request.route.rtm_family = address->length == 4 ? AF_INET : AF_INET6;
    request.route.rtm_dst_len = (unsigned char)(address->length * 8);
    request.attribute.rta_type = RTA_DST;
    request.attribute.rta_len = (unsigned short)RTA_LENGTH(address->length);
    memcpy(request.address, address->bytes, address->length);
    request.header.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof request.route) + RTA_SPACE(address->length));
    return send(socket, &request, request.header.nlmsg_len, 0) >= 0;
}

/* Sending a question makes the kernel answer it (netlink(7)): what is not there then will not come, and what has another
 * number answers an earlier question. */
static bool take(int socket, uint32_t number, union reply *reply)
{
    for (;;) {
        ssize_t got = recv(socket, reply, sizeof *reply, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < (ssize_t)sizeof reply->header || (size_t)got < reply->header.nlmsg_len)
            return false;
        if (reply->header.nlmsg_seq == number)
            return true;
    }
}

bool own_address(int socket, const struct address *address)
{
    static uint32_t asked;
    union reply reply;
    uint32_t number = ++asked;
    if (!ask(socket, address, number) || !take(socket, number, &reply))
        return true;
    if (reply.header.nlmsg_type == NLMSG_ERROR)
        return !no_route(&reply.header);
    if (reply.header.nlmsg_type != RTM_NEWROUTE || reply.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)))
        return true;
    const struct rtmsg *route = NLMSG_DATA(&reply.header);
    return route->rtm_type == RTN_LOCAL || route->rtm_type == RTN_BROADCAST || route->rtm_type == RTN_MULTICAST ||
           route->rtm_type == RTN_ANYCAST;
}
