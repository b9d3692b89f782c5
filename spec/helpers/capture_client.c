/* capture_client.c - what an agent tries in a captured network namespace. */
#include "answer.h"
#include "capture.h"

#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_S = 3 };

static socklen_t make(struct sockaddr_storage *to, const char *text, int port)
{
    struct sockaddr_in *four = (void *)to;
    struct sockaddr_in6 *six = (void *)to;
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        return sizeof *four;
    }
    inet_pton(AF_INET6, text, &six->sin6_addr);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    return sizeof *six;
}

/* A socket that gives up after PATIENCE_S, bound to `source` unless that is NULL. */
static int open_from(const char *source, const char *target, int type)
{
    struct sockaddr_storage from;
    const struct timeval patience = {PATIENCE_S, 0};
    int fd = socket(strchr(target, ':') ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (source) {
        socklen_t length = make(&from, source, 0);
        if (bind(fd, (void *)&from, length) < 0)
            perror("bind a source address");
    }
    return fd;
}

/* Prints "LABEL:TARGET:PORT TEXT|ERRNO" and "ms:… " for how long it took. */
static void say(const char *label, const char *target, int port, long result, const char *text, double start)
{
    const char *word = result < 0 ? answer_text(result) : text;
    printf("%s:%s:%d %s\n", label, target, port, word);
    printf("ms:%s:%s:%d %.2f\n", label, target, port, now_ms() - start);
}

/* Connects and reads what the other side says about itself. */
static void tcp(const char *label, const char *source, const char *target, int port)
{
    struct sockaddr_storage to;
    socklen_t length = make(&to, target, port);
    char text[256] = "";
    double start = now_ms();
    int fd = open_from(source, target, SOCK_STREAM);
    long result = connect(fd, (void *)&to, length);
    if (result == 0 && (result = recv(fd, text, sizeof text - 1, MSG_WAITALL)) >= 0)
        text[result] = '\0';
    say(label, target, port, result, *text ? text : "closed", start);
    close(fd);
}

/* Sends a datagram on a connected socket and waits for an answer or an ICMP error. */
static void udp(const char *label, const char *source, const char *target, int port)
{
    struct sockaddr_storage to;
    socklen_t length = make(&to, target, port);
    char text[256] = "";
    double start = now_ms();
    int fd = open_from(source, target, SOCK_DGRAM);
    long result = connect(fd, (void *)&to, length);
    if (result == 0)
        result = send(fd, "hello", 5, 0);
    if (result > 0 && (result = recv(fd, text, sizeof text - 1, 0)) >= 0)
        text[result] = '\0';
    say(label, target, port, result, text, start);
    close(fd);
}

static void show_log(void)
{
    tcp("log", NULL, CONTROL, ASK_LOG);
}

static void arrive(void)
{
    static const char *const targets[] = {"203.0.113.10", "8.8.8.8",       "10.1.2.3",    "169.254.169.254",
                                          "100.64.0.31",  "192.168.1.1",   "2001:db8::1", "fd00:ec2::254",
                                          "64:ff9b::1",   "::ffff:8.8.4.4"};
    static const int ports[] = {1, 22, 80, 443, 8080, 65535};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        for (size_t p = 0; p < sizeof ports / sizeof ports[0]; p++)
            tcp("tcp", NULL, targets[i], ports[p]);
}

static void refused(void)
{
    static const char *const targets[] = {"8.8.8.8", "2001:db8::7"};
    static const int ports[] = {443, 123, 1, 54};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        for (size_t p = 0; p < sizeof ports / sizeof ports[0]; p++) {
            udp("udp", NULL, targets[i], ports[p]);
            show_log();
        }
    answer("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    answer("ping6", socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
    answer("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    answer("packet", socket(AF_PACKET, SOCK_RAW, 0));
}

static void dns(void)
{
    static const char *const targets[] = {"127.0.0.1", "127.0.0.53",   "100.64.0.30", "8.8.8.8",
                                          "::1",       "fd53:6278::2", "10.0.0.53",   "2001:4860:4860::8888"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        udp("udp", NULL, targets[i], 53);
        tcp("tcp", NULL, targets[i], 53);
    }
}

/* A server of the sandbox's own on `at`, asked by `through`. */
static void own_server(const char *at, const char *through)
{
    struct sockaddr_storage address;
    char label[128];
    socklen_t length = make(&address, at, 0);
    int listener = open_from(NULL, at, SOCK_STREAM);
    if (bind(listener, (void *)&address, length) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (void *)&address, &length) < 0)
        perror("serve");
    int port = ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
    struct sockaddr_storage to;
    length = make(&to, through, port);
    int fd = open_from(NULL, through, SOCK_STREAM);
    snprintf(label, sizeof label, "own:%s:%s", at, through);
    long result = connect(fd, (void *)&to, length);
    struct pollfd ready = {listener, POLLIN, 0};
    if (result == 0 && poll(&ready, 1, PATIENCE_S * 1000) != 1) {
        errno = ETIMEDOUT;
        result = -1;
    }
    answer(label, result);
    close(fd);
    close(listener);
}

static void servers(void)
{
    own_server("127.0.0.1", "127.0.0.1");
    own_server("127.0.0.1", "::ffff:127.0.0.1");
    own_server("0.0.0.0", "127.0.0.1");
    own_server("0.0.0.0", "127.9.9.9");
    own_server("0.0.0.0", "0.0.0.0");
    own_server("0.0.0.0", "100.64.0.30");
    own_server("100.64.0.30", "100.64.0.30");
    own_server("::1", "::1");
    own_server("::", "::1");
    own_server("::", "127.0.0.1");
    own_server("::", "fd53:6278::2");
    own_server("fd53:6278::2", "fd53:6278::2");
    tcp("closed", NULL, "127.0.0.1", 9);
    tcp("closed", NULL, "100.64.0.30", 9);
    tcp("closed", NULL, "::1", 9);
    udp("closed", NULL, "127.0.0.1", 9);
    udp("closed", NULL, "::1", 9);
    show_log();
}

/* IPv4 only: IPv6 lets nobody bind what isn't on an interface, route or not. */
static void foreign(void)
{
    tcp("tcp", "203.0.113.77", "198.51.100.1", 80);
    tcp("dns", "203.0.113.77", "198.51.100.1", 53);
    udp("dns", "203.0.113.77", "198.51.100.1", 53);
    udp("udp", "203.0.113.77", "198.51.100.1", 443);
    tcp("own", "203.0.113.77", "127.0.0.1", 9);
}

static void door(void)
{
    tcp("door", NULL, "127.0.0.1", 1);
    tcp("door", NULL, "127.1.1.1", 1);
    tcp("door", NULL, "0.0.0.0", 1);
    tcp("door", NULL, "100.64.0.30", 1);
    tcp("door", NULL, "::1", 1);
    tcp("door", NULL, "fd53:6278::2", 1);
    tcp("door", "203.0.113.77", "127.0.0.1", 1);
}

static void verdicts(void)
{
    static const char *const targets[] = {"203.0.113.10", "2001:db8::1"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        tcp("tcp", NULL, targets[i], PORT_REFUSED);
        tcp("tcp", NULL, targets[i], PORT_UNREACHABLE);
        tcp("tcp", NULL, targets[i], PORT_SLOW);
        tcp("tcp", NULL, targets[i], 80);
    }
}

/* `count` connections at once while nobody reads the queue: how many are made meanwhile, and in the end. */
static void overflow(int count)
{
    struct pollfd *waiting = calloc((size_t)count, sizeof *waiting);
    int early = 0, all = 0, failed = 0;
    tcp("pause", NULL, CONTROL, ASK_PAUSE);
    double start = now_ms();
    for (int i = 0; i < count; i++) {
        struct sockaddr_storage to;
        char target[32];
        snprintf(target, sizeof target, "198.51.%d.%d", 101 + i / 250, 1 + i % 250);
        socklen_t length = make(&to, target, 80);
        waiting[i] = (struct pollfd){socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), POLLIN, 0};
        if (connect(waiting[i].fd, (void *)&to, length) < 0 && errno != EINPROGRESS)
            failed++;
    }
    while (all < count && now_ms() < start + 6 * PAUSE_MS) {
        poll(waiting, (nfds_t)count, 50);
        for (int i = 0; i < count; i++) {
            char text[64];
            if (waiting[i].fd < 0 || !waiting[i].revents)
                continue;
            if (recv(waiting[i].fd, text, sizeof text, 0) > 0) {
                all++;
                early += now_ms() < start + PAUSE_MS * 0.8;
            } else {
                failed++;
            }
            close(waiting[i].fd);
            waiting[i].fd = -1;
        }
    }
    printf("early %d\nall %d\nfailed %d\n", early, all, failed);
    free(waiting);
}

/* Without its sockets nothing is let through. */
static void orphan(void)
{
    tcp("close", NULL, CONTROL, ASK_CLOSE);
    tcp("tcp", NULL, "203.0.113.10", 80);
    tcp("tcp", NULL, "2001:db8::1", 80);
    udp("udp", NULL, "8.8.8.8", 53);
    udp("udp", NULL, "8.8.8.8", 443);
    tcp("dns", NULL, "8.8.8.8", 53);
    own_server("127.0.0.1", "127.0.0.1");
}

static long add_table(void)
{
    struct {
        struct nlmsghdr begin;
        struct nfgenmsg begin_family;
        struct nlmsghdr add;
        struct nfgenmsg family;
        struct nlattr name;
        char text[8];
        struct nlmsghdr end;
        struct nfgenmsg end_family;
    } batch = {{20, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 0, 0},
               {0, 0, htons(NFNL_SUBSYS_NFTABLES)},
               {32, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, 1, 0},
               {1, 0, 0},
               {12, NFTA_TABLE_NAME},
               "meddler",
               {20, NFNL_MSG_BATCH_END, NLM_F_REQUEST, 2, 0},
               {0, 0, htons(NFNL_SUBSYS_NFTABLES)}};
    char answer_bytes[1024];
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    ssize_t n = send(fd, &batch, sizeof batch, 0) < 0 ? -1 : recv(fd, answer_bytes, sizeof answer_bytes, 0);
    if (n > 0) {
        errno = -((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)(void *)answer_bytes))->error;
        n = errno ? -1 : 0;
    }
    close(fd);
    return n;
}

