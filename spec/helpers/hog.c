/* hog - takes all that it can get of one thing.
 *
 *   hog processes fork|vfork|thread MOST   starts children that stay; prints how many, and why no more
 *   hog bomb                               forks for ever, in every process
 *   hog memory KIND MB [STAY]              takes memory, by map, memfd, shm, pipe, socket, tables or sysv; prints how much
 *   hog spin THREADS SECONDS               computes in each thread
 *   hog work SECONDS                       computes, allocates and forks; prints how often
 *   hog exhaust KIND MOST [STAY]           makes descriptors, timers and the like; prints how many, and why no more
 *   hog fill KIND DIRECTORY MOST           makes files and the like, all in it, or as large as they may be; prints how many
 *                                          (of bytes: megabytes) and why no more
 *   hog favour                             asks for more than its share of the processors
 *   hog stay                               is there */
#include "answer.h"

#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { MB = 1 << 20, CHUNK = 4 * MB, STACK = 64 << 10 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void stay(void)
{
    for (;;)
        pause();
}

static void *stay_thread(void *unused)
{
    stay();
    return unused;
}

static int start(const char *kind)
{
    if (strcmp(kind, "thread") == 0) {
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, STACK);
        errno = pthread_create(&thread, &small, stay_thread, NULL);
        return errno ? -1 : 0;
    }
    pid_t pid = strcmp(kind, "vfork") == 0 ? vfork() : fork();
    if (pid == 0) {
        execl("/proc/self/exe", "hog", "stay", (char *)NULL);
        _exit(1);
    }
    return pid;
}

static void count(const char *kind, long most, int (*one)(const char *kind))
{
    long n = 0;
    errno = 0;
    while (n < most && one(kind) >= 0)
        n++;
    printf("%s %ld %s\n", kind, n, n < most ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

static void bomb(void)
{
    for (;;)
        fork();
}

static int take_pipe(void)
{
    int ends[2];
    static char bytes[MB];
    if (pipe(ends) < 0 || fcntl(ends[1], F_SETPIPE_SZ, MB) < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
        return -1;
    return write(ends[1], bytes, MB) > 0 ? 0 : -1;
}

/* About a megabyte in what nobody reads. */
static int take_sockets(void)
{
    static char bytes[64 << 10];
    int ends[2];
    for (int n = 0; n < 8; n++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
            return -1;
        while (write(ends[0], bytes, sizeof bytes) > 0)
            continue;
    }
    return 0;
}

/* A megabyte of page tables and about as much of pages: one page in each 2 MB. */
static int take_tables(void)
{
    char *at = mmap(NULL, 512ul * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    madvise(at, 512ul * MB, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < 256; i++)
        at[i * 2 * MB] = 1;
    return 0;
}

static int take_file(const char *kind)
{
    static char bytes[MB];
    static int fd = -1;
    memset(bytes, 1, sizeof bytes);
    if (fd < 0)
        fd = strcmp(kind, "memfd") == 0 ? memfd_create("hog", 0) : open("/dev/shm/hog", O_CREAT | O_RDWR, 0600);
    return write(fd, bytes, MB) == MB ? 0 : -1;
}

static int take_sysv(void)
{
    int id = shmget(IPC_PRIVATE, MB, IPC_CREAT | 0600);
    char *at = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    if (at == (char *)-1)
        return -1;
    memset(at, 1, MB);
    return 0;
}

static int take_map(void)
{
    char *at = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    memset(at, 1, MB);
    return 0;
}

static int take(const char *kind)
{
    if (strcmp(kind, "map") == 0)
        return take_map();
    if (strcmp(kind, "pipe") == 0)
        return take_pipe();
    if (strcmp(kind, "socket") == 0)
        return take_sockets();
    if (strcmp(kind, "tables") == 0)
        return take_tables();
    if (strcmp(kind, "sysv") == 0)
        return take_sysv();
    return take_file(kind);
}

static void *spin(void *till)
{
    for (volatile unsigned n = 0;; n++)
        if (n % 4096 == 0 && now() > *(double *)till)
            return NULL;
}

static void spin_all(long threads, double seconds)
{
    double till = now() + seconds;
    pthread_t *all = calloc((size_t)threads, sizeof *all);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&all[i], NULL, spin, &till) != 0)
            exit(1);
    for (long i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
}

/* What a compiler or a test run does a lot of. */
static void work(double seconds)
{
    double till = now() + seconds;
    long rounds = 0;
    while (now() < till) {
        for (volatile unsigned n = 0; n < 1000000; n++)
            continue;
        char *at = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        pid_t pid = at == MAP_FAILED ? -1 : fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            exit(1);
        memset(at, 1, CHUNK / 4);
        munmap(at, CHUNK);
        rounds++;
    }
    printf("rounds %ld\n", rounds);
}

static int make_timer(void)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    return timer_create(CLOCK_MONOTONIC, &event, &timer);
}

static int make_queue(void)
{
    static int n;
    char name[32];
    snprintf(name, sizeof name, "/hog%d", n++);
    int queue = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
    if (queue >= 0)
        mq_unlink(name); /* it is counted as long as it is open */
    return queue;
}

static int lock_page(void)
{
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? -1 : mlock(at, 4096);
}

static int add_key(void)
{
    static int n;
    char name[32];
    snprintf(name, sizeof name, "hog%d", n++);
    return syscall(SYS_add_key, "user", name, "x", 1, -2) < 0 ? -1 : 0;
}

static void hold_signals(void)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &held, NULL);
}

