/* stopwatch.c - times commands against each other: in each round, every command runs once, in the order given.
 *
 *   stopwatch ROUNDS COMMAND ARG... :: COMMAND ARG... [:: ...]
 *
 * Prints the median of each command's wall time in microseconds, from posix_spawn to the end of the wait, one a line.
 * stdin, stdout and stderr of the commands are /dev/null. A command that fails ends it with 1. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { MAX_COMMANDS = 8, WARM_UP = 3 };

extern char **environ;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double run(char **argv, const posix_spawn_file_actions_t *actions)
{
    pid_t pid;
    int status;
    double began = now_us();
    int failed = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ);
    if (failed) {
        fprintf(stderr, "stopwatch: %s: %s\n", argv[0], strerror(failed));
        exit(1);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    double took = now_us() - began;
    if (status != 0) {
        fprintf(stderr, "stopwatch: %s failed with status %d\n", argv[0], status);
        exit(1);
    }
    return took;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[1]) : 0, n = 0;
    char **commands[MAX_COMMANDS];
    if (rounds < 1) {
        fprintf(stderr, "usage: stopwatch ROUNDS COMMAND ARG... :: COMMAND ARG...\n");
        return 64;
    }
    for (int i = 2; i < argc && n < MAX_COMMANDS; n++) {
        commands[n] = argv + i;
        while (i < argc && strcmp(argv[i], "::") != 0)
            i++;
        if (i < argc)
            argv[i++] = NULL;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    double *times = calloc((size_t)rounds * (size_t)n, sizeof *times);
    if (!times)
        return 1;
    for (int round = -WARM_UP; round < rounds; round++)
        for (int i = 0; i < n; i++) {
            double took = run(commands[i], &actions);
            if (round >= 0)
                times[i * rounds + round] = took;
        }
    for (int i = 0; i < n; i++) {
        qsort(times + i * rounds, (size_t)rounds, sizeof *times, compare);
        printf("%.1f\n", times[i * rounds + rounds / 2]);
    }
    free(times);
    return 0;
}
