#include "buffers.h"

#include "../util.h"
#include "state.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a reader leaves unread stays in the kernel, and of its memory for that the whole host has one account (tcp(7),
 * tcp_mem). Left to itself each socket comes to some megabytes, so a few hundred who read nothing would be felt by every
 * connection of the host. The first few, which carry what is large, are left to themselves. */
enum { SHARED = 32 << 20, LEAST_SHARE = 16 << 10 };

/* The window that a new connection has been promised; what exceeds a smaller buffer is dropped, and waits for a timer. */
enum { PROMISED = 64 << 10 };

/* As many as would take a quarter of what the host has for TCP before it is short of it (tcp_mem, in pages), each with the
 * largest buffer that a socket gets (tcp_rmem). */
size_t buffers_unbound(void)
{
    enum { LEAST = 4, UNKNOWN = 8, MOST = 64, PART = 4 };
    char memory[128], buffer[128];
    unsigned long pages = 0, largest = 0;
    if (util_read_file(AT_FDCWD, "/proc/sys/net/ipv4/tcp_mem", memory, sizeof memory) < 0 ||
        util_read_file(AT_FDCWD, "/proc/sys/net/ipv4/tcp_rmem", buffer, sizeof buffer) < 0 ||
        sscanf(memory, "%*u %lu", &pages) != 1 || sscanf(buffer, "%*u %*u %lu", &largest) != 1 || largest == 0)
        return UNKNOWN;
    size_t n = pages / PART * (size_t)sysconf(_SC_PAGESIZE) / largest;
    return n < LEAST ? LEAST : n > MOST ? MOST : n;
}

size_t buffers_share(const struct gateway *gateway)
{
    size_t share = SHARED / (gateway->n_conns + 1);
    return share > LEAST_SHARE ? share : LEAST_SHARE;
}

static void set(int fd, int option, int size)
{
    setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
}

void buffers_promise(const struct gateway *gateway, int fd)
{
    if (gateway->n_conns > gateway->unbound)
        set(fd, SO_RCVBUF, (int)buffers_share(gateway));
}

void buffers_bind(struct conn *conn)
{
    const struct gateway *gateway = conn->gateway;
    const int size = (int)buffers_share(gateway), accepted = conn->published ? conn->upstream.fd : conn->client.fd;
    if (conn->bound)
        return;
    conn->bound = true;
    if (gateway->n_conns <= gateway->unbound)
        return;
    set(accepted, SO_RCVBUF, size < PROMISED ? PROMISED : size);
    set(conn->client.fd, SO_SNDBUF, size);
    set(conn->upstream.fd, SO_SNDBUF, size);
}
