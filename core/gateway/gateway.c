/* gateway.c - theory of operation.
 *
 *   supervisor            gateway (this process)                sandbox's child, in the captured network namespace
 *   -------------------   -----------------------------------   --------------------------------------------------
 *   gateway_start ------> closes what it inherited, reads        (cloned at the same time)
 *                         resolv.conf, prepares the hook
 *                         waits for the network <------------    capture_setup, gateway_hand_over: sockets, user namespace
 *                         confine_for_good
 *                         "serving" ------------------------->   gateway_wait_serving, then becomes init
 *                         serves: loop_turn for ever
 *   gateway_set_rules --> swaps rules, cuts, answers
 *   gateway_stop -------> writes what is open, counts, ends
 *
 * A socket stays in the network namespace that it was made in, whoever holds it: what is accepted comes from the sandbox,
 * what is opened here goes out of the host's. There is no other way between the two. */
#include "gateway.h"

#include "../failpoint.h"
#include "../sys.h"
#include "../util.h"
#include "../wire.h"
#include "buffers.h"
#include "confine.h"
#include "decide.h"
#include "own.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum {
    MOST_CONNECTIONS = 16384,
    OTHER_DESCRIPTORS = 256,
    REFUSALS_IN_DETAIL = 200, /* a second */
    NEW_NAMES = 300,          /* a minute */
    ANSWER_SECONDS = 5,       /* that a supervisor waits for its gateway */
};

/* What the process keeps of its parent's descriptors: these, the listeners, and the flow log where there is one. */
enum { FD_CONTROL, FD_HAND_OVER, FD_PUBLISHED, FDS = FD_PUBLISHED + PUBLISH_MOST + 1 };

/* ---- rules ---- */

/* Puts rules in force that are known to be good. */
static int install(struct gateway *gateway, struct rules *rules, struct err *err)
{
    if (!limits_install(gateway, rules))
        return err_set(err, ENOMEM, "out of memory for the rules");
    gateway->rules = rules;
    return 0;
}

/* While it is being dialled the rest of its addresses may come to be: all are judged, as before the first. */
static struct decision decide_again(const struct conn *conn)
{
    const struct rules *rules = conn->gateway->rules;
    uint16_t port = conn->tuple.target_port;
    const struct address *address = conn->dialled.length ? &conn->dialled : conn->name ? NULL : &conn->tuple.target;
    if (conn->published)
        return inbound_decide(conn);
    struct decision decision = rules_decide(rules, conn->name, address, port);
    for (size_t i = 0; decision.allow && conn->stage == CONN_DIAL && i < conn->found->n; i++)
        decision = rules_decide(rules, conn->name, &conn->found->addresses[i], port);
    return decision;
}

/* A connection under new rules: it goes on under the row that allows it now, or is cut. */
static void judge_again(struct conn *conn)
{
    struct decision decision = decide_again(conn);
    conn->row = decision.row;
    conn->rule = decision.from;
    if (decision.allow)
        return;
    if (conn->stage == CONN_RELAY || conn->stage == CONN_WAIT)
        conn_end(conn, "cut", decision.reason, true);
    else
        conn_refuse(conn, REFUSE_DENIED, decision.from, decision.reason);
}

static int change_rules(struct gateway *gateway, const void *bytes, size_t length, struct err *err)
{
    struct rules *old = gateway->rules, *new = rules_decode(bytes, length, err);
    if (!new)
        return -1;
    if (inbound_has(gateway, new, err) < 0 || install(gateway, new, err) < 0) {
        rules_free(new);
        return -1;
    }
    inbound_rules(gateway);
    for (struct conn *conn = gateway->conns, *after; conn; conn = after) {
        after = conn->next;
        judge_again(conn);
    }
    rules_free(old);
    return 0;
}

/* ---- control ---- */

static void count(const struct gateway *gateway, struct gateway_counters *counters)
{
    struct timespec cpu = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    *counters = (struct gateway_counters){.opened = gateway->opened,
                                          .denied = gateway->denied,
                                          .up = gateway->bytes_up,
                                          .down = gateway->bytes_down,
                                          .mode = gateway->capture.mode,
                                          .cpu_us = (uint64_t)cpu.tv_sec * 1000000u + (uint64_t)cpu.tv_nsec / 1000u};
}

