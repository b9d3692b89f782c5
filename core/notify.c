#include "notify.h"

#include "sys.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* Only what is allowed between fork and exec. `told` closes with the exec, and carries errno when there is none. */
static _Noreturn void become(const char *const *argv, int input, int told)
{
    sigset_t none;
    int fds[] = {told}, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(input, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || util_keep_fds(fds, 1, 3) < 0)
        _exit(1);
    sys_default_signals();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    alarm(NOTIFY_SECONDS); /* stays over the exec: alarm(2) */
    if (chdir("/") == 0)
        execv(argv[0], (char *const *)(uintptr_t)argv);
    int code = errno;
    (void)!write(fds[0], &code, sizeof code);
    _exit(127);
}

/* Twice, so that it is adopted by the host's init and we need not wait for it. */
static _Noreturn void orphan(const char *const *argv, int input, int told)
{
    setsid();
    pid_t pid = fork();
    if (pid == 0)
        become(argv, input, told);
    _exit(pid < 0);
}

int notify_start(const char *const *argv, const char *text, size_t length, struct err *err)
{
    int in[2], out[2], code = 0, status;
    if (length > NOTIFY_MAX_TEXT)
        return err_set(err, E2BIG, "a notice is at most %d bytes, not %zu", NOTIFY_MAX_TEXT, length);
    if (pipe2(in, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    cleanup_fd int input = in[0], write_end = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    cleanup_fd int answer = out[0], told = out[1];
    /* It fits the pipe (64 KiB: pipe(7)), so this never waits. */
    if (util_write_all(write_end, text, length) < 0)
        return err_sys(err, "write a notice");
    pid_t pid = fork();
    if (pid == 0)
        orphan(argv, input, told);
    if (pid < 0)
        return err_sys(err, "fork");
    util_close(&told);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (read(answer, &code, sizeof code) == (ssize_t)sizeof code) {
        errno = code;
        return err_sys(err, "start %s", argv[0]);
    }
    return 0;
}
