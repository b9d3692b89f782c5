/* process - reaches for other processes.
 *
 *   process target PID       all ways to look into it, to signal it (signal 0) and to change it
 *   process range FIRST LAST signals (0) and opens every pid of a range; prints how many answered and which
 *   process daemons N        leaves N processes behind that are nobody's child and in sessions of their own
 *   process race SECONDS     looks into every new process of the sandbox, all the time; prints what it got hold of
 *   process killall          SIGKILL to every process that there is */
#include "answer.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void try_file(pid_t pid, const char *name, int flags)
{
    char path[64], label[96], link[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    snprintf(label, sizeof label, "%s:%s", flags == O_RDWR ? "open-rw" : "open", name);
    int fd = open(path, flags | O_NONBLOCK);
    answer(label, fd);
    close(fd);
    snprintf(label, sizeof label, "readlink:%s", name);
    if (flags == O_RDONLY) {
        ssize_t got = readlink(path, link, sizeof link);
        if (got >= 0 || errno != EINVAL)
            answer(label, got);
    }
}

static void try_memory(pid_t pid)
{
    char byte[8] = {0};
    struct iovec here = {byte, sizeof byte}, there = {(void *)0x400000, sizeof byte};
    answer("vm_readv", process_vm_readv(pid, &here, 1, &there, 1, 0));
    answer("vm_writev", process_vm_writev(pid, &here, 1, &there, 1, 0));
    answer("ptrace-seize", ptrace(PTRACE_SEIZE, pid, 0, 0));
    long attached = ptrace(PTRACE_ATTACH, pid, 0, 0);
    answer("ptrace-attach", attached);
    if (attached == 0) {
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
}

static void try_handles(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    answer("pidfd_open", fd);
    answer("pidfd_getfd", syscall(SYS_pidfd_getfd, fd, 3, 0));
    answer("pidfd_signal", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    answer("setns", setns(fd, CLONE_NEWNS | CLONE_NEWUSER));
    answer("process_madvise", syscall(SYS_process_madvise, fd, NULL, 0, 8, 0));
    answer("kcmp", syscall(SYS_kcmp, pid, getpid(), 0, 0, 0));
}

static void target(pid_t pid)
{
    static const char *const files[] = {"mem",
                                        "environ",
                                        "fd",
                                        "root",
                                        "cwd",
                                        "exe",
                                        "maps",
                                        "auxv",
                                        "fdinfo",
                                        "ns/mnt",
                                        "ns/user",
                                        "ns/net",
                                        "stack",
                                        "syscall",
                                        "map_files",
                                        "io",
                                        "root/etc/passwd",
                                        "cwd/etc/passwd",
                                        "fd/3"};
    answer("kill", kill(pid, 0));
    answer("tgkill", syscall(SYS_tgkill, pid, pid, 0));
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        try_file(pid, files[i], O_RDONLY);
    try_file(pid, "mem", O_RDWR);
    try_file(pid, "exe", O_RDWR);
    try_file(pid, "oom_score_adj", O_RDWR);
    try_file(pid, "uid_map", O_RDWR);
    try_memory(pid);
    try_handles(pid);
}

static void range(pid_t first, pid_t last)
{
    int reached = 0;
    for (pid_t pid = first; pid <= last; pid++) {
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (kill(pid, 0) == 0 || errno != ESRCH || fd >= 0 || syscall(SYS_tgkill, pid, pid, 0) == 0) {
            printf("reached %d\n", pid);
            reached++;
        }
        if (fd >= 0)
            close(fd);
    }
    printf("count %d\n", reached);
}

static void daemons(int count)
{
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            setsid();
            if (fork() != 0)
                _exit(0);
            setsid();
            signal(SIGTERM, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            for (int fd = 0; fd < 64; fd++)
                close(fd);
            for (;;)
                pause();
        }
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
    printf("started %d\n", count);
}

static int is_init_still(pid_t pid)
{
    char path[64], comm[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY);
    ssize_t got = fd >= 0 ? read(fd, comm, sizeof comm - 1) : 0;
    close(fd);
    return got > 0 && strncmp(comm, "moonbox-init", 12) == 0;
}

/* What a process that is still init's copy lets us open; printed as a breach. */
static int look(pid_t pid)
{
    static const char *const files[] = {"exe", "mem", "environ", "maps", "auxv", "root", "cwd"};
    char path[64], link[PATH_MAX];
    int seen = is_init_still(pid);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        int fd = open(path, O_RDONLY);
        if (fd >= 0 && is_init_still(pid))
            printf("breach %s\n", files[i]);
        if (fd >= 0)
            close(fd);
    }
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t got = readlink(path, link, sizeof link - 1);
    link[got > 0 ? got : 0] = '\0';
    if (strstr(link, "moonbox"))
        printf("breach exe:%s\n", link);
    for (int fd = 3; fd < 12; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        got = readlink(path, link, sizeof link - 1);
        link[got > 0 ? got : 0] = '\0';
        if (strncmp(link, "socket:", 7) == 0 || strncmp(link, "anon_inode:[signalfd]", 21) == 0)
            printf("breach fd%d:%s\n", fd, link);
    }
    return seen;
}

static void race(double seconds)
{
    struct timespec start, now;
    long windows = 0, processes = 0;
    pid_t self = getpid();
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        DIR *dir = opendir("/proc");
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            pid_t pid = atoi(entry->d_name);
            if (pid <= 1 || pid == self || pid == getppid())
                continue;
            processes++;
            windows += look(pid);
        }
        if (dir)
            closedir(dir);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) < seconds);
    printf("windows %ld\nprocesses %ld\n", windows, processes);
}

int main(int argc, char **argv)
{
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "target") == 0 && argc == 3)
        target(atoi(argv[2]));
    else if (strcmp(action, "range") == 0 && argc == 4)
        range(atoi(argv[2]), atoi(argv[3]));
    else if (strcmp(action, "daemons") == 0 && argc == 3)
        daemons(atoi(argv[2]));
    else if (strcmp(action, "race") == 0 && argc == 3)
        race(atof(argv[2]));
    else if (strcmp(action, "killall") == 0)
        kill(-1, SIGKILL);
    else
        return 64;
    return 0;
}