static void answer_failed(int control, uint32_t id, const struct err *err)
{
    struct wire_failed failed = {.code = err->code};
    snprintf(failed.text, sizeof failed.text, "%s", err->text);
    wire_send(control, WIRE_FAILED, id, &failed, sizeof failed, NULL, 0);
}

static void answer_counters(struct gateway *gateway, uint32_t id)
{
    struct gateway_counters counters;
    count(gateway, &counters);
    wire_send(gateway->control_fd, WIRE_COUNTERS, id, &counters, sizeof counters, NULL, 0);
}

/* `asked`: who asked for the end and is answered; NULL nobody. */
static _Noreturn void finish(struct gateway *gateway, const struct wire_header *asked)
{
    while (gateway->conns) {
        struct conn *conn = gateway->conns;
        if (conn->stage == CONN_RELAY || conn->stage == CONN_WAIT)
            conn_end(conn, "cut", "the sandbox ended", true);
        else
            conn_refuse(conn, REFUSE_TIMEOUT, conn->rule, "the sandbox ended");
    }
    queue_flush(gateway);
    flows_flush(&gateway->flows, gateway->loop.now, true);
    if (asked)
        answer_counters(gateway, asked->id);
    _exit(0);
}

static void control_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct gateway *gateway = (struct gateway *)((char *)watch - offsetof(struct gateway, control));
    struct wire_header header;
    struct err err = {0};
    int fds[WIRE_MAX_FDS];
    cleanup_free char *payload = NULL;
    if (wire_receive(gateway->control_fd, &header, &payload, fds) != 1)
        finish(gateway, NULL);
    for (int i = 0; i < WIRE_MAX_FDS; i++)
        util_close(&fds[i]);
    if (header.type == WIRE_FINISH)
        finish(gateway, &header);
    if (header.type == WIRE_RULES && change_rules(gateway, payload, header.length, &err) < 0)
        answer_failed(gateway->control_fd, header.id, &err);
    else
        answer_counters(gateway, header.id);
}

/* ---- setting up ---- */

static size_t most_connections(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < (rlim_t)2 * OTHER_DESCRIPTORS)
        return OTHER_DESCRIPTORS / 2;
    rlim_t most = (files.rlim_cur - OTHER_DESCRIPTORS) / 2;
    return most < MOST_CONNECTIONS ? (size_t)most : MOST_CONNECTIONS;
}

static int prepare(struct gateway *gateway, const struct gateway_request *request, struct err *err)
{
    if (loop_init(&gateway->loop, err) < 0)
        return -1;
    struct rules *rules = rules_decode(request->rules, request->rules_length, err);
    if (!rules || install(gateway, rules, err) < 0)
        return -1;
    if (request->prepare_hook) {
        gateway->hook = request->prepare_hook(request->hook_context, err);
        if (!gateway->hook)
            return -1;
    }
    gateway->most_conns = most_connections();
    gateway->unbound = buffers_unbound();
    if (!window_init(&gateway->refusals, REFUSALS_IN_DETAIL, 1) || !window_init(&gateway->new_names, NEW_NAMES, 60))
        return err_set(err, ENOMEM, "out of memory");
    gateway->own = own_open(err);
    gateway->resolve = resolve_init(&gateway->loop, &rules->resolver, rules->resolver_port, err);
    return gateway->own >= 0 && gateway->resolve ? 0 : -1;
}

/* The user namespace, then the captured sockets in their order. */
static int take_network(int hand_over, struct capture *capture, int *user_namespace, struct err *err)
{
    struct wire_header header;
    int fds[WIRE_MAX_FDS];
    cleanup_free char *payload = NULL;
    if (wire_receive(hand_over, &header, &payload, fds) != 1 || header.type != WIRE_NETWORK)
        return err_set(err, EPIPE, "the sandbox's child went away");
    *user_namespace = fds[0];
    for (int i = 0; i < CAPTURE_SOCKETS; i++)
        capture->sockets[i] = fds[i + 1];
    capture->mode = capture->sockets[CAPTURE_QUEUE] >= 0 ? CAPTURE_EXACT : CAPTURE_ACCEPT;
    return 0;
}