static int lock_file(void)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    return fd < 0 ? -1 : flock(fd, LOCK_SH);
}

/* Each of some files of this directory is watched by each of INSTANCES, as an instance has one watch a file. To end, each
 * waits for the kernel (fsnotify_wait_marks_destroyed), so there are few. */
static int watch(void)
{
    enum { INSTANCES = 32 };
    static int instances[INSTANCES], n;
    char name[32];
    int instance = n % INSTANCES;
    if (n < INSTANCES && (instances[instance] = inotify_init1(0)) < 0)
        return -1;
    snprintf(name, sizeof name, "hog-watched%d", n++ / INSTANCES);
    int fd = instance == 0 ? open(name, O_CREAT | O_WRONLY, 0600) : 0;
    if (instance == 0 && fd >= 0)
        close(fd);
    return fd < 0 ? -1 : inotify_add_watch(instances[instance], name, IN_MODIFY);
}

static int make_large_pipe(void)
{
    int ends[2];
    return pipe(ends) < 0 ? -1 : fcntl(ends[1], F_SETPIPE_SZ, MB);
}

static int exhaust(const char *kind)
{
    if (strcmp(kind, "flocks") == 0)
        return lock_file();
    if (strcmp(kind, "fds") == 0)
        return open("/dev/null", O_RDONLY);
    if (strcmp(kind, "epoll") == 0)
        return epoll_create1(0);
    if (strcmp(kind, "inotify") == 0)
        return inotify_init1(0);
    if (strcmp(kind, "watches") == 0)
        return watch();
    if (strcmp(kind, "pipes") == 0)
        return make_large_pipe();
    if (strcmp(kind, "pty") == 0)
        return posix_openpt(O_RDWR | O_NOCTTY);
    if (strcmp(kind, "signals") == 0)
        return sigqueue(getpid(), SIGRTMIN, (union sigval){0});
    if (strcmp(kind, "timers") == 0)
        return make_timer();
    if (strcmp(kind, "queues") == 0)
        return make_queue();
    if (strcmp(kind, "locked") == 0)
        return lock_page();
    return add_key();
}

static const char *fill_directory;
static long filled;

static const char *next_name(void)
{
    static char name[512];
    snprintf(name, sizeof name, "%s/hog%ld", fill_directory, filled++);
    return name;
}

static int write_megabyte(void)
{
    static char bytes[MB];
    static int fd = -1;
    if (fd < 0)
        fd = open(next_name(), O_CREAT | O_WRONLY, 0600);
    ssize_t wrote = write(fd, bytes, MB);
    /* What did not fit says why when it is tried again. */
    return wrote == MB || (wrote > 0 && write(fd, bytes, (size_t)(MB - wrote)) == MB - wrote) ? 0 : -1;
}

