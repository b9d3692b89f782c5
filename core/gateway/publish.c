#include "publish.h"

#include "../util.h"
#include "rules.h"

#include <errno.h>
#include <string.h>

/* What has not been accepted yet; the kernel caps it by net.core.somaxconn. */
enum { BACKLOG = 1024 };

static bool is_loopback(const struct address *address)
{
    static const struct address six = {16, {[15] = 1}};
    return (address->length == 4 && address->bytes[0] == 127) || address_equal(address, &six);
}

/* REUSEADDR: connections of an earlier sandbox that linger in TIME_WAIT don't keep the port (socket(7)). */
static int listen_on(struct published *published, struct err *err)
{
    const int on = 1;
    struct sockaddr_storage at = {0};
    socklen_t length = address_to_socket(&published->on, published->asked, &at);
    char text[ADDRESS_TEXT];
    address_format(&published->on, text);
    if (!is_loopback(&published->on))
        return err_set(err, EINVAL, "%s is not a loopback address", text);
    cleanup_fd int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&at, length) < 0 || listen(fd, BACKLOG) < 0)
        return err_sys(err, "listen on %s, port %u", text, published->asked);
    length = sizeof at;
    struct address bound;
    if (getsockname(fd, (struct sockaddr *)&at, &length) < 0)
        return err_sys(err, "ask for the port");
    address_from_socket(&at, &bound, &published->on_port);
    published->fd = steal_fd(&fd);
    return 0;
}

static int open_row(const struct row *row, struct published_ports *ports, struct err *err)
{
    for (size_t i = 0; i < row->n_ports; i++) {
        if (ports->n == PUBLISH_MOST)
            return err_set(err, E2BIG, "%s: more than %d ports are published", row->from, PUBLISH_MOST);
        struct published *next = &ports->ports[ports->n];
        *next = (struct published){
            .fd = -1, .port = row->ports[i], .on = row->targets[0].block, .asked = row->targets[0].port};
        if (listen_on(next, err) < 0)
            return err_wrap(err, "%s", row->from);
        ports->n++;
    }
    return 0;
}

int publish_open(const void *bytes, size_t length, struct published_ports *ports, struct err *err)
{
    int result = 0;
    struct rules *rules = rules_decode(bytes, length, err);
    ports->n = 0;
    if (!rules)
        return -1;
    for (size_t i = 0; i < rules->n_rows && result == 0; i++)
        if (rules->rows[i].word == ROW_PUBLISH)
            result = open_row(&rules->rows[i], ports, err);
    rules_free(rules);
    if (result < 0)
        publish_close(ports);
    return result;
}

void publish_close(struct published_ports *ports)
{
    for (size_t i = 0; i < ports->n; i++)
        util_close(&ports->ports[i].fd);
}
