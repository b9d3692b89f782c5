/* filtered - runs a command under a system call profile and nothing else of a sandbox, to test the filters
 * alone.
 *
 *   filtered PROFILE COMMAND [ARG...]
 *   filtered PROFILE --time          prints the microseconds that installing the filters took */
#include "../../core/seccomp.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static double microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    struct err err;
    int profile = argc > 2 ? seccomp_find_profile(argv[1], &err) : err_set(&err, 0, "usage: filtered PROFILE COMMAND");
    if (profile < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        fprintf(stderr, "filtered: %s\n", err.text);
        return 64;
    }
    double start = microseconds();
    if (seccomp_install((enum seccomp_profile)profile, SECCOMP_ALL, &err) < 0) {
        fprintf(stderr, "filtered: %s\n", err.text);
        return 69;
    }
    if (strcmp(argv[2], "--time") == 0) {
        printf("%.1f\n", microseconds() - start);
        return 0;
    }
    execvp(argv[2], argv + 2);
    perror("filtered");
    return 127;
}