/* A file of a page at the end of a large hole. */
static int write_sparse(void)
{
    static char page[4096];
    int fd = open(next_name(), O_CREAT | O_WRONLY, 0600);
    int result = fd >= 0 && pwrite(fd, page, sizeof page, MB * 16l) == sizeof page ? 0 : -1, failed = errno;
    if (fd >= 0)
        close(fd);
    errno = failed;
    return result;
}

static int reserve(void)
{
    int fd = open(next_name(), O_CREAT | O_WRONLY, 0600);
    int result = fd < 0 ? -1 : fallocate(fd, 0, 0, MB), failed = errno;
    if (fd >= 0)
        close(fd);
    errno = failed;
    return result;
}

static int make_file(void)
{
    int fd = open(next_name(), O_CREAT | O_EXCL | O_WRONLY, 0600);
    return fd < 0 ? -1 : close(fd);
}

static int make_link(void)
{
    static char first[512];
    if (!*first)
        snprintf(first, sizeof first, "%s", next_name());
    int fd = filled == 1 ? open(first, O_CREAT | O_WRONLY, 0600) : -1;
    if (fd >= 0)
        close(fd);
    return link(first, next_name());
}

/* Large enough to take space of its own beside the inode. */
static int set_attribute(void)
{
    static char value[2000];
    const char *name = next_name();
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    int result = fd < 0 ? -1 : fsetxattr(fd, "user.hog", value, sizeof value, 0), failed = errno;
    if (fd >= 0)
        close(fd);
    errno = failed;
    return result;
}

static int fill(const char *kind)
{
    if (strcmp(kind, "bytes") == 0)
        return write_megabyte();
    if (strcmp(kind, "sparse") == 0)
        return write_sparse();
    if (strcmp(kind, "reserved") == 0)
        return reserve();
    if (strcmp(kind, "symlinks") == 0)
        return symlink("/a/target/that/is/longer/than/what/fits/into/an/inode/of/sixty/bytes", next_name());
    if (strcmp(kind, "links") == 0)
        return make_link();
    if (strcmp(kind, "attributes") == 0)
        return set_attribute();
    if (strcmp(kind, "directories") == 0)
        return mkdir(next_name(), 0700);
    return make_file();
}

static void favour(void)
{
    struct sched_param first = {.sched_priority = 1};
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } deadline = {48, 6, 0, 0, 0, 1000000, 10000000, 10000000}; /* SCHED_DEADLINE, sched_setattr(2) */
    answer("fifo", sched_setscheduler(0, SCHED_FIFO, &first));
    answer("rr", sched_setscheduler(0, SCHED_RR, &first));
    answer("deadline", syscall(SYS_sched_setattr, 0, &deadline, 0));
    answer("nice", setpriority(PRIO_PROCESS, 0, -1));
    answer("ioprio", syscall(SYS_ioprio_set, 1, 0, 1 << 13)); /* IOPRIO_CLASS_RT, ioprio_set(2) */
}

int main(int argc, char **argv)
{
    const char *action = argc > 1 ? argv[1] : "", *kind = argc > 2 ? argv[2] : "";
    long most = argc > 3 ? atol(argv[3]) : 0;
    unsigned stay_seconds = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
    if (strcmp(action, "processes") == 0) {
        count(kind, most, start);
    } else if (strcmp(action, "bomb") == 0) {
        bomb();
    } else if (strcmp(action, "memory") == 0) {
        count(kind, most, take);
        sleep(stay_seconds);
    } else if (strcmp(action, "spin") == 0) {
        spin_all(atol(kind), (double)most);
    } else if (strcmp(action, "work") == 0) {
        work(atof(kind));
    } else if (strcmp(action, "exhaust") == 0) {
        hold_signals();
        count(kind, most, exhaust);
        sleep(stay_seconds);
    } else if (strcmp(action, "fill") == 0 && argc > 4) {
        fill_directory = argv[3];
        count(kind, atol(argv[4]), fill);
    } else if (strcmp(action, "favour") == 0) {
        favour();
    } else if (strcmp(action, "stay") == 0) {
        stay();
    } else {
        return 64;
    }
    return 0;
}
