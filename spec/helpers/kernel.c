/* kernel - asks the kernel for what a sandbox must not get, and for what it must.
 *
 *   kernel namespaces     unshare, clone and setns with each CLONE_NEW flag, and with high bits set
 *   kernel threads        pthread_create, posix_spawn, vfork, fork
 *   kernel sockets        socket() with families 0..45, types and protocols; prints what is allowed: "F:T:P ok"
 *   kernel socketpairs    the same with socketpair()
 *   kernel tty            ioctls on the terminal that is stdin, plain and with high bits
 *   kernel keys           the keyrings
 *   kernel ulp            setsockopt(TCP_ULP) */
#include "answer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const struct {
    const char *name;
    unsigned long flag;
} spaces[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
              {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", 0x00000080}};

static void try_in_child(const char *prefix, const char *name, long nr, unsigned long a, unsigned long b)
{
    char label[64];
    snprintf(label, sizeof label, "%s:%s", prefix, name);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        long result = syscall(nr, a, b, 0, 0, 0);
        if (nr == SYS_clone && result == 0)
            _exit(0);
        answer(label, result);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void namespaces(void)
{
    char path[64];
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        try_in_child("unshare", spaces[i].name, SYS_unshare, spaces[i].flag, 0);
        try_in_child("unshare-high", spaces[i].name, SYS_unshare, spaces[i].flag | 1ul << 40, 0);
        if (spaces[i].flag != 0x80) {
            try_in_child("clone", spaces[i].name, SYS_clone, spaces[i].flag | SIGCHLD, 0);
            try_in_child("clone-high", spaces[i].name, SYS_clone, spaces[i].flag | SIGCHLD | 1ul << 40, 0);
            try_in_child("clone-vm", spaces[i].name, SYS_clone, spaces[i].flag | SIGCHLD | CLONE_FILES, 0);
        }
        snprintf(path, sizeof path, "/proc/self/ns/%s", spaces[i].name);
        try_in_child("setns", spaces[i].name, SYS_setns, (unsigned long)open(path, O_RDONLY), 0);
    }
    unsigned long clone3[11] = {0};
    answer("clone3", syscall(SYS_clone3, clone3, 0));
    clone3[0] = CLONE_NEWUSER;
    answer("clone3:user", syscall(SYS_clone3, clone3, 64) > 0 ? 0 : -1);
}

static void *thread(void *arg)
{
    *(int *)arg = 1;
    return NULL;
}

static void threads(void)
{
    pthread_t id;
    int ran = 0;
    pid_t pid;
    char name[] = "true", *argv[] = {name, NULL};
    errno = pthread_create(&id, NULL, thread, &ran);
    answer("pthread_create", errno ? -1 : 0);
    pthread_join(id, NULL);
    answer("pthread_ran", ran ? 0 : -1);
    errno = posix_spawnp(&pid, "true", NULL, NULL, argv, environ);
    answer("posix_spawn", errno ? -1 : 0);
    waitpid(pid, NULL, 0);
    pid = vfork();
    if (pid == 0)
        _exit(0);
    answer("vfork", pid);
    waitpid(pid, NULL, 0);
    answer("system", system("true") == 0 ? 0 : -1);
}

static int is_default(int type, int protocol)
{
    return type == SOCK_STREAM && protocol == 0;
}

static void sockets(int pair)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET};
    static const int protocols[] = {0,  1,  2,  3,  4,  6,  9,   12,  15,  16,  17,  33,  41, 47,
                                    50, 51, 58, 88, 89, 92, 103, 132, 136, 143, 255, 256, 262};
    for (int family = 0; family <= 45; family++)
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
            for (size_t p = 0; p < sizeof protocols / sizeof protocols[0]; p++) {
                int fds[2] = {-1, -1};
                int result =
                    pair ? socketpair(family, types[t], protocols[p], fds) : socket(family, types[t], protocols[p]);
                if (result >= 0 || is_default(types[t], protocols[p]) || errno == EPERM || errno == EACCES)
                    printf("%d:%d:%d %s\n", family, types[t], protocols[p], answer_text(result));
                close(pair ? fds[0] : result);
                close(fds[1]);
            }
}

static void tty(void)
{
    char byte = 'X';
    int line = 0;
    char paste[] = {11, 0};
    static const unsigned long high[] = {0, 1ul << 32, 0xfffffffful << 32};
    char name[64];
    for (size_t i = 0; i < sizeof high / sizeof high[0]; i++) {
        static const char *const names[] = {"TIOCSTI", "TIOCLINUX", "TIOCSETD", "FIFREEZE", "FITRIM"};
        static const unsigned long requests[] = {0x5412, 0x541c, 0x5423, 0xc0045877, 0xc0185879};
        void *args[] = {&byte, paste, &line, NULL, NULL};
        for (size_t r = 0; r < sizeof requests / sizeof requests[0]; r++) {
            snprintf(name, sizeof name, "%s:%zu", names[r], i);
            answer(name, syscall(SYS_ioctl, 0, requests[r] | high[i], args[r]));
        }
    }
    answer("TIOCSCTTY", ioctl(0, 0x540e, 1));
}

static void keys(void)
{
    answer("add_key", syscall(SYS_add_key, "user", "moonbox-spec", "x", 1, -3));
    answer("request_key", syscall(SYS_request_key, "user", "moonbox-spec", NULL, -3));
    static const int rings[] = {-1, -2, -3, -4, -5, -7};
    char name[32];
    for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++) {
        snprintf(name, sizeof name, "describe:%d", rings[i]);
        answer(name, syscall(SYS_keyctl, 6, rings[i], NULL, 0));
    }
    answer("persistent", syscall(SYS_keyctl, 22, -1, -3));
    answer("join", syscall(SYS_keyctl, 1, NULL));
}

static void ulp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    answer("ulp", setsockopt(fd, IPPROTO_TCP, 31, "tls", 3));
    answer("ulp-high", syscall(SYS_setsockopt, fd, IPPROTO_TCP | 1l << 32, 31 | 1l << 32, "tls", 3));
    int one = 1;
    answer("nodelay", setsockopt(fd, IPPROTO_TCP, 1, &one, sizeof one));
}

int main(int argc, char **argv)
{
    const char *action = argc > 1 ? argv[1] : "";
    if (strcmp(action, "namespaces") == 0)
        namespaces();
    else if (strcmp(action, "threads") == 0)
        threads();
    else if (strcmp(action, "sockets") == 0)
        sockets(0);
    else if (strcmp(action, "socketpairs") == 0)
        sockets(1);
    else if (strcmp(action, "tty") == 0)
        tty();
    else if (strcmp(action, "keys") == 0)
        keys();
    else if (strcmp(action, "ulp") == 0)
        ulp();
    else
        return 64;
    return 0;
}
