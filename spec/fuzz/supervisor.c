/* What a hostile init and two clients say to a supervisor, in turns: it stays sound, does nothing but what they may ask for,
 * starts one command at a time, and keeps neither memory nor descriptors. The clock stands still but when the input says so. */
#include "../../core/control_parts.h"
#include "../../core/util.h"

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { CLIENTS = 2, INIT = CLIENTS, PEERS };

static struct sandbox sandbox;
static struct control control;
static int peers[PEERS]; /* the other ends; -1: gone */
static const uint8_t *next_byte, *last_byte;
static double clock_now;

static uint8_t take(void)
{
    return next_byte < last_byte ? *next_byte++ : 0;
}

/* ---- what the supervisor does ---- */

double __wrap_util_monotonic(void);
double __wrap_util_monotonic(void)
{
    return clock_now;
}

/* The stdio of a client's command is given, and is nothing but pipes without a name. */
struct running *sandbox_start(struct sandbox *box, const struct start_request *request, struct err *err)
{
    struct running *running = calloc(1, sizeof *running);
    MUST(running && err && box->control->awaiting == 0 && !box->frozen);
    MUST(request->argv[0] && request->cwd && request->env && !request->last);
    for (size_t i = 0; request->argv[i]; i++)
        MUST(strlen(request->argv[i]) <= WIRE_MAX_PAYLOAD);
    for (size_t i = 0; request->env[i]; i++)
        MUST(strlen(request->env[i]) <= WIRE_MAX_PAYLOAD);
    for (int i = 0; i < STREAMS; i++) {
        struct statfs fs;
        int fd = request->stdio[i].fd;
        stream_init(&running->streams[i]);
        MUST(request->stdio[i].kind == (fd < 0 ? STDIO_NULL : STDIO_GIVEN));
        MUST(fd < 0 || (!request->pty && fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC));
        MUST(fd < 0 || (fcntl(fd, F_GETFL) & O_ACCMODE) == (i == 0 ? O_RDONLY : O_WRONLY));
        util_close(&fd);
    }
    running->id = ++box->next_id;
    running->pty = request->pty;
    running->next = box->commands;
    box->commands = running;
    return running;
}

void sandbox_forget(struct sandbox *box, struct running *running)
{
    struct running **link = &box->commands;
    while (*link != running)
        link = &(*link)->next;
    *link = running->next;
    for (int i = 0; i < STREAMS; i++)
        stream_free(&running->streams[i]);
    free(running);
}

/* Init is sent nothing while a command is on its way to it, nor while it stands still. */
static int may_signal(const struct sandbox *box, int number, struct err *err)
{
    MUST(number > 0 && number < NSIG && box->control->awaiting == 0 && !box->frozen && err);
    return 0;
}

int sandbox_signal(struct sandbox *box, uint32_t id, int number, struct err *err)
{
    MUST(id > 0 && id <= box->next_id);
    return may_signal(box, number, err);
}

int sandbox_end(struct sandbox *box, uint32_t id, int number, struct err *err)
{
    return sandbox_signal(box, id, number, err);
}

int sandbox_give(const struct sandbox *box, int fd, struct err *err)
{
    MUST(box && err && fd >= 0);
    return 0;
}

void sandbox_resize(struct running *running, int rows, int cols)
{
    running->rows = rows;
    running->cols = cols;
}

int keeper_report(struct keeper *keeper, struct tree_usage *usage)
{
    MUST(keeper && usage);
    return -1;
}

/* ---- what is said to it ---- */

/* An end of a pipe, the master of a terminal, a socket. */
static int make_fd(unsigned kind)
{
    int ends[2] = {-1, -1};
    if (kind == 2)
        return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (kind == 3)
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(pipe2(ends, O_CLOEXEC) == 0);
    close(ends[!kind]);
    return ends[kind];
}

