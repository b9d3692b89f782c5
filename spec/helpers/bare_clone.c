/* bare_clone.c - the floor that a sandbox is measured against: a child, with or without all namespaces, that executes
 * a program, and the wait for it. Nothing is mounted, mapped or filtered.
 *
 *   bare_clone (namespaces|plain) TIMES PROGRAM
 *
 * Prints the wall time of each start to end in microseconds, one a line. */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    const uint64_t all =
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (argc != 4) {
        fprintf(stderr, "usage: bare_clone (namespaces|plain) TIMES PROGRAM\n");
        return 64;
    }
    struct clone_args args = {.exit_signal = SIGCHLD, .flags = strcmp(argv[1], "namespaces") == 0 ? all : 0};
    char *command[] = {argv[3], NULL};
    for (int times = atoi(argv[2]); times > 0; times--) {
        int status = 0;
        double began = now_us();
        long pid = syscall(SYS_clone3, &args, sizeof args);
        if (pid == 0) {
            execv(command[0], command);
            _exit(127);
        }
        while (pid > 0 && waitpid((pid_t)pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (pid < 0 || status != 0) {
            fprintf(stderr, "bare_clone: %s\n", pid < 0 ? strerror(errno) : "the program failed");
            return 1;
        }
        printf("%.1f\n", now_us() - began);
    }
    return 0;
}
