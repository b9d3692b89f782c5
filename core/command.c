#include "command.h"

#include "files.h"
#include "seccomp.h"
#include "sys.h"
#include "util.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

extern char **environ;

static int open_pty(struct command *command, const struct wire_start *start, struct err *err)
{
    int unlock = 0;
    struct winsize size = {.ws_row = start->rows, .ws_col = start->cols};
    command->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (command->master < 0 || ioctl(command->master, TIOCSPTLCK, &unlock) < 0)
        return err_sys(err, "open a pty in the sandbox");
    command->slave = ioctl(command->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (command->slave < 0 || ioctl(command->slave, TIOCSWINSZ, &size) < 0)
        return err_sys(err, "open the pty's other side");
    return 0;
}

static int take_fds(struct command *command, uint32_t flags, const int *fds, struct err *err)
{
    int next = 0;
    for (int i = 0; i < 3; i++)
        command->stdio[i] = flags & (1u << i) ? fds[next++] : -1;
    if (flags & WIRE_LEAF && (command->leaf = fds[next]) < 0)
        return err_set(err, EPROTO, "a start request without its control group");
    return 0;
}

int command_parse(struct command *command, char *payload, size_t length, const int *fds, struct err *err)
{
    struct wire_start start;
    *command = (struct command){.stdio = {-1, -1, -1}, .leaf = -1, .master = -1, .slave = -1};
    if (length < sizeof start)
        return err_set(err, EPROTO, "a short start request");
    memcpy(&start, payload, sizeof start);
    char *next = payload + sizeof start;
    const char *end = payload + length;
    char **cwd = wire_strings(&next, end, 1);
    command->argv = wire_strings(&next, end, start.argc);
    command->env = wire_strings(&next, end, start.envc);
    command->cwd = cwd ? cwd[0] : NULL;
    free(cwd);
    if (!command->cwd || !command->argv || !command->env || start.argc == 0) {
        command_free(command);
        return err_set(err, EPROTO, "a malformed start request");
    }
    command->last = start.flags & WIRE_LAST;
    command->files = start.flags & WIRE_FILES;
    command->tree = start.flags & WIRE_TREE;
    if (take_fds(command, start.flags, fds, err) < 0 ||
        (start.flags & WIRE_PTY && open_pty(command, &start, err) < 0)) {
        command_free(command);
        return -1;
    }
    return 0;
}

void command_free(struct command *command)
{
    util_close(&command->master);
    util_close(&command->slave);
    free(command->argv);
    free(command->env);
}

static int set_stdio(const struct command *command, struct err *err)
{
    cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_sys(err, "open /dev/null");
    for (int i = 0; i < 3; i++) {
        int fd = command->slave >= 0 ? command->slave : command->stdio[i];
        if (dup2(fd >= 0 ? fd : null, i) < 0)
            return err_sys(err, "set descriptor %d", i);
    }
    if (command->slave >= 0 && ioctl(0, TIOCSCTTY, 0) < 0)
        return err_sys(err, "take the pty as controlling terminal");
    return 0;
}

/* Magic links (/proc/self/fd/N, /proc/PID/cwd) could lead to a descriptor's directory: never a working directory.
 * Where openat2 is filtered away (core/setid), nothing below /proc will do at all. */
static int open_directory(const char *path)
{
    int dir = sys_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);
    if (dir >= 0 || errno != ENOSYS)
        return dir;
    errno = ELOOP;
    return strncmp(path, "/proc", 5) == 0 ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int enter_directory(const char *path, struct err *err)
{
    char now[4096];
    if (path[0] != '/')
        return err_set(err, EINVAL, "the working directory %s is not an absolute path", path);
    cleanup_fd int dir = open_directory(path);
    if (dir < 0 || fchdir(dir) < 0)
        return err_sys(err, "enter the working directory %s", path);
    if (!getcwd(now, sizeof now) || now[0] != '/')
        return err_set(err, ENOENT, "the working directory %s lies outside the sandbox's root", path);
    return 0;
}

static int prepare(const struct command *command, struct err *err)
{
    if (setsid() < 0)
        return err_sys(err, "start a session");
    if (set_stdio(command, err) < 0)
        return -1;
    if (enter_directory(command->cwd, err) < 0)
        return -1;
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return err_sys(err, "unblock signals");
    return command->leaf >= 0 ? seccomp_forbid_clone3(err) : 0;
}

static _Noreturn void fail(int socket, uint32_t id, int exit_code, const struct err *err)
{
    struct wire_failed failed = {.code = err->code, .exit_code = exit_code};
    strncpy(failed.text, err->text, sizeof failed.text - 1);
    wire_send(socket, WIRE_FAILED, id, &failed, sizeof failed, NULL, 0);
    _exit(exit_code);
}

static _Noreturn void execute(const struct command *command, int socket, uint32_t id)
{
    struct err err = {0};
    if (prepare(command, &err) < 0)
        fail(socket, id, 126, &err);
    environ = command->env;
    /* All but 0, 1, 2 closes with the exec, whatever flags a descriptor was made with. */
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    execvp(command->argv[0], command->argv);
    int code = errno == ENOENT ? 127 : 126;
    if (code == 127 && !strchr(command->argv[0], '/'))
        err_set(&err, ENOENT, "%s: no such program in the sandbox's PATH", command->argv[0]);
    else
        err_sys(&err, "%s in the sandbox", command->argv[0]);
    fail(socket, id, code, &err);
}

/* A copy of init, undumpable as init is: nobody in the sandbox can look into it (ptrace(2)). */
static _Noreturn void serve_files(const struct command *command, int socket, uint32_t id)
{
    struct err err = {0};
    if (prepare(command, &err) < 0)
        fail(socket, id, 126, &err);
    signal(SIGPIPE, SIG_DFL);
    close_range(3, ~0u, 0);
    int code = files_main(command->argv);
    _exit(fflush(stdout) == 0 ? code : 1);
}

/* vfork(2) into a control group. */
__attribute__((noinline)) static pid_t start_in_leaf(const struct command *command, int socket, uint32_t id,
                                                     pid_t *noted)
{
    const struct clone_args args = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)command->leaf};
    long pid = sys_vfork3(&args, sizeof args);
    if (pid == 0) {
        *noted = getpid();
        execute(command, socket, id);
    }
    if (pid >= 0)
        return (pid_t)pid;
    errno = (int)-pid;
    return -1;
}

/* vfork: the child borrows our memory until it executes or ends, and a copy of it would cost more than all that it
 * does. It never returns from this frame, and init's signals are blocked. */
__attribute__((noinline)) pid_t command_start(const struct command *command, int socket, uint32_t id, pid_t *noted)
{
    if (command->files) {
        pid_t server = command->leaf >= 0 ? sys_clone3(0, command->leaf, NULL) : fork();
        if (server == 0)
            serve_files(command, socket, id);
        return *noted = server;
    }
    pid_t pid = command->leaf >= 0 ? start_in_leaf(command, socket, id, noted) : vfork();
    if (pid == 0) {
        *noted = getpid();
        execute(command, socket, id);
    }
    return *noted = pid;
}
