#include "control_parts.h"

#include "failpoint.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Longer than sun_path, a folder's path is reached through its descriptor. */
static int make_address(struct sockaddr_un *address, int folder, struct err *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" CONTROL_NAME, folder);
    return n < (int)sizeof address->sun_path ? 0 : err_set(err, ENAMETOOLONG, "the socket's path is too long");
}

int control_connect(const char *folder, struct err *err)
{
    struct sockaddr_un address;
    cleanup_fd int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, "open %s", folder);
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "make a socket");
    if (make_address(&address, dir, err) < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_sys(err, "connect to %s/" CONTROL_NAME, folder);
    return steal_fd(&fd);
}

static int listen_in(struct control *control, struct err *err)
{
    struct sockaddr_un address;
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->listener < 0 || make_address(&address, control->folder, err) < 0)
        return err_sys(err, "make the control socket");
    /* Whoever held this folder before is dead: the caller holds its lock. */
    unlinkat(control->folder, CONTROL_NAME, 0);
    mode_t before = umask(0177);
    int bound = bind(control->listener, (struct sockaddr *)&address, sizeof address);
    umask(before);
    if (bound < 0 || listen(control->listener, SOMAXCONN) < 0)
        return err_sys(err, "bind the control socket");
    return 0;
}

/* How many pid namespaces deep a process is, as ours sees it; 0 when that can't be told. */
static int pid_depth(pid_t pid)
{
    char path[32], text[8192];
    int depth = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    const char *at = util_read_file(AT_FDCWD, path, text, sizeof text) > 0 ? strstr(text, "\nNSpid:") : NULL;
    for (at = at ? at + strlen("\nNSpid:") : NULL; at && *at && *at != '\n'; at++)
        depth += *at == '\t';
    return depth;
}

int control_open(struct control **out, int folder, double grace, struct err *err)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return err_sys(err, "make the control socket");
    control->grace = grace;
    control->depth = pid_depth(getpid());
    control->listener = -1;
    control->folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
    control_set_farewell(control, 137, "the sandbox was ended");
    if (control->folder < 0 ? err_sys(err, "hold the folder") < 0 : listen_in(control, err) < 0) {
        control_close(control);
        return -1;
    }
    *out = control;
    return 0;
}

void control_set_farewell(struct control *control, int code, const char *sentence)
{
    control->farewell_code = code;
    snprintf(control->farewell, sizeof control->farewell, "%s", sentence);
}

static void forget_frame(struct control *control, struct control_client *client)
{
    for (size_t i = 0; i < client->n_fds; i++)
        util_close(&client->fds[i]);
    if (client->payload)
        control->held -= client->header.length;
    util_free(&client->payload);
    client->n_fds = client->have = 0;
    client->whole = client->asked = false;
}

/* Only marks it: the caller may be walking the list. */
static void drop(struct control *control, struct control_client *client)
{
    forget_frame(control, client);
    util_close(&client->fd);
    client->gone = true;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    while (control->clients) {
        struct control_client *client = control->clients;
        control->clients = client->next;
        drop(control, client);
        free(client);
    }
    if (control->listener >= 0)
        unlinkat(control->folder, CONTROL_NAME, 0);
    util_close(&control->listener);
    util_close(&control->folder);
    free(control);
}

struct control_client *control_find(const struct control *control, uint32_t number)
{
    struct control_client *client = control->clients;
    while (client && (client->gone || client->number != number))
        client = client->next;
    return client;
}

void control_send(struct control *control, struct control_client *client, enum wire_type type, uint32_t id,
                  const void *payload, size_t length, int fd)
{
    if (client->gone)
        return;
    if (wire_offer(client->fd, type, id, payload, length, &fd, fd >= 0) < 0)
        drop(control, client);
}

void control_reply(struct control *control, uint32_t number, const char *text, size_t length)
{
    struct control_client *client = control_find(control, number);
    if (!client || !client->asked)
        return;
    uint32_t id = client->header.id;
    forget_frame(control, client);
    control_send(control, client, WIRE_REPLY, id, text, length, -1);
}

/* The owner's processes, and root's. An ordinary user's sandboxes have his id: what is in one is in a pid namespace below
 * ours, and not welcome, even when somebody showed it this socket. */
static bool is_welcome(const struct control *control, int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || (peer.uid != geteuid() && peer.uid != 0))
        return false;
    return peer.pid > 0 && control->depth > 0 && pid_depth(peer.pid) == control->depth;
}

static struct control_client *accept_client(struct control *control)
{
    cleanup_fd int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct err ignored;
    if (fd < 0 || failpoint("exec", "take the client", &ignored) < 0 || !is_welcome(control, fd) ||
        control->n_clients >= CONTROL_CLIENTS)
        return NULL;
    struct control_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->fd = steal_fd(&fd);
    client->number = ++control->next_number;
    client->next = control->clients;
    control->clients = client;
    control->n_clients++;
    return client;
}

