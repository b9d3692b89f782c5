/* net - both ends of the network specs.
 *
 *   net serve DIR NAME        listens on 127.0.0.1, ::1 and 0.0.0.0 (TCP and UDP), on the abstract socket NAME and on
 *                             DIR/socket; writes its ports to DIR/ports and a line to DIR/contacts for whoever comes
 *   net reach PORT UDP NAME PATH ADDRESS...   tries them all; prints answers and the slowest
 *   net beyond                tries destinations outside of the machine, for boxes only: it sends real packets
 *   net own                   a listener and a client on loopback of its own */
#include "answer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static socklen_t make_address(struct sockaddr_storage *to, const char *text, int port)
{
    struct sockaddr_in *v4 = (void *)to;
    struct sockaddr_in6 *v6 = (void *)to;
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((unsigned short)port);
        return sizeof *v4;
    }
    inet_pton(AF_INET6, text, &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((unsigned short)port);
    return sizeof *v6;
}

static socklen_t make_unix(struct sockaddr_un *to, const char *name, int abstract)
{
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    snprintf(to->sun_path + abstract, sizeof to->sun_path - 1, "%s", name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
}

static int listener(const char *text, int type, int *port)
{
    struct sockaddr_storage address;
    socklen_t length = make_address(&address, text, *port);
    int fd = socket(address.ss_family, type | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&address, length) < 0 || (type == SOCK_STREAM && listen(fd, 16) < 0))
        return -1;
    getsockname(fd, (void *)&address, &length);
    *port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    return fd;
}

static int serve(const char *dir, const char *name)
{
    char path[300], bytes[256];
    struct sockaddr_un un;
    int tcp = 0, udp = 0;
    struct pollfd fds[6];
    fds[0].fd = listener("0.0.0.0", SOCK_STREAM, &tcp);
    fds[1].fd = listener("0.0.0.0", SOCK_DGRAM, &udp);
    fds[2].fd = listener("::1", SOCK_STREAM, &tcp);
    fds[3].fd = listener("::1", SOCK_DGRAM, &udp);
    for (int i = 4; i < 6; i++) {
        snprintf(path, sizeof path, "%s/socket", dir);
        socklen_t length = make_unix(&un, i == 4 ? name : path, i == 4);
        fds[i].fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind(fds[i].fd, (void *)&un, length) < 0 || listen(fds[i].fd, 16) < 0)
            return 1;
    }
    snprintf(path, sizeof path, "%s/ports.new", dir);
    FILE *file = fopen(path, "w");
    fprintf(file, "%d %d\n", tcp, udp);
    fclose(file);
    snprintf(bytes, sizeof bytes, "%s/ports", dir);
    rename(path, bytes);
    snprintf(path, sizeof path, "%s/contacts", dir);
    int contacts = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (int i = 0; i < 6; i++)
        fds[i].events = POLLIN;
    double end = now() + 120;
    while (now() < end) {
        if (poll(fds, 6, 1000) <= 0)
            continue;
        for (int i = 0; i < 6; i++)
            if (fds[i].revents) {
                if (i == 1 || i == 3)
                    recv(fds[i].fd, bytes, sizeof bytes, 0);
                else
                    close(accept(fds[i].fd, NULL, NULL));
                dprintf(contacts, "contact %d\n", i);
            }
    }
    return 0;
}

static double slowest;

static void reach(const char *label, int type, const struct sockaddr *address, socklen_t length)
{
    int fd = socket(address->sa_family, type | SOCK_NONBLOCK, 0);
    int one = 1;
    double began = now();
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
    int result = connect(fd, address, length);
    if (result < 0 && errno == EINPROGRESS) {
        struct pollfd polled = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof one;
        one = ETIMEDOUT;
        if (poll(&polled, 1, 2000) > 0)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &one, &size);
        errno = one;
        result = one ? -1 : 0;
    }
    if (result == 0 && type == SOCK_DGRAM) {
        result = (int)send(fd, "x", 1, 0);
        usleep(1000);
        if (result >= 0)
            result = (int)send(fd, "x", 1, 0); /* the second tells what became of the first */
    }
    int saved = errno;
    double took = now() - began;
    slowest = took > slowest ? took : slowest;
    errno = saved;
    answer(label, result);
    close(fd);
}

static void reach_ip(const char *text, int port, int type)
{
    struct sockaddr_storage address;
    char label[128];
    socklen_t length = make_address(&address, text, port);
    snprintf(label, sizeof label, "%s:%s:%d", type == SOCK_STREAM ? "tcp" : "udp", text, port);
    reach(label, type, (void *)&address, length);
}

static int reach_all(int argc, char **argv)
{
    struct sockaddr_un un;
    int tcp = atoi(argv[2]), udp = atoi(argv[3]);
    socklen_t length = make_unix(&un, argv[4], 1);
    reach("abstract", SOCK_STREAM, (void *)&un, length);
    length = make_unix(&un, argv[5], 0);
    reach("pathname", SOCK_STREAM, (void *)&un, length);
    for (int i = 6; i < argc; i++) {
        reach_ip(argv[i], tcp, SOCK_STREAM);
        reach_ip(argv[i], udp, SOCK_DGRAM);
    }
    printf("slowest %.3f\n", slowest);
    return 0;
}

/* Refuses to run where anything but loopback is up: an unconfined control must not send a packet. */
static int beyond(void)
{
    static const char *const addresses[] = {"192.0.2.1",       "10.0.0.1",        "172.16.0.1",    "192.168.1.1",
                                            "100.64.0.1",      "169.254.169.254", "198.51.100.7",  "224.0.0.251",
                                            "255.255.255.255", "2001:db8::1",     "fd00:ec2::254", "fe80::1",
                                            "ff02::1",         "::ffff:192.0.2.1"};
    struct if_nameindex *interfaces = if_nameindex();
    for (struct if_nameindex *i = interfaces; i && i->if_name; i++)
        if (strcmp(i->if_name, "lo") != 0)
            return 69;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        reach_ip(addresses[i], 443, SOCK_STREAM);
        reach_ip(addresses[i], 53, SOCK_DGRAM);
    }
    printf("slowest %.3f\n", slowest);
    return 0;
}

static int own(void)
{
    int port = 0, fd = listener("127.0.0.1", SOCK_STREAM, &port), port6 = 0;
    char name[] = "127.0.0.1";
    reach_ip(name, port, SOCK_STREAM);
    int fd6 = listener("::1", SOCK_STREAM, &port6);
    answer("listen6", fd6);
    reach_ip("::1", port6, SOCK_STREAM);
    close(accept(fd, NULL, NULL));
    int low = 80;
    answer("low", listener("127.0.0.1", SOCK_STREAM, &low));
    return 0;
}

int main(int argc, char **argv)
{
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "serve") == 0 && argc == 4)
        return serve(argv[2], argv[3]);
    if (strcmp(action, "reach") == 0 && argc >= 6)
        return reach_all(argc, argv);
    if (strcmp(action, "beyond") == 0)
        return beyond();
    if (strcmp(action, "own") == 0)
        return own();
    return 64;
}