static void send_with(int peer, const void *bytes, size_t length, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS)];
    } beside = {0};
    struct iovec vector = {(void *)(uintptr_t)bytes, length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (n_fds > 0) {
        message.msg_control = beside.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){CMSG_LEN(sizeof(int) * n_fds), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
    }
    sendmsg(peers[peer], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Bytes of the input, or a frame around them that is of a right type and length. */
static void say(int peer, bool framed, size_t n_fds)
{
    static const struct {
        uint16_t type, length;
    } kinds[] = {{WIRE_START, 0},
                 {WIRE_SIGNAL, sizeof(struct wire_signal)},
                 {WIRE_ASK, 0},
                 {WIRE_READY, 0},
                 {WIRE_STARTED, sizeof(int32_t)},
                 {WIRE_EXITED, sizeof(struct wire_exited)},
                 {WIRE_FAILED, sizeof(struct wire_failed)},
                 {WIRE_USAGE, sizeof(struct wire_usage)}};
    uint8_t bytes[sizeof(struct wire_header) + sizeof(struct wire_failed)] = {0};
    int fds[WIRE_MAX_FDS];
    unsigned kind = take() % (sizeof kinds / sizeof kinds[0]), id = take() % 8;
    size_t length = take(), at = framed ? sizeof(struct wire_header) : 0;
    uint8_t which = take();
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = make_fd(which >> 2 * i & 3);
    length = length < (size_t)(last_byte - next_byte) ? length : (size_t)(last_byte - next_byte);
    memcpy(bytes + at, next_byte, length);
    next_byte += length;
    if (framed && kinds[kind].length)
        length = kinds[kind].length;
    struct wire_header header = {(uint32_t)length, kinds[kind].type, (uint16_t)n_fds, id};
    if (framed)
        memcpy(bytes, &header, sizeof header);
    if (peers[peer] >= 0 && at + length > 0)
        send_with(peer, bytes, at + length, fds, n_fds);
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
}

/* What a client is answered. */
static void hear(int peer)
{
    struct wire_header header;
    char *payload, byte;
    int fds[WIRE_MAX_FDS];
    while (peers[peer] >= 0 && recv(peers[peer], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) {
        if (wire_receive(peers[peer], &header, &payload, fds) != 1) {
            util_close(&peers[peer]);
            return;
        }
        MUST(header.type == WIRE_STARTED || header.type == WIRE_FAILED || header.type == WIRE_EXITED ||
             header.type == WIRE_REPLY);
        free(payload);
        for (int i = 0; i < WIRE_MAX_FDS; i++)
            util_close(&fds[i]);
    }
}

/* ---- the run ---- */

static void add_client(int peer)
{
    int ends[2];
    struct control_client *client = calloc(1, sizeof *client);
    MUST(client && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    *client = (struct control_client){.next = control.clients, .fd = ends[0], .number = ++control.next_number};
    control.clients = client;
    control.n_clients++;
    peers[peer] = ends[1];
}

static void check_sums(void)
{
    size_t held = 0, clients = 0;
    for (const struct control_client *c = control.clients; c; c = c->next, clients++)
        held += c->payload ? c->header.length : 0;
    MUST(held == control.held && clients == control.n_clients && control.held <= CONTROL_HELD);
}

/* False when the sandbox is over. */
static bool go_on(uint32_t *asking)
{
    struct event event = {.kind = EVENT_TIMEOUT};
    struct err err = {0};
    do {
        MUST(sandbox_next(&sandbox, 0, &event, &err) == 0);
        if (event.kind == EVENT_REQUEST) {
            MUST(strlen(event.bytes) <= event.length);
            *asking = event.client;
        }
        if (event.kind == EVENT_GONE || event.kind == EVENT_NOT_STARTED) {
            MUST(event.why && memchr(event.why, 0, sizeof sandbox.why));
            return false;
        }
        MUST(event.kind != EVENT_EXIT && event.kind != EVENT_OUTPUT);
    } while (event.kind != EVENT_TIMEOUT);
    check_sums();
    for (int i = 0; i < CLIENTS; i++)
        hear(i);
    return true;
}

static void otherwise(uint8_t what, uint32_t *asking)
{
    switch (what % 5) {
    case 0:
        control_reply(&control, *asking, "answer", 6);
        *asking = 0;
        break;
    case 1:
        clock_now += take();
        break;
    case 2:
        sandbox.frozen = !sandbox.frozen;
        break;
    default: /* another client instead of one */
        util_close(&peers[what % CLIENTS]);
        if (control.n_clients < 2 * CLIENTS)
            add_client(what % CLIENTS);
    }
}

static void close_all(void)
{
    while (sandbox.commands)
        sandbox_forget(&sandbox, sandbox.commands);
    wire_reader_free(&sandbox.reader);
    while (control.clients) {
        struct control_client *client = control.clients;
        control.clients = client->next;
        for (size_t i = 0; i < client->n_fds; i++)
            util_close(&client->fds[i]);
        util_close(&client->fd);
        free(client->payload);
        free(client);
    }
    for (int i = 0; i < PEERS; i++)
        util_close(&peers[i]);
    util_close(&sandbox.socket);
}

static int lowest_free(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *env[] = {"A=1", "PATH=/bin", NULL};
    struct plan plan = {.env = env, .cwd = "/"};
    int ends[2], before = lowest_free();
    uint32_t asking = 0;
    next_byte = data;
    last_byte = data + size;
    clock_now = 1000;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    control = (struct control){.listener = -1, .folder = -1, .grace = 5};
    sandbox = (struct sandbox){.plan = &plan, .socket = ends[0], .pidfd = -1, .signals = -1, .control = &control};
    sandbox.gateway = (struct gateway_process){.pidfd = -1, .control = -1, .hand_over = -1, .gone = true};
    wire_reader_init(&sandbox.reader);
    peers[INIT] = ends[1];
    for (int i = 0; i < CLIENTS; i++)
        add_client(i);
    for (bool on = true; on && next_byte < last_byte;) {
        uint8_t what = take();
        if (what % 4 < PEERS)
            say(what % 4, what & 4, what >> 3 & 3);
        else
            otherwise(what / 4, &asking);
        on = go_on(&asking);
    }
    control_farewell(&sandbox);
    close_all();
    MUST(lowest_free() == before);
    return 0;
}
