#include "wire.h"

#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS)];
};

static void attach_fds(struct msghdr *msg, union control *control, const int *fds, size_t n_fds)
{
    memset(control, 0, sizeof *control);
    msg->msg_control = control->bytes;
    msg->msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
    memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
}

static int send_rest(int socket, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -1;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* One sendmsg(2) of the frame: how much of it went, or -1. */
static ssize_t send_frame(int socket, const struct wire_header *header, const void *payload, const int *fds, int flags)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)header, sizeof *header}, {(void *)(uintptr_t)payload, header->length}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = header->length > 0 ? 2 : 1};
    union control control;
    if (header->n_fds > 0)
        attach_fds(&msg, &control, fds, header->n_fds);
    ssize_t sent;
    do {
        sent = sendmsg(socket, &msg, MSG_NOSIGNAL | flags);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

int wire_send(int socket, enum wire_type type, uint32_t id, const void *payload, size_t length, const int *fds,
              size_t n_fds)
{
    struct wire_header header = {(uint32_t)length, (uint16_t)type, (uint16_t)n_fds, id};
    ssize_t sent = send_frame(socket, &header, payload, fds, 0);
    if (sent < 0)
        return -1;
    size_t done = (size_t)sent;
    if (done < sizeof header) {
        if (send_rest(socket, (char *)&header + done, sizeof header - done) < 0)
            return -1;
        done = sizeof header;
    }
    done -= sizeof header;
    return done < length ? send_rest(socket, (const char *)payload + done, length - done) : 0;
}

int wire_offer(int socket, enum wire_type type, uint32_t id, const void *payload, size_t length, const int *fds,
               size_t n_fds)
{
    struct wire_header header = {(uint32_t)length, (uint16_t)type, (uint16_t)n_fds, id};
    ssize_t sent = send_frame(socket, &header, payload, fds, MSG_DONTWAIT);
    if (sent >= 0 && (size_t)sent == sizeof header + length)
        return 0;
    errno = sent >= 0 ? EAGAIN : errno;
    return -1;
}

/* Takes the descriptors out of a received message; what does not fit is closed, never leaked. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t room)
{
    size_t taken = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (taken < room)
                fds[taken++] = fd;
            else
                close(fd);
        }
    }
    return taken;
}

ssize_t wire_take(int socket, void *bytes, size_t length, int flags, int *fds, size_t room, size_t *n_fds)
{
    struct iovec iov = {bytes, length};
    union control control;
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t got;
    do {
        got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | flags);
    } while (got < 0 && errno == EINTR);
    if (got >= 0)
        *n_fds += take_fds(&msg, fds + *n_fds, room - *n_fds);
    return got;
}

int wire_receive(int socket, struct wire_header *header, char **payload, int fds[WIRE_MAX_FDS])
{
    size_t n_fds = 0, have = 0;
    *payload = NULL;
    for (int i = 0; i < WIRE_MAX_FDS; i++)
        fds[i] = -1;
    while (have < sizeof *header) {
        ssize_t got = wire_take(socket, (char *)header + have, sizeof *header - have, 0, fds, WIRE_MAX_FDS, &n_fds);
        if (got <= 0)
            return got < 0 ? -1 : 0;
        have += (size_t)got;
    }
    if (header->length > WIRE_MAX_PAYLOAD || header->n_fds != n_fds)
        return errno = EPROTO, -1;
    char *bytes = malloc(header->length + 1);
    if (!bytes)
        return -1;
    for (have = 0; have < header->length;) {
        ssize_t got = wire_take(socket, bytes + have, header->length - have, 0, fds, WIRE_MAX_FDS, &n_fds);
        if (got <= 0) {
            free(bytes);
            return got < 0 ? -1 : 0;
        }
        have += (size_t)got;
    }
    bytes[header->length] = '\0';
    *payload = bytes;
    return 1;
}

char **wire_strings(char **next, const char *end, size_t count)
{
    if (count > (size_t)(end - *next))
        return NULL;
    char **list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++) {
        char *zero = memchr(*next, '\0', (size_t)(end - *next));
        if (!zero) {
            free(list);
            return NULL;
        }
        list[i] = *next;
        *next = zero + 1;
    }
    return list;
}

void wire_reader_init(struct wire_reader *reader)
{
    memset(reader, 0, sizeof *reader);
    reader->fd = -1;
}

void wire_reader_free(struct wire_reader *reader)
{
    util_close(&reader->fd);
}

void wire_reader_next(struct wire_reader *reader)
{
    wire_reader_free(reader);
    wire_reader_init(reader);
}

static size_t wanted(const struct wire_reader *reader)
{
    if (reader->have < sizeof reader->header)
        return sizeof reader->header - reader->have;
    return sizeof reader->header + reader->header.length - reader->have;
}

static char *place(struct wire_reader *reader)
{
    if (reader->have < sizeof reader->header)
        return (char *)&reader->header + reader->have;
    return reader->payload + (reader->have - sizeof reader->header);
}

int wire_read(int socket, struct wire_reader *reader)
{
    for (;;) {
        size_t want = wanted(reader);
        if (reader->have >= sizeof reader->header && want == 0)
            return 1;
        struct iovec iov = {place(reader), want};
        union control control;
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
        ssize_t got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN ? 0 : -1;
        if (got == 0)
            return errno = EPIPE, -1;
        int fd = -1;
        if (take_fds(&msg, &fd, 1) > 0) {
            util_close(&reader->fd);
            reader->fd = fd;
        }
        reader->have += (size_t)got;
        if (reader->have >= sizeof reader->header && reader->header.length > sizeof reader->payload)
            return errno = EPROTO, -1;
    }
}
