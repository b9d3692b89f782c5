#include "loop.h"

#include "../util.h"

#include <errno.h>
#include <sys/epoll.h>

int loop_init(struct loop *loop, struct err *err)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->now = util_monotonic();
    return loop->epoll >= 0 ? 0 : err_sys(err, "make an epoll set");
}

int loop_add(struct loop *loop, int fd, struct watch *watch)
{
    return loop_add_level(loop, fd, watch, EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

int loop_add_level(struct loop *loop, int fd, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event);
}

int loop_change_level(struct loop *loop, int fd, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event);
}

void loop_remove(struct loop *loop, int fd)
{
    struct epoll_event unused = {0};
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, &unused);
}

int loop_turn(struct loop *loop, int milliseconds, struct err *err)
{
    enum { BATCH = 256 };
    struct epoll_event events[BATCH];
    int n = epoll_wait(loop->epoll, events, BATCH, milliseconds);
    if (n < 0 && errno != EINTR)
        return err_sys(err, "wait for events");
    loop->now = util_monotonic();
    for (int i = 0; i < n; i++) {
        struct watch *watch = events[i].data.ptr;
        watch->ready(watch, events[i].events);
    }
    return 0;
}
