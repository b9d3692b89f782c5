/* tenant - a hostile one.
 *
 *   tenant prlimit PID      lowers every limit of a process to nothing, and its priority and processors
 *   tenant stopper SECONDS  SIGSTOPs every new process as soon as its number can be there
 *   tenant slow             asks for what makes the kernel wait in the middle of a call */
#include "answer.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void lower_limits(pid_t pid)
{
    char name[32];
    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        struct rlimit up = {RLIM_INFINITY, RLIM_INFINITY}, none = {0, 0};
        snprintf(name, sizeof name, "raise:%d", resource);
        answer(name, prlimit(pid, resource, &up, NULL));
        snprintf(name, sizeof name, "lower:%d", resource);
        answer(name, prlimit(pid, resource, &none, NULL));
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    answer("affinity", sched_setaffinity(pid, sizeof one, &one));
    answer("nice", setpriority(PRIO_PROCESS, (id_t)pid, 19));
    struct sched_param idle = {0};
    answer("idle", sched_setscheduler(pid, SCHED_IDLE, &idle));
}

/* Numbers are given out in order, so the next few are the ones that come. */
static void stop_new(double seconds)
{
    struct timespec start, now;
    pid_t self = getpid(), next = self + 1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (pid_t pid = next; pid < next + 8; pid++)
            if (kill(pid, SIGSTOP) == 0)
                next = pid + 1;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) < seconds);
}

static void slow(void)
{
    answer("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC));
    answer("userfaultfd-user", syscall(SYS_userfaultfd, O_CLOEXEC | 1));
    answer("fuse", open("/dev/fuse", O_RDWR));
    answer("userfaultfd-device", open("/dev/userfaultfd", O_RDWR));
}

int main(int argc, char **argv)
{
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "prlimit") == 0 && argc == 3)
        lower_limits(atoi(argv[2]));
    else if (strcmp(action, "stopper") == 0 && argc == 3)
        stop_new(atof(argv[2]));
    else if (strcmp(action, "slow") == 0)
        slow();
    else
        return 64;
    return 0;
}
