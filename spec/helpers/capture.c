/* capture.c - a captured network namespace with a stand-in of the gateway that says what it sees.
 *
 *   capture run [exact|accept] [low] ACTION...    runs a client's action in it (capture_client.c)
 *   capture setup COUNT PAUSE_MS                  microseconds of each set-up: "NAMESPACE CAPTURE" a line
 *
 * The parent is the gateway, the child makes the namespaces as a sandbox's child does: under root with a range of other
 * ids, and for the action in a nested user namespace. */
#include "capture.h"

#include "../../core/capture.h"
#include "../../core/util.h"
#include "answer.h"

#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RANGE_FIRST = 200000, RANGE_SIZE = 65536, AGENT = 1000 };

static struct capture capture;
static char last_log[128] = "nothing";
static unsigned logs;
static double paused_until;

double now_ms(void)
{
    return util_monotonic() * 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    _exit(1);
}

/* ---- the gateway's stand-in ---- */

static const struct nlattr *attribute(const struct nlmsghdr *message, int type)
{
    size_t at = NLMSG_LENGTH(sizeof(struct nfgenmsg));
    while (at + NLA_HDRLEN <= message->nlmsg_len) {
        const struct nlattr *found = (const void *)((const char *)message + at);
        if ((found->nla_type & NLA_TYPE_MASK) == type)
            return found;
        at += NLA_ALIGN(found->nla_len);
    }
    return NULL;
}

static const uint8_t *value_of(const struct nlattr *found)
{
    return (const uint8_t *)found + NLA_HDRLEN;
}

/* "PROTOCOL ADDRESS PORT" of an IP packet's start; the port is 0 where there is none. */
static uint16_t show_packet(const uint8_t *packet, char *text, size_t size)
{
    char name[INET6_ADDRSTRLEN];
    bool six = packet[0] >> 4 == 6;
    int protocol = six ? packet[6] : packet[9];
    const uint8_t *transport = packet + (six ? 40 : (packet[0] & 15) * 4);
    uint16_t port =
        protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ? (uint16_t)(transport[2] << 8 | transport[3]) : 0;
    inet_ntop(six ? AF_INET6 : AF_INET, packet + (six ? 24 : 16), name, sizeof name);
    snprintf(text, size, "%d %s %d", protocol, name, port);
    return port;
}

static void verdict(uint32_t id, uint32_t mark)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg family;
        struct nlattr verdict;
        struct nfqnl_msg_verdict_hdr value;
        struct nlattr mark_header;
        uint32_t mark;
    } message = {{sizeof message, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, NLM_F_REQUEST, 0, 0},
                 {AF_UNSPEC, NFNETLINK_V0, htons(CAPTURE_QUEUE_NUMBER)},
                 {NLA_HDRLEN + sizeof message.value, NFQA_VERDICT_HDR},
                 {htonl(NF_ACCEPT), id},
                 {NLA_HDRLEN + sizeof mark, NFQA_MARK},
                 htonl(mark)};
    if (send(capture.sockets[CAPTURE_QUEUE], &message, sizeof message, 0) < 0)
        die("give a verdict");
}

static struct {
    uint32_t id;
    double due;
} slow[16];
static unsigned n_slow;

static void on_queue(const struct nlmsghdr *message)
{
    char text[128];
    const struct nlattr *head = attribute(message, NFQA_PACKET_HDR), *body = attribute(message, NFQA_PAYLOAD);
    uint32_t id = ((const struct nfqnl_msg_packet_hdr *)(const void *)value_of(head))->packet_id;
    uint16_t port = show_packet(value_of(body), text, sizeof text);
    if (port == PORT_SLOW && n_slow < sizeof slow / sizeof slow[0]) {
        slow[n_slow].id = id;
        slow[n_slow++].due = now_ms() + SLOW_MS;
    } else {
        verdict(id, port == PORT_REFUSED       ? CAPTURE_MARK_REFUSED
                    : port == PORT_UNREACHABLE ? CAPTURE_MARK_UNREACHABLE
                                               : 0);
    }
}

static void on_log(const struct nlmsghdr *message)
{
    const struct nlattr *body = attribute(message, NFULA_PAYLOAD);
    if (!body)
        return;
    show_packet(value_of(body), last_log, sizeof last_log);
    logs++;
}

static void read_netlink(int fd, void (*each)(const struct nlmsghdr *))
{
    static _Alignas(8) char bytes[65536];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        int left = (int)n;
        for (const struct nlmsghdr *m = (const void *)bytes; NLMSG_OK(m, (unsigned)left); m = NLMSG_NEXT(m, left))
            if (m->nlmsg_type >= NLMSG_MIN_TYPE)
                each(m);
    }
}

