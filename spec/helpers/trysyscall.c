/* trysyscall - makes system calls with bad arguments and prints what each answers.
 *
 *   trysyscall                      sweeps 0..600, "NUMBER ANSWER" a line
 *   trysyscall NUMBER [ARG...]      one call; prints ANSWER
 *   trysyscall int80                one call (getpid) by the 32-bit entry of x86
 *
 * ANSWER is an errno's name, "ok", "signal:NAME" or "blocked". Every call runs in a child of its own, which
 * an alarm ends; its arguments are pointers to nothing and numbers that fit nothing, so that a call which the
 * filter lets through fails in the kernel before it changes anything. Where -1 would mean something, fill()
 * has another value. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST = 600, BAD = -1, NO_SUCH_PROCESS = 0x7ffffff0 };

/* What the child leaves behind for its parent, in shared memory: not every call lets it use a pipe
 * afterwards. */
struct note {
    volatile int returned;
    volatile int error;
};

/* Arguments that can do nothing, for calls to which -1 means something. */
static void fill(long nr, long args[6])
{
    for (int i = 0; i < 6; i++)
        args[i] = BAD;
    if (nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill || nr == SYS_rt_sigqueueinfo ||
        nr == SYS_rt_tgsigqueueinfo) {
        args[0] = args[1] = NO_SUCH_PROCESS; /* -1 is every process */
    } else if (nr == SYS_clone) {
        memset(args, 0, 6 * sizeof args[0]);
        args[0] = SIGCHLD;
    } else if (nr == SYS_msgget) {
        args[1] = 0; /* all flags would make a queue */
    } else if (nr == SYS_vhangup) {
        setsid(); /* leaves no terminal to hang up */
    }
}

/* vfork(2) returns twice into one stack frame, which syscall(2) doesn't survive. */
static long call(long nr, const long args[6])
{
#ifdef SYS_vfork
    if (nr == SYS_vfork) {
        pid_t pid = vfork();
        if (pid == 0)
            _exit(0);
        return pid;
    }
#endif
    return syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static int makes_process(long nr)
{
#ifdef SYS_fork
    if (nr == SYS_fork)
        return 1;
#endif
    return nr == SYS_clone || nr == SYS_clone3;
}

/* Ends itself after the call; an alarm ends one that blocks. */
static void child(long nr, long args[6], int sweep, struct note *note)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (sweep)
        fill(nr, args);
    alarm(1);
    errno = 0;
    long result = call(nr, args);
    if (result == 0 && makes_process(nr))
        _exit(0);
    note->error = result == -1 ? errno : 0;
    note->returned = 1;
    _exit(0);
}

static void print_answer(const struct note *note, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("blocked\n");
    else if (WIFSIGNALED(status) && !note->returned)
        printf("signal:%s\n", sigabbrev_np(WTERMSIG(status)));
    else if (note->error)
        printf("%s\n", strerrorname_np(note->error) ? strerrorname_np(note->error) : "EOTHER");
    else
        printf("ok\n");
}

static int try(long nr, long args[6], int sweep, struct note *note)
{
    memset(note, 0, sizeof *note);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0)
        child(nr, args, sweep, note);
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    print_answer(note, status);
    return 0;
}

static int try_int80(struct note *note)
{
    memset(note, 0, sizeof *note);
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
#if defined(__x86_64__)
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "0"(20L) : "memory", "r8", "r9", "r10", "r11");
        note->error = result < 0 ? (int)-result : 0;
#else
        note->error = ENOSYS;
#endif
        note->returned = 1;
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    print_answer(note, status);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: trysyscall [int80 | NUMBER [ARG...]]\n");
    return 64;
}

int main(int argc, char **argv)
{
    long args[6] = {0};
    struct note *note = mmap(NULL, sizeof *note, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (note == MAP_FAILED || argc > 8)
        return usage();
    if (argc > 1 && strcmp(argv[1], "int80") == 0)
        return try_int80(note) ? 70 : 0;
    for (int i = 2; i < argc; i++)
        args[i - 2] = (long)strtoull(argv[i], NULL, 0);
    if (argc > 1)
        return try((long)strtoull(argv[1], NULL, 0), args, 0, note) ? 70 : 0;
    for (long nr = 0; nr <= LAST; nr++) {
        printf("%ld ", nr);
        if (try(nr, args, 1, note))
            return 70;
    }
    return 0;
}
