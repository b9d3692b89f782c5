#include "probe_parts.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_map(const char *path, unsigned id)
{
    char text[64];
    snprintf(text, sizeof text, "0 %u 1", id);
    return util_write_file(AT_FDCWD, path, text);
}

int probe_enter(int flags, struct probe_fact *fact)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER) < 0) {
        probe_no(fact, "make a user namespace");
        return -1;
    }
    if (util_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 || write_map("/proc/self/uid_map", uid) < 0 ||
        write_map("/proc/self/gid_map", gid) < 0) {
        probe_no(fact, "map one's own id into a user namespace");
        return -1;
    }
    if (flags && unshare(flags) < 0) {
        probe_no(fact, "make further namespaces in a user namespace");
        return -1;
    }
    if ((flags & CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        probe_no(fact, "change a mount in a user namespace");
        return -1;
    }
    return 0;
}

/* The user namespace and those of `number`; with a mount namespace, a tmpfs in it. */
void probe_namespaces(const struct probe_case *with, struct probe_fact *fact)
{
    if (probe_enter(with->number, fact) < 0)
        return;
    if ((with->number & CLONE_NEWNS) && mount("none", "/tmp", "tmpfs", 0, "size=64k") < 0) {
        probe_no(fact, "mount a tmpfs in a user namespace");
        return;
    }
    probe_yes(fact, "made and used");
}

static void mount_proc(int report)
{
    struct probe_fact fact = {.ok = false};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        probe_no(&fact, "mount /proc in a new pid namespace");
    else
        probe_yes(&fact, "mounted in a new pid namespace");
    _exit(util_write_all(report, &fact, sizeof fact) == 0 ? 0 : 1);
}

/* mount_namespaces(7): a user namespace may mount proc only where the host's own is fully visible. */
void probe_proc(const struct probe_case *with, struct probe_fact *fact)
{
    int report[2];
    (void)with;
    if (probe_enter(CLONE_NEWNS | CLONE_NEWPID, fact) < 0)
        return;
    if (pipe2(report, O_CLOEXEC) < 0) {
        probe_no(fact, "make a pipe");
        return;
    }
    pid_t pid = fork();
    if (pid < 0) {
        probe_no(fact, "start process 1 of a pid namespace");
        return;
    }
    if (pid == 0)
        mount_proc(report[1]);
    close(report[1]);
    if (read(report[0], fact, sizeof *fact) != (ssize_t)sizeof *fact)
        probe_no(fact, "process 1 of a pid namespace died");
    waitpid(pid, NULL, 0);
}

/* A network namespace in which the loopback interface can be brought up. */
void probe_network(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    if (probe_enter(CLONE_NEWNET, fact) < 0)
        return;
    struct ifreq request = {.ifr_name = "lo"};
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        probe_no(fact, "look at the loopback interface of a new network namespace");
        return;
    }
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
        probe_no(fact, "bring up the loopback interface of a new network namespace");
        return;
    }
    probe_yes(fact, "made, with its loopback interface up");
}

struct table_message {
    struct nlmsghdr header;
    struct nfgenmsg family;
    struct nlattr name;
    char text[8];
};

static size_t batch_mark(char *at, uint16_t type)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg family;
    } mark = {{sizeof mark, type, NLM_F_REQUEST, 0, 0}, {AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)}};
    memcpy(at, &mark, sizeof mark);
    return sizeof mark;
}

/* Sends "add table inet probe" and reads the kernel's verdict. 0, or -1 with errno. */
static int add_table(int fd)
{
    struct table_message add = {
        {sizeof add, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, 1, 0},
        {1 /* NFPROTO_INET */, NFNETLINK_V0, 0},
        {NLA_HDRLEN + 6, NFTA_TABLE_NAME},
        "probe"};
    char batch[256], answer[1024];
    size_t size = batch_mark(batch, NFNL_MSG_BATCH_BEGIN);
    memcpy(batch + size, &add, sizeof add);
    size += sizeof add;
    size += batch_mark(batch + size, NFNL_MSG_BATCH_END);
    struct timeval second = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    if (send(fd, batch, size, 0) < 0)
        return -1;
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
        return -1;
    const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)answer;
    const struct nlmsgerr *verdict = NLMSG_DATA(header);
    errno = header->nlmsg_type == NLMSG_ERROR ? -verdict->error : EPROTO;
    return errno ? -1 : 0;
}

/* An nftables table in a network namespace of one's own. */
void probe_nftables(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    if (probe_enter(CLONE_NEWNET, fact) < 0)
        return;
    cleanup_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd < 0)
        probe_no(fact, "open a netfilter socket");
    else if (add_table(fd) < 0)
        probe_no(fact, "add a table in a new network namespace");
    else
        probe_yes(fact, "a table was added in a new network namespace");
}