static int watch_all(struct gateway *gateway, struct err *err)
{
    gateway->control.ready = control_ready;
    if (loop_add_level(&gateway->loop, gateway->control_fd, &gateway->control, EPOLLIN) < 0 ||
        queue_start(gateway) < 0 || packets_start(gateway) < 0 || answer_start(gateway) < 0)
        return err_sys(err, "watch the sandbox's sockets");
    arrive_listen(gateway);
    return 0;
}

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static _Noreturn void serve(struct gateway *gateway)
{
    enum { JOINED_MS = 1000 };
    struct err err;
    for (;;) {
        int wait = sooner(relay_paced(gateway), sooner(conn_expire(gateway), resolve_timeout(gateway->resolve)));
        queue_flush(gateway);
        flows_flush(&gateway->flows, gateway->loop.now, false);
        conn_bury(gateway);
        if (gateway->flows.any_joined)
            wait = sooner(wait, JOINED_MS);
        if (loop_turn(&gateway->loop, wait, &err) < 0)
            _exit(1);
        resolve_tick(gateway->resolve);
    }
}

/* Closes all that was inherited but what is needed, whose numbers are then in fds and `published`. */
static int inherit(const struct gateway_request *request, pid_t supervisor, int fds[FDS],
                   struct published_ports *published, struct err *err)
{
    int n = FD_PUBLISHED;
    published->n = request->published ? request->published->n : 0;
    for (size_t i = 0; i < published->n; i++)
        fds[n++] = request->published->ports[i].fd;
    fds[n] = request->flows;
    int result = confine_first(supervisor, fds, request->flows >= 0 ? n + 1 : n, err);
    for (size_t i = 0; i < published->n; i++) {
        published->ports[i] = request->published->ports[i];
        published->ports[i].fd = fds[FD_PUBLISHED + i];
    }
    return result;
}

/* The socket by which the network was handed over leads to init from now on, where anything is to be asked of it. */
static int publish(struct gateway *gateway, const struct published_ports *published, int *hand_over, struct err *err)
{
    if (published->n > 0 && inbound_start(gateway, published, steal_fd(hand_over)) < 0)
        return err_sys(err, "serve the published ports");
    util_close(hand_over);
    return 0;
}

static _Noreturn void run(const struct gateway_request *request, int control, int hand_over, pid_t supervisor)
{
    static struct gateway gateway;
    struct published_ports published;
    struct err err = {0};
    int fds[FDS] = {control, hand_over}, user_namespace = -1;
    int result = inherit(request, supervisor, fds, &published, &err);
    gateway.control_fd = fds[FD_CONTROL];
    if (result == 0)
        result = failpoint("gateway", "prepare", &err) < 0 ? -1 : prepare(&gateway, request, &err);
    flows_init(&gateway.flows, request->flows >= 0 ? fds[FD_PUBLISHED + published.n] : -1, request->step,
               request->flows_most);
    if (result == 0)
        result = take_network(fds[FD_HAND_OVER], &gateway.capture, &user_namespace, &err);
    if (result == 0)
        result = failpoint("gateway", "confine itself", &err);
    if (result == 0)
        result = confine_for_good(user_namespace, request->own_ids, gateway.capture.mode == CAPTURE_EXACT, &err);
    if (result == 0)
        result = failpoint("gateway", "serve", &err) < 0 ? -1 : watch_all(&gateway, &err);
    if (result < 0) {
        answer_failed(fds[FD_HAND_OVER], 0, &err);
        _exit(1);
    }
    util_close(&user_namespace);
    wire_send(fds[FD_HAND_OVER], WIRE_READY, 0, NULL, 0, NULL, 0);
    if (publish(&gateway, &published, &fds[FD_HAND_OVER], &err) < 0)
        _exit(1);
    serve(&gateway);
}

/* ---- the supervisor's side ---- */