static void answer_connection(int fd, bool dns)
{
    struct sockaddr_in6 to;
    socklen_t length = sizeof to;
    char text[256], control[64];
    if (getsockname(fd, (struct sockaddr *)&to, &length) < 0)
        die("getsockname");
    show_address(&to, text, sizeof text);
    snprintf(control, sizeof control, "%s ", CONTROL);
    int asked = strncmp(text, control, strlen(control)) == 0 ? ntohs(to.sin6_port) : 0;
    if (asked == ASK_LOG) {
        /* What was refused before the question is in the log by now. */
        read_netlink(capture.sockets[CAPTURE_LOG], on_log);
        snprintf(text, sizeof text, "%s (%u)", last_log, logs);
    }
    if (asked == ASK_PAUSE)
        paused_until = now_ms() + PAUSE_MS;
    if (asked == ASK_CLOSE)
        capture_close(&capture);
    dprintf(fd, "%s%s", dns ? "dns " : "", text);
    close(fd);
}

static void accept_all(int listener, bool dns)
{
    int fd;
    while (listener >= 0 && (fd = accept(listener, NULL, NULL)) >= 0)
        answer_connection(fd, dns);
}

/* Answers with the address that was asked, from that address. */
static void answer_dns(int fd)
{
    struct sockaddr_in6 peer, asked = {.sin6_port = htons(53)};
    char query[512], control[CMSG_SPACE(sizeof(struct in6_pktinfo))], text[128];
    struct iovec part = {query, sizeof query};
    struct msghdr message = {&peer, sizeof peer, &part, 1, control, sizeof control, 0};
    while (recvmsg(fd, &message, MSG_DONTWAIT) >= 0) {
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        struct in6_pktinfo *info = (void *)CMSG_DATA(c);
        asked.sin6_addr = info->ipi6_addr;
        info->ipi6_ifindex = 0;
        show_address(&asked, text, sizeof text);
        part = (struct iovec){text, strlen(text)};
        if (sendmsg(fd, &message, 0) < 0)
            die("answer a question");
        part = (struct iovec){query, sizeof query};
        message = (struct msghdr){&peer, sizeof peer, &part, 1, control, sizeof control, 0};
    }
}

static void release_slow(void)
{
    for (unsigned i = 0; i < n_slow; i++) {
        if (slow[i].due > now_ms())
            continue;
        verdict(slow[i].id, 0);
        slow[i--] = slow[--n_slow];
    }
}

