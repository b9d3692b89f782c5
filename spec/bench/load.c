/* load.c - both ends of a network under measurement.
 *
 *   load serve ADDRESS PORT COUNT            listens on COUNT ports from PORT on, until it is killed
 *   load up|down ADDRESS PORT SECONDS STREAMS    -> Mbit/s
 *   load gets ADDRESS PORT COUNT SECONDS PARALLEL    -> connections, each with one GET, a second, and how many failed
 *   load latency ADDRESS PORT COUNT SECONDS  -> medians and 99th of a hundred in microseconds: of connect, of connect and
 *                                               GET, of a GET on a live connection
 *   load hold ADDRESS PORT COUNT NUMBER      opens NUMBER connections with a GET on each -> "OPEN FAILED SECONDS";
 *                                            keeps them until its stdin ends
 *
 * A connection's first byte says what it is for: U takes what comes and at its end says how much, D gives without end (each
 * followed by a zero byte, so that nobody takes them for HTTP), else it is a GET. Clients take the ports in turn, as ports
 * of their own towards one address and port run out. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 128 * 1024, MAX_FDS = 65536, EVENTS = 256 };

static const char get_close[] = "GET / HTTP/1.1\r\nHost: 203.0.113.10\r\nConnection: close\r\n\r\n";
static const char get_keep[] = "GET / HTTP/1.1\r\nHost: 203.0.113.10\r\n\r\n";
static const char reply[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
    "789";
enum { REPLY = sizeof reply - 1 };

static char chunk[CHUNK];
static int queue;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in make(const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        die(address);
    return to;
}

static void watch(int fd, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(queue, operation, fd, &event) < 0)
        die("epoll_ctl");
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* ---- the server ---- */

enum kind { LISTENER = 1, NEW, SINK, SOURCE };
static struct {
    uint8_t kind;
    uint64_t bytes;
} served[MAX_FDS];

static void accept_all(int listener)
{
    const int on = 1;
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FDS)
            die("too many connections");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        served[fd].kind = NEW;
        served[fd].bytes = 0;
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void serve_sink(int fd)
{
    ssize_t n = recv(fd, chunk, sizeof chunk, 0);
    if (n > 0) {
        served[fd].bytes += (uint64_t)n;
    } else if (n == 0 || !would_block()) {
        if (n == 0 && send(fd, &served[fd].bytes, sizeof served[fd].bytes, MSG_NOSIGNAL) < 0)
            perror("load: answer a sink");
        close(fd);
    }
}

static void serve_source(int fd)
{
    if (send(fd, chunk, sizeof chunk, MSG_NOSIGNAL) < 0 && !would_block())
        close(fd);
}

static void serve_get(int fd, size_t length)
{
    bool last = memmem(chunk, length, "close", 5) != NULL;
    if (send(fd, reply, REPLY, MSG_NOSIGNAL) < 0 || last)
        close(fd);
}

static void serve_first(int fd)
{
    ssize_t n = recv(fd, chunk, sizeof chunk, 0);
    if (n < 0 && would_block())
        return;
    if (n <= 0) {
        close(fd);
    } else if (chunk[0] == 'U') {
        served[fd].kind = SINK;
        served[fd].bytes = (uint64_t)n;
    } else if (chunk[0] == 'D') {
        served[fd].kind = SOURCE;
        watch(fd, EPOLLOUT, EPOLL_CTL_MOD);
    } else {
        serve_get(fd, (size_t)n);
    }
}

static int serve(const char *address, int port, int count)
{
    struct epoll_event events[EVENTS];
    const int on = 1;
    for (int i = 0; i < count; i++) {
        struct sockaddr_in at = make(address, port + i);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 65535) < 0)
            die("listen");
        served[fd].kind = LISTENER;
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
    puts("serving");
    fflush(stdout);
    for (int n; (n = epoll_wait(queue, events, EVENTS, -1)) >= 0 || errno == EINTR;) {
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            switch (served[fd].kind) {
            case LISTENER:
                accept_all(fd);
                break;
            case SINK:
                serve_sink(fd);
                break;
            case SOURCE:
                serve_source(fd);
                break;
            default:
                serve_first(fd);
            }
        }
    }
    die("epoll_wait");
    return 1;
}

/* ---- clients ---- */