int gateway_start(struct gateway_process *process, const struct gateway_request *request, struct err *err)
{
    int control[2], hand_over[2];
    *process = (struct gateway_process){.pidfd = -1, .control = -1, .hand_over = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
        return err_sys(err, "make a socket pair");
    process->control = control[0];
    /* A gateway that stops in the middle of a frame must not stop its supervisor. */
    const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    setsockopt(control[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(control[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, hand_over) < 0) {
        close(control[1]);
        return err_sys(err, "make a socket pair");
    }
    process->hand_over = hand_over[0];
    pid_t supervisor = getpid();
    pid_t pid = sys_clone3(0, -1, &process->pidfd);
    if (pid == 0)
        run(request, control[1], hand_over[1], supervisor);
    int code = errno;
    close(control[1]);
    close(hand_over[1]);
    errno = code;
    return pid > 0 ? 0 : err_sys(err, "fork the gateway");
}

int gateway_hand_over(int socket, const struct capture *capture, struct err *err)
{
    cleanup_fd int space = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    int fds[1 + CAPTURE_SOCKETS] = {space}, n = 1;
    if (space < 0)
        return err_sys(err, "open /proc/self/ns/user");
    for (int i = 0; i < CAPTURE_SOCKETS && capture->sockets[i] >= 0; i++)
        fds[n++] = capture->sockets[i];
    /* A gateway that has failed says why to gateway_wait_serving. */
    if (wire_send(socket, WIRE_NETWORK, 0, NULL, 0, fds, (size_t)n) < 0 && errno != EPIPE)
        return err_sys(err, "hand the network to the gateway");
    return 0;
}

int gateway_wait_serving(int socket, struct err *err)
{
    struct wire_header header;
    int fds[WIRE_MAX_FDS];
    cleanup_free char *payload = NULL;
    if (wire_receive(socket, &header, &payload, fds) != 1)
        return err_set(err, EPIPE, "the gateway went away");
    if (header.type == WIRE_FAILED && header.length == sizeof(struct wire_failed)) {
        const struct wire_failed *failed = (const void *)payload;
        return err_set(err, failed->code, "%.*s", (int)sizeof failed->text, failed->text);
    }
    return header.type == WIRE_READY ? 0 : err_set(err, EPROTO, "the gateway spoke nonsense");
}

static int take_reply(struct gateway_process *process, const struct wire_header *header, const void *reply,
                      struct err *err)
{
    if (header->type == WIRE_FAILED && header->length == sizeof(struct wire_failed)) {
        const struct wire_failed *failed = reply;
        return err_set(err, failed->code, "%.*s", (int)sizeof failed->text, failed->text);
    }
    if (header->type != WIRE_COUNTERS || header->length != sizeof process->last)
        return err_set(err, EPROTO, "the gateway spoke nonsense");
    memcpy(&process->last, reply, sizeof process->last);
    return 0;
}

/* Sends a request and reads the counters that answer it. An answer that comes after its request was given up bears that
 * request's number, and is passed over. */
static int ask(struct gateway_process *process, enum wire_type type, const void *payload, size_t length,
               struct err *err)
{
    struct wire_header header;
    int fds[WIRE_MAX_FDS];
    struct pollfd polled = {.fd = process->control, .events = POLLIN};
    uint32_t id = ++process->asked;
    double until = util_monotonic() + ANSWER_SECONDS;
    if (process->control < 0 || wire_send(process->control, type, id, payload, length, NULL, 0) < 0)
        return err_set(err, EPIPE, "the gateway has ended");
    for (;;) {
        cleanup_free char *reply = NULL;
        double left = until - util_monotonic();
        int ready = left > 0 ? poll(&polled, 1, (int)(left * 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return err_set(err, ETIMEDOUT, "the gateway does not answer");
        int got = wire_receive(process->control, &header, &reply, fds);
        for (int i = 0; i < WIRE_MAX_FDS; i++)
            util_close(&fds[i]);
        if (got != 1) {
            /* Perhaps half a frame was read: nothing that follows could be understood. */
            util_close(&process->control);
            return err_set(err, EPIPE, "the gateway has ended");
        }
        if (header.id == id)
            return take_reply(process, &header, reply, err);
    }
}

int gateway_set_rules(struct gateway_process *process, const void *rules, size_t length, struct err *err)
{
    return ask(process, WIRE_RULES, rules, length, err);
}

int gateway_count(struct gateway_process *process, struct gateway_counters *counters, struct err *err)
{
    int result = ask(process, WIRE_ASK_COUNTERS, NULL, 0, err);
    *counters = process->last;
    return result;
}

void gateway_stop(struct gateway_process *process)
{
    struct err ignored;
    siginfo_t info;
    if (process->pidfd >= 0) {
        if (ask(process, WIRE_FINISH, NULL, 0, &ignored) < 0)
            sys_pidfd_send_signal(process->pidfd, SIGKILL);
        while (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED) < 0 && errno == EINTR)
            continue;
    }
    util_close(&process->pidfd);
    util_close(&process->control);
    util_close(&process->hand_over);
}