/* Until the client has ended; returns its exit code. */
static int serve(pid_t client_pid)
{
    int status;
    while (waitpid(client_pid, &status, WNOHANG) == 0) {
        struct pollfd ready[CAPTURE_SOCKETS];
        bool paused = now_ms() < paused_until;
        for (int i = 0; i < CAPTURE_SOCKETS; i++)
            ready[i] = (struct pollfd){paused && i == CAPTURE_QUEUE ? -1 : capture.sockets[i], POLLIN, 0};
        poll(ready, CAPTURE_SOCKETS, n_slow || paused ? 5 : 20);
        read_netlink(capture.sockets[CAPTURE_LOG], on_log);
        if (!paused && capture.sockets[CAPTURE_QUEUE] >= 0)
            read_netlink(capture.sockets[CAPTURE_QUEUE], on_queue);
        release_slow();
        answer_dns(capture.sockets[CAPTURE_DNS_UDP]);
        accept_all(capture.sockets[CAPTURE_DNS_TCP], true);
        accept_all(capture.sockets[CAPTURE_LISTENER], false);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- the sandbox's child ---- */

static void pass(int link, void *bytes, size_t size, int *fds, int n)
{
    char control[CMSG_SPACE(sizeof(int) * CAPTURE_SOCKETS)] = {0};
    struct iovec part = {bytes, size};
    struct msghdr message = {NULL, 0, &part, 1, control, CMSG_SPACE(sizeof(int) * (size_t)n), 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
    if (sendmsg(link, &message, 0) < 0)
        die("hand the sockets over");
}

static void take(int link)
{
    char control[CMSG_SPACE(sizeof(int) * CAPTURE_SOCKETS)];
    int got[CAPTURE_SOCKETS];
    struct iovec part = {&capture, sizeof capture};
    struct msghdr message = {NULL, 0, &part, 1, control, sizeof control, 0};
    if (recvmsg(link, &message, 0) != (ssize_t)sizeof capture)
        _exit(1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    memcpy(got, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    for (int i = 0, n = 0; i < CAPTURE_SOCKETS; i++)
        if (capture.sockets[i] >= 0)
            capture.sockets[i] = got[n++];
}

static void make_namespaces(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        die("make namespaces");
}

/* As the supervisor does for its child. */
static void write_maps(pid_t pid)
{
    char path[64], text[64];
    bool range = geteuid() == 0;
    for (int groups = 0; groups < 2; groups++) {
        if (groups && !range) {
            snprintf(path, sizeof path, "/proc/%d/setgroups", pid);
            util_write_file(AT_FDCWD, path, "deny");
        }
        snprintf(path, sizeof path, "/proc/%d/%s", pid, groups ? "gid_map" : "uid_map");
        snprintf(text, sizeof text, "0 %u %u\n",
                 range    ? RANGE_FIRST
                 : groups ? getegid()
                          : geteuid(),
                 range ? RANGE_SIZE : 1);
        if (util_write_file(AT_FDCWD, path, text) < 0)
            die("write an id map");
    }
}

static void outer_ids(bool range)
{
    if (range && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
        die("become the namespace's root");
}

static void become_agent(bool range)
{
    char text[64];
    unsigned id = range ? AGENT : 0;
    if (setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0 || unshare(CLONE_NEWUSER) < 0 ||
        prctl(PR_SET_DUMPABLE, 1) < 0)
        die("enter a nested user namespace");
    snprintf(text, sizeof text, "%u %u 1\n", id, id);
    util_write_file(AT_FDCWD, "/proc/self/setgroups", "deny");
    if (util_write_file(AT_FDCWD, "/proc/self/uid_map", text) < 0 ||
        util_write_file(AT_FDCWD, "/proc/self/gid_map", text) < 0)
        die("write a nested id map");
}

/* Somebody has the queue already: what capture_setup then does is what it does without one. */
static void occupy_queue(void)
{
    const struct {
        struct nlmsghdr header;
        struct nfgenmsg family;
        struct nlattr name;
        struct nfqnl_msg_config_cmd command;
    } bind = {{sizeof bind, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, NLM_F_REQUEST, 0, 0},
              {AF_UNSPEC, NFNETLINK_V0, htons(CAPTURE_QUEUE_NUMBER)},
              {NLA_HDRLEN + sizeof bind.command, NFQA_CFG_CMD},
              {NFQNL_CFG_CMD_BIND, 0, 0}};
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    if (fd < 0 || send(fd, &bind, sizeof bind, 0) < 0)
        die("occupy the queue");
}

static int proc(void)
{
    int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? (die("open /proc"), -1) : fd;
}

static int sandbox(int link, bool range, int argc, char **argv)
{
    struct err err = {0};
    char byte;
    make_namespaces();
    if (write(link, "m", 1) != 1 || read(link, &byte, 1) != 1)
        return 1;
    outer_ids(range);
    bool low = false;
    for (; argc > 0; argc--, argv++) {
        if (strcmp(argv[0], "accept") == 0)
            occupy_queue();
        else if (strcmp(argv[0], "low") == 0)
            low = true;
        else if (strcmp(argv[0], "exact") != 0)
            break;
    }
    if (capture_setup(&capture, proc(), low, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("mode %s\n", capture.mode == CAPTURE_EXACT ? "exact" : "accept");
    pass(link, &capture, sizeof capture, capture.sockets,
         capture.mode == CAPTURE_EXACT ? CAPTURE_SOCKETS : CAPTURE_QUEUE);
    capture_close(&capture);
    if (argc > 0 && strcmp(argv[0], "ping") == 0)
        return client_ping();
    become_agent(range);
    return client(argc, argv);
}

static int run(int argc, char **argv)
{
    int link[2];
    bool range = geteuid() == 0;
    char byte;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 16384 ? files.rlim_max : 16384;
    setrlimit(RLIMIT_NOFILE, &files);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
        die("socketpair");
    pid_t pid = fork();
    if (pid == 0) {
        close(link[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(sandbox(link[1], range, argc, argv));
    }
    close(link[1]);
    if (read(link[0], &byte, 1) != 1)
        return 1;
    write_maps(pid);
    if (write(link[0], "g", 1) != 1)
        return 1;
    take(link[0]);
    return serve(pid);
}

/* Each in a process of its own, in which nothing else happens. */
static void time_one(void)
{
    struct err err = {0};
    double start = now_ms();
    make_namespaces();
    double made = now_ms();
    int fd = proc();
    if (capture_setup(&capture, fd, false, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    dprintf(1, "%.1f %.1f\n", (made - start) * 1000, (now_ms() - made) * 1000);
    _exit(0);
}

static int setup(int count, int pause)
{
    for (int i = 0; i < count; i++) {
        int status;
        usleep((useconds_t)pause * 1000);
        pid_t pid = fork();
        if (pid == 0)
            time_one();
        if (waitpid(pid, &status, 0) != pid || status != 0)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    if (argc >= 3 && strcmp(argv[1], "run") == 0)
        return run(argc - 2, argv + 2);
    if (argc == 4 && strcmp(argv[1], "setup") == 0)
        return setup(atoi(argv[2]), atoi(argv[3]));
    return 64;
}