static bool make_room(struct control *control, struct control_client *client)
{
    const struct wire_header *header = &client->header;
    if (header->length > WIRE_MAX_PAYLOAD || control->held + header->length > CONTROL_HELD)
        return false;
    if (header->type != WIRE_START && header->type != WIRE_SIGNAL && header->type != WIRE_ASK)
        return false;
    client->payload = malloc(header->length + 1);
    if (!client->payload)
        return false;
    client->payload[header->length] = '\0';
    control->held += header->length;
    return true;
}

/* Reads until a frame is whole or nothing is left; false when the client is gone or speaks nonsense. */
static bool read_frame(struct control *control, struct control_client *client)
{
    while (!client->whole) {
        size_t head = sizeof client->header;
        bool in_head = client->have < head;
        char *to = in_head ? (char *)&client->header + client->have : client->payload + (client->have - head);
        size_t want = in_head ? head - client->have : head + client->header.length - client->have;
        ssize_t got =
            want == 0 ? 0 : wire_take(client->fd, to, want, MSG_DONTWAIT, client->fds, WIRE_MAX_FDS, &client->n_fds);
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got < 0 || (got == 0 && want > 0))
            return false;
        client->have += (size_t)got;
        if (in_head && client->have == head && !make_room(control, client))
            return false;
        client->whole = client->have >= head && client->have == head + client->header.length;
    }
    return client->header.n_fds == client->n_fds;
}

/* A frame that init can't be sent now waits in its client, who is not read from meanwhile. */
static bool must_wait(const struct sandbox *sandbox, const struct control_client *client)
{
    if (client->header.type == WIRE_ASK)
        return client->asked;
    return sandbox->control->awaiting != 0 || (sandbox->frozen && client->header.type == WIRE_SIGNAL);
}

/* True when `event` is to be reported. */
static bool handle(struct sandbox *sandbox, struct control_client *client, struct event *event)
{
    struct control *control = sandbox->control;
    bool fine = true;
    if (client->gone || !client->whole || must_wait(sandbox, client))
        return false;
    if (client->header.type == WIRE_ASK) {
        client->asked = true;
        *event = (struct event){
            .kind = EVENT_REQUEST, .client = client->number, .bytes = client->payload, .length = client->header.length};
        return true;
    }
    fine = client->header.type == WIRE_START ? control_start(sandbox, client) : control_signal(sandbox, client);
    if (fine)
        forget_frame(control, client);
    else
        drop(control, client);
    /* Whoever rests looks again, also when the start was refused: that is rare. */
    if (!sandbox->resting || client->gone)
        return false;
    sandbox->resting = false;
    *event = (struct event){.kind = EVENT_BEGUN};
    return true;
}

static void bury(struct sandbox *sandbox)
{
    struct control *control = sandbox->control;
    struct control_client **link = &control->clients;
    while (*link) {
        struct control_client *client = *link;
        if (!client->gone) {
            link = &client->next;
            continue;
        }
        *link = client->next;
        control->n_clients--;
        control_orphan(sandbox, client->number);
        free(client);
    }
}

size_t control_count(const struct control *control)
{
    return 1 + control->n_clients;
}

void control_fill(const struct control *control, struct pollfd *polled)
{
    *polled++ = (struct pollfd){.fd = control->listener, .events = POLLIN};
    for (const struct control_client *c = control->clients; c; c = c->next)
        *polled++ = (struct pollfd){.fd = c->gone || c->whole ? -1 : c->fd, .events = POLLIN};
}

static bool read_and_handle(struct sandbox *sandbox, struct control_client *client, struct event *event)
{
    if (!read_frame(sandbox->control, client))
        drop(sandbox->control, client);
    return handle(sandbox, client, event);
}

bool control_serve(struct sandbox *sandbox, const struct pollfd *polled, struct event *event)
{
    struct control *control = sandbox->control;
    const struct pollfd *next = polled + 1;
    for (struct control_client *c = control->clients; c; c = c->next, next++)
        if (next->fd >= 0 && next->revents && !c->gone && read_and_handle(sandbox, c, event))
            return true;
    /* A new client has mostly sent its first frame already. */
    struct control_client *arrived = polled->revents ? accept_client(control) : NULL;
    return arrived && read_and_handle(sandbox, arrived, event);
}

bool control_tick(struct sandbox *sandbox, struct event *event)
{
    bury(sandbox);
    for (struct control_client *c = sandbox->control->clients; c; c = c->next)
        if (c->whole && handle(sandbox, c, event))
            return true;
    return control_commands_tick(sandbox, event);
}