static int dial(const char *address, int port)
{
    const int on = 1;
    struct sockaddr_in to = make(address, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || fd >= MAX_FDS || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t size)
{
    if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("send");
}

/* The first quarter of the time is for windows to open and isn't counted. */
static int down(const char *address, int port, double seconds, int streams)
{
    struct epoll_event events[EVENTS];
    uint64_t bytes = 0;
    double start = now(), count_from = start + seconds / 4, counted_from = 0, end = start + seconds, at = start;
    for (int i = 0; i < streams; i++) {
        int fd = dial(address, port);
        send_all(fd, "D", 2);
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
    while (at < end) {
        int n = epoll_wait(queue, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            ssize_t got = recv(events[i].data.fd, chunk, sizeof chunk, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && !would_block()))
                die("a stream ended");
            bytes += got > 0 ? (uint64_t)got : 0;
        }
        at = now();
        if (counted_from == 0 && at >= count_from) {
            counted_from = at;
            bytes = 0;
        }
    }
    printf("%.2f\n", (double)bytes * 8 / 1e6 / (at - counted_from));
    return 0;
}

/* Counted by the other end, from start to end, so that what is under way in between isn't taken for sent. */
static int up(const char *address, int port, double seconds, int streams)
{
    struct epoll_event events[EVENTS];
    int fds[EVENTS];
    double start = now();
    for (int i = 0; i < streams && i < EVENTS; i++) {
        fds[i] = dial(address, port);
        send_all(fds[i], "U", 2);
        watch(fds[i], EPOLLOUT, EPOLL_CTL_ADD);
    }
    while (now() < start + seconds) {
        int n = epoll_wait(queue, events, EVENTS, 100);
        for (int i = 0; i < n; i++)
            if (send(events[i].data.fd, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && !would_block())
                die("a stream ended");
    }
    uint64_t bytes = 0, one;
    for (int i = 0; i < streams && i < EVENTS; i++)
        shutdown(fds[i], SHUT_WR);
    for (int i = 0; i < streams && i < EVENTS; i++) {
        if (recv(fds[i], &one, sizeof one, MSG_WAITALL) != sizeof one)
            die("no answer from the sink");
        bytes += one;
    }
    printf("%.2f\n", (double)bytes * 8 / 1e6 / (now() - start));
    return 0;
}

static struct {
    bool asked;
    size_t got;
} asking[MAX_FDS];

static unsigned turn;

/* Starts a connection; false when the kernel has no port left for it and the like. */
static bool start_get(const char *address, int port, int count)
{
    const int on = 1;
    struct sockaddr_in to = make(address, port + (int)(turn++ % (unsigned)count));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || fd >= MAX_FDS)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    asking[fd].asked = false;
    asking[fd].got = 0;
    watch(fd, EPOLLOUT, EPOLL_CTL_ADD);
    return true;
}

/* 0: goes on; 1: has its reply; -1: failed. */
static int step_get(int fd, const char *request, size_t size)
{
    if (!asking[fd].asked) {
        if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
            return -1;
        asking[fd].asked = true;
        watch(fd, EPOLLIN, EPOLL_CTL_MOD);
        return 0;
    }
    ssize_t n = recv(fd, chunk, sizeof chunk, 0);
    if (n < 0 && would_block())
        return 0;
    if (n <= 0)
        return -1;
    asking[fd].got += (size_t)n;
    return asking[fd].got >= REPLY;
}

static int gets_(const char *address, int port, int count, double seconds, int parallel)
{
    struct epoll_event events[EVENTS];
    unsigned done = 0, failed = 0;
    double start = now(), end = start + seconds, at = start;
    for (int i = 0; i < parallel; i++)
        failed += !start_get(address, port, count);
    while (at < end) {
        int n = epoll_wait(queue, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd, result = step_get(fd, get_close, sizeof get_close - 1);
            if (result == 0)
                continue;
            done += result > 0;
            failed += result < 0;
            close(fd);
            failed += !start_get(address, port, count);
        }
        at = now();
    }
    printf("%.0f %u\n", done / (at - start), failed);
    return 0;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void show(float *times, int n)
{
    qsort(times, (size_t)n, sizeof *times, compare);
    printf("%.1f %.1f ", (double)times[n / 2] * 1e6, (double)times[n * 99 / 100] * 1e6);
}

static void ask(int fd, const char *request, size_t size)
{
    size_t got = 0;
    send_all(fd, request, size);
    while (got < REPLY) {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n <= 0)
            die("no reply");
        got += (size_t)n;
    }
}

static int latency(const char *address, int port, int count, double seconds)
{
    enum { MOST = 20000 };
    static float connects[MOST], wholes[MOST], lives[MOST];
    int n = 0, live = dial(address, port);
    double end = now() + seconds;
    ask(live, get_keep, sizeof get_keep - 1);
    for (; n < MOST && now() < end; n++) {
        double start = now();
        int fd = dial(address, port + n % count);
        connects[n] = (float)(now() - start);
        ask(fd, get_close, sizeof get_close - 1);
        wholes[n] = (float)(now() - start);
        close(fd);
        start = now();
        ask(live, get_keep, sizeof get_keep - 1);
        lives[n] = (float)(now() - start);
    }
    show(connects, n);
    show(wholes, n);
    show(lives, n);
    puts("");
    return 0;
}

static int hold(const char *address, int port, int count, int number)
{
    struct epoll_event events[EVENTS];
    int open = 0, failed = 0, started = 0;
    double start = now();
    for (; started < number; started++)
        failed += !start_get(address, port, count);
    while (open + failed < number && now() < start + 30) {
        int n = epoll_wait(queue, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd, result = step_get(fd, get_keep, sizeof get_keep - 1);
            if (result == 0)
                continue;
            open += result > 0;
            failed += result < 0;
            epoll_ctl(queue, EPOLL_CTL_DEL, fd, NULL);
        }
    }
    printf("%d %d %.2f\n", open, number - open, now() - start);
    fflush(stdout);
    while (read(0, chunk, sizeof chunk) > 0)
        continue;
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    queue = epoll_create1(0);
    const char *action = argc > 4 ? argv[1] : "";
    int port = argc > 3 ? atoi(argv[3]) : 0;
    if (strcmp(action, "serve") == 0 && argc == 5)
        return serve(argv[2], port, atoi(argv[4]));
    if (strcmp(action, "up") == 0 && argc == 6)
        return up(argv[2], port, atof(argv[4]), atoi(argv[5]));
    if (strcmp(action, "down") == 0 && argc == 6)
        return down(argv[2], port, atof(argv[4]), atoi(argv[5]));
    if (strcmp(action, "gets") == 0 && argc == 7)
        return gets_(argv[2], port, atoi(argv[4]), atof(argv[5]), atoi(argv[6]));
    if (strcmp(action, "latency") == 0 && argc == 6)
        return latency(argv[2], port, atoi(argv[4]), atof(argv[5]));
    if (strcmp(action, "hold") == 0 && argc == 6)
        return hold(argv[2], port, atoi(argv[4]), atoi(argv[5]));
    return 64;
}
