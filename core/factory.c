#include "factory.h"

#include "util.h"
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int factory_answer(int socket_fd)
{
    struct wire_header header;
    int fds[WIRE_MAX_FDS];
    int32_t family;
    cleanup_free char *payload = NULL;
    if (wire_receive(socket_fd, &header, &payload, fds) != 1)
        return -1;
    for (int i = 0; i < WIRE_MAX_FDS; i++)
        util_close(&fds[i]);
    if (header.type != WIRE_ASK_SOCKET || header.length != sizeof family)
        return -1;
    memcpy(&family, payload, sizeof family);
    cleanup_fd int made = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made >= 0)
        return wire_send(socket_fd, WIRE_SOCKET, header.id, NULL, 0, &made, 1);
    struct wire_failed failed = {.code = errno};
    return wire_send(socket_fd, WIRE_FAILED, header.id, &failed, sizeof failed, NULL, 0);
}