static long flush_routes(int type)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } drop = {{sizeof drop, (uint16_t)type, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
              {AF_INET, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL, 0}};
    char bytes[1024];
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    ssize_t n = send(fd, &drop, sizeof drop, 0) < 0 ? -1 : recv(fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        errno = -((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)(void *)bytes))->error;
        n = errno ? -1 : 0;
    }
    close(fd);
    return n;
}

static long loopback_down(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = 0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    long result = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

static long option(int level, int name, int value)
{
    int fd = socket(level == SOL_IPV6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    long result = setsockopt(fd, level, name, &value, sizeof value);
    close(fd);
    return result;
}

static long take_port(const char *address, int port, int type)
{
    struct sockaddr_storage at;
    const int on = 1;
    socklen_t length = make(&at, address, port);
    int fd = open_from(NULL, address, type);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    long result = bind(fd, (void *)&at, length);
    close(fd);
    return result;
}

static long write_setting(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return -1;
    long result = write(fd, value, strlen(value));
    close(fd);
    return result;
}

static void meddle_with(const char *prefix)
{
    static const char *const addresses[] = {"127.0.0.1", "0.0.0.0", "100.64.0.30", "8.8.8.8",
                                            "::1",       "::",      "2001:db8::1"};
    char label[128];
#define TRY(name, result) (snprintf(label, sizeof label, "%s%s", prefix, name), answer(label, result))
    TRY("table", add_table());
    TRY("route-add", flush_routes(RTM_NEWROUTE));
    TRY("route-delete", flush_routes(RTM_DELROUTE));
    TRY("loopback", loopback_down());
    TRY("transparent", option(SOL_IP, IP_TRANSPARENT, 1));
    TRY("transparent6", option(SOL_IPV6, IPV6_TRANSPARENT, 1));
    TRY("mark", option(SOL_SOCKET, SO_MARK, 0xbad));
    TRY("syncookies", write_setting("tcp_syncookies", "1"));
    TRY("ports", write_setting("ip_unprivileged_port_start", "0"));
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        snprintf(label, sizeof label, "%sbind:%s", prefix, addresses[i]);
        answer(label, take_port(addresses[i], 1, SOCK_STREAM));
        snprintf(label, sizeof label, "%sdns:%s", prefix, addresses[i]);
        answer(label, take_port(addresses[i], 53, SOCK_STREAM));
        snprintf(label, sizeof label, "%sdns-udp:%s", prefix, addresses[i]);
        answer(label, take_port(addresses[i], 53, SOCK_DGRAM));
    }
}

static void meddle(void)
{
    meddle_with("");
    answer("nested", unshare(CLONE_NEWUSER));
    meddle_with("nested:");
    tcp("after", NULL, "203.0.113.10", 80);
    udp("after", NULL, "8.8.8.8", 443);
}

/* The kernel's own ping socket isn't for agents; what it would send is refused like the rest. */
int client_ping(void)
{
    struct sockaddr_storage to;
    struct icmphdr echo = {.type = ICMP_ECHO, .checksum = htons(0xf7ff)};
    char bytes[512];
    const struct timeval patience = {0, 200000};
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), replies = 0;
    socklen_t length = make(&to, "8.8.8.8", 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    answer("sent", sendto(fd, &echo, sizeof echo, 0, (void *)&to, length));
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        replies += ((struct icmphdr *)(void *)(bytes + 20))->type == ICMP_ECHOREPLY;
    printf("replies %d\n", replies);
    show_log();
    return 0;
}

int client(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } actions[] = {{"arrive", arrive},   {"refused", refused}, {"dns", dns},           {"servers", servers},
                   {"foreign", foreign}, {"door", door},       {"verdicts", verdicts}, {"orphan", orphan},
                   {"meddle", meddle},   {"log", show_log}};
    if (argc == 2 && strcmp(argv[0], "overflow") == 0) {
        overflow(atoi(argv[1]));
        return 0;
    }
    for (size_t i = 0; argc == 1 && i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argv[0], actions[i].name) == 0) {
            actions[i].run();
            return 0;
        }
    return 64;
}
