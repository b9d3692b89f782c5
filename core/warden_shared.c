#include "warden_shared.h"

#include "util.h"
#include "warden.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

static struct {
    struct warden warden;
    pid_t program; /* who started it: a fork of a program needs one of its own */
    size_t kept;   /* bytes of the paths of groups that it has to remove */
} shared = {.warden = WARDEN_NONE};

static bool is_there(void)
{
    struct pollfd polled = {.fd = shared.warden.pidfd, .events = POLLIN};
    return shared.program == getpid() && shared.warden.pidfd >= 0 && poll(&polled, 1, 0) == 0;
}

/* Nothing of it is left when the program has ended. One that still has groups to remove waits for our end, as they are in
 * use until then. */
static void end_with_program(void)
{
    struct err ignored;
    if (shared.program == getpid() && shared.kept == 0)
        warden_end(&shared.warden, &ignored);
}

static int start(struct err *err)
{
    static bool registered;
    struct err ignored;
    if (shared.program == getpid())
        warden_end(&shared.warden, &ignored); /* it has died */
    else
        warden_drop(&shared.warden);
    shared.kept = 0;
    if (warden_start(&shared.warden, NULL, err) < 0)
        return -1;
    shared.program = getpid();
    registered = registered || atexit(end_with_program) == 0;
    return registered ? 0 : err_set(err, ENOMEM, "see to the keeper's end");
}

int warden_shared_keep(const char *paths, size_t length, struct err *err)
{
    if (!is_there() && start(err) < 0)
        return -1;
    if (warden_keep(&shared.warden, paths, length, err) < 0)
        return -1;
    shared.kept += length;
    return 0;
}

int warden_shared_death(void)
{
    return fcntl(shared.warden.reports, F_DUPFD_CLOEXEC, 3);
}

void warden_shared_forget(const char *paths, size_t length)
{
    if (shared.program != getpid())
        return;
    warden_forget(&shared.warden, paths, length);
    shared.kept -= length < shared.kept ? length : shared.kept;
}
