#include "netns.h"

#include "util.h"

#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int netns_loopback_up(struct err *err)
{
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "open a socket in the network namespace");
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return err_sys(err, "bring loopback up");
    return 0;
}

int netns_allow_low_ports(int proc_fd, struct err *err)
{
    if (util_write_file(proc_fd, "sys/net/ipv4/ip_unprivileged_port_start", "1") < 0)
        return err_sys(err, "allow ports below 1024 (net.ipv4.ip_unprivileged_port_start)");
    return 0;
}
