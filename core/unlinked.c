#include "unlinked.h"

#include "util.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_MOUNTS = 16 };

struct file {
    uint64_t device, inode, bytes;
};

enum place { UNKNOWN, OUTSIDE, INSIDE };

struct process {
    pid_t pid, parent;
    enum place place;
};

struct walk {
    double deadline;
    const struct plan *plan;
    uint64_t mounts[MOST_MOUNTS]; /* of the process that is looked at */
    size_t n_mounts;
    struct file *files;
    size_t n, room;
    bool partial;
};

static bool out_of_time(struct walk *walk)
{
    walk->partial = walk->partial || util_monotonic() >= walk->deadline;
    return walk->partial;
}

static void *make_room(void *array, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return array;
    size_t wanted = *room ? *room * 2 : 64;
    void *grown = realloc(array, wanted * size);
    if (grown)
        *room = wanted;
    return grown;
}

static void add_file(struct walk *walk, const struct statx *st)
{
    struct file *grown = make_room(walk->files, walk->n, &walk->room, sizeof *grown);
    if (!grown) {
        walk->partial = true;
        return;
    }
    walk->files = grown;
    uint64_t device = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
    walk->files[walk->n++] = (struct file){device, st->stx_ino, st->stx_blocks * 512};
}

static bool is_ours(const struct walk *walk, const struct statx *st)
{
    if (!S_ISREG(st->stx_mode) || st->stx_nlink > 0)
        return false;
    for (size_t i = 0; i < walk->n_mounts; i++)
        if (walk->mounts[i] == st->stx_mnt_id)
            return true;
    return false;
}

/* A mount is the same for all of them, but only from inside can it be named. */
static void find_mounts(struct walk *walk, int process)
{
    walk->n_mounts = 0;
    for (size_t i = 0; i < walk->plan->n_mounts && walk->n_mounts < MOST_MOUNTS; i++) {
        char path[PATH_MAX];
        struct statx st;
        if (walk->plan->mounts[i].kind == MOUNT_WRITABLE &&
            snprintf(path, sizeof path, "root%s", walk->plan->mounts[i].target) < (int)sizeof path &&
            statx(process, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0)
            walk->mounts[walk->n_mounts++] = st.stx_mnt_id;
    }
}

static DIR *open_below(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

/* A thread may have a table of descriptors of its own (clone(2), CLONE_FILES). */
static void look_at_thread(struct walk *walk, int threads, const char *thread)
{
    char path[NAME_MAX + 8];
    snprintf(path, sizeof path, "%s/fd", thread);
    cleanup_dir DIR *dir = open_below(threads, path);
    for (struct dirent *entry; dir && (entry = readdir(dir)) && !out_of_time(walk);) {
        struct statx st;
        if (entry->d_name[0] != '.' &&
            statx(dirfd(dir), entry->d_name, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID,
                  &st) == 0 &&
            is_ours(walk, &st))
            add_file(walk, &st);
    }
}

static void look_at_process(struct walk *walk, pid_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    cleanup_fd int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return;
    find_mounts(walk, process);
    cleanup_dir DIR *threads = walk->n_mounts > 0 ? open_below(process, "task") : NULL;
    for (struct dirent *entry; threads && (entry = readdir(threads)) && !out_of_time(walk);)
        if (entry->d_name[0] != '.')
            look_at_thread(walk, dirfd(threads), entry->d_name);
}

static pid_t parent_of(int proc, const char *pid)
{
    char path[NAME_MAX + 8], text[512];
    int parent;
    snprintf(path, sizeof path, "%s/stat", pid);
    if (util_read_file(proc, path, text, sizeof text) <= 0)
        return 0;
    const char *end = strrchr(text, ')'); /* the name before it is the tenant's choice */
    return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

static size_t list_processes(struct walk *walk, struct process **list)
{
    size_t n = 0, room = 0;
    cleanup_dir DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc)) && !out_of_time(walk);) {
        pid_t parent = entry->d_name[0] > '0' && entry->d_name[0] <= '9' ? parent_of(dirfd(proc), entry->d_name) : 0;
        struct process *grown = parent > 0 ? make_room(*list, n, &room, sizeof *grown) : NULL;
        if (!grown)
            continue;
        *list = grown;
        grown[n++] = (struct process){.pid = atoi(entry->d_name), .parent = parent};
    }
    return n;
}

static int by_pid(const void *a, const void *b)
{
    const struct process *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static struct process *find(struct process *list, size_t n, pid_t pid)
{
    const struct process key = {.pid = pid};
    return bsearch(&key, list, n, sizeof *list, by_pid);
}

/* Whether init is above the process, by way of processes that are not settled yet. What is passed counts as outside until
 * it is known: pids that were reused meanwhile could make a circle. */
static bool leads_to(struct process *list, size_t n, struct process *process, pid_t init)
{
    while (process && process->place == UNKNOWN) {
        if (process->parent == init)
            return true;
        process->place = OUTSIDE;
        process = find(list, n, process->parent);
    }
    return process && process->place == INSIDE;
}

/* Orphans become children of init, so all of the sandbox are below it. Each process is passed twice at most, whatever
 * shape a tenant gives the tree. */
static void settle(struct process *list, size_t n, pid_t init)
{
    if (n > 0)
        qsort(list, n, sizeof *list, by_pid);
    for (size_t i = 0; i < n; i++) {
        if (list[i].place != UNKNOWN || !leads_to(list, n, &list[i], init))
            continue;
        struct process *p = &list[i];
        while (p && p->place != INSIDE) {
            p->place = INSIDE;
            p = p->parent == init ? NULL : find(list, n, p->parent);
        }
    }
}

static int by_identity(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void add_up(struct walk *walk, struct unlinked_usage *usage)
{
    if (walk->n > 0)
        qsort(walk->files, walk->n, sizeof *walk->files, by_identity);
    for (size_t i = 0; i < walk->n; i++) {
        if (i > 0 && by_identity(&walk->files[i - 1], &walk->files[i]) == 0)
            continue;
        usage->bytes += walk->files[i].bytes;
        usage->files++;
    }
}

void unlinked_measure(pid_t init, const struct plan *plan, double seconds, struct unlinked_usage *usage)
{
    struct walk walk = {.deadline = util_monotonic() + seconds, .plan = plan};
    cleanup_free struct process *list = NULL;
    *usage = (struct unlinked_usage){0};
    size_t n = list_processes(&walk, &list);
    settle(list, n, init);
    for (size_t i = 0; i < n && !out_of_time(&walk); i++)
        if (list[i].place == INSIDE)
            look_at_process(&walk, list[i].pid);
    add_up(&walk, usage);
    usage->partial = walk.partial;
    free(walk.files);
}
