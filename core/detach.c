#include "detach.h"

#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

extern char **environ;

static void reset_signals(void)
{
    sigset_t none;
    sys_default_signals();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The first of the two processes: ends at once, so that the second has no parent that must wait for it. */
static _Noreturn void leave(const struct detach_request *request, int message)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[] = {request->lock, message};
    if (setsid() < 0 || chdir("/") < 0 || null < 0)
        _exit(1);
    pid_t pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    if (dup2(request->log, 2) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || util_keep_fds(fds, 2, 3) < 0)
        _exit(1);
    fcntl(3, F_SETFD, 0);
    fcntl(4, F_SETFD, 0);
    reset_signals();
    execve(request->program, request->argv, environ);
    static const char why[] = "moonbox can't be executed";
    (void)!write(4, why, sizeof why - 1);
    _exit(127);
}

int detach_start(const struct detach_request *request, struct err *err)
{
    int pipe_ends[2], status;
    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    cleanup_fd int ours = pipe_ends[0], theirs = pipe_ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, "start a supervisor");
    if (pid == 0)
        leave(request, theirs);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return steal_fd(&ours);
}
