#include "command_log.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>

/* Bytes of output in one record; of arguments that are told. */
enum { MOST_PIECE = 8 << 10, MOST_ARGUMENTS = 4096, LINE = 96 };

struct command_log {
    int dir, head, tail[2]; /* the head is held by a lock */
    int fd;                 /* the one of them that is written to */
    unsigned slot, tails;   /* tails begun so far */
    uint64_t number, output, mark;
    size_t used; /* bytes of fd */
    bool broken;
};

static size_t room_of(const struct command_log *log)
{
    return log->tails == 0 ? COMMAND_LOG_HEAD : COMMAND_LOG_TAIL;
}

/* What a reader knows a record by comes last. Where there is no room for one, those before it are whole, and a later one,
 * for which there is again, tells how much is missing. 0, or -1 with errno. */
static int put(struct command_log *log, char kind, uint64_t number, const char *bytes, size_t length)
{
    char line[LINE];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int n = snprintf(line, sizeof line, "%c %016llx %llu %lld.%06ld %zu\n", kind, (unsigned long long)log->mark,
                     (unsigned long long)number, (long long)now.tv_sec, now.tv_nsec / 1000, length);
    const struct iovec rest[] = {{(void *)(uintptr_t)bytes, length}, {(char[]){'\n'}, 1}};
    errno = ENOSPC; /* of a short write */
    if (pwritev(log->fd, rest, ARRAY_LEN(rest), (off_t)log->used + n) != (ssize_t)length + 1)
        return -1;
    ssize_t wrote = pwrite(log->fd, line, (size_t)n, (off_t)log->used);
    log->broken = wrote > 0 && wrote < n;
    if (wrote != n)
        return -1;
    log->used += (size_t)n + length + 1;
    return 0;
}

/* What an earlier command left in it stays, until it is written over: to make a file, or to empty one, costs more than a
 * short command (for the latter see auto_da_alloc, ext4(5)). */
static int open_in(const struct command_log *log, const char *ending)
{
    char name[24];
    snprintf(name, sizeof name, "%03u%s", log->slot, ending);
    return openat(log->dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* The counter is shared memory: a client that is stopped holds nobody up. */
static int next_number(struct command_log *log)
{
    cleanup_fd int fd = openat(log->dir, "count", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    uint64_t *count = MAP_FAILED;
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (size >= (off_t)sizeof *count)
        count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (count == MAP_FAILED)
        return -1;
    log->number = __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
    munmap(count, sizeof *count);
    return 0;
}

static int take_slot(struct command_log *log)
{
    for (int i = 0; i < COMMAND_LOG_SLOTS; i++) {
        if (next_number(log) < 0)
            return -1;
        log->slot = (unsigned)(log->number % COMMAND_LOG_SLOTS);
        log->fd = log->head = open_in(log, "");
        if (log->fd < 0 || flock(log->fd, LOCK_EX | LOCK_NB) == 0)
            return log->fd < 0 ? -1 : 0;
        util_close(&log->head);
    }
    errno = EBUSY;
    return -1;
}

static int put_command(struct command_log *log, const char *const *argv)
{
    char text[MOST_ARGUMENTS];
    size_t used = 0;
    for (; *argv && used < sizeof text; argv++) {
        size_t length = strlen(*argv) + 1, room = sizeof text - used;
        memcpy(text + used, *argv, length < room ? length : room);
        used += length < room ? length : room;
    }
    return put(log, 'C', log->number, text, used);
}

struct command_log *command_log_open(const char *folder, const char *const *argv, struct err *err)
{
    struct command_log *log = calloc(1, sizeof *log);
    if (!log) {
        err_sys(err, "keep the log of a command");
        return NULL;
    }
    log->fd = log->head = log->tail[0] = log->tail[1] = -1;
    log->dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (log->dir < 0 || getrandom(&log->mark, sizeof log->mark, 0) != sizeof log->mark || take_slot(log) < 0 ||
        put_command(log, argv) < 0) {
        err_sys(err, "keep the log of a command in %s", folder);
        command_log_close(log);
        return NULL;
    }
    return log;
}

/* Of the two tails the older one is overwritten. */
static void next_tail(struct command_log *log)
{
    unsigned which = log->tails++ % 2;
    if (log->tail[which] < 0)
        log->tail[which] = open_in(log, which == 0 ? ".a" : ".b");
    log->fd = log->tail[which];
    log->used = 0;
    log->broken = log->fd < 0;
}

void command_log_output(struct command_log *log, int stream, const char *bytes, size_t length)
{
    while (log && !log->broken && length > 0) {
        size_t piece = length < MOST_PIECE ? length : MOST_PIECE;
        if (log->used + LINE + piece > room_of(log))
            next_tail(log);
        if (log->broken)
            return;
        (void)put(log, stream == 1 ? '1' : '2', log->output, bytes, piece);
        log->output += piece;
        bytes += piece;
        length -= piece;
    }
}

void command_log_end(struct command_log *log, const struct command_log_end *end)
{
    char text[1200];
    if (!log || log->broken)
        return;
    int n = snprintf(text, sizeof text, "%d %d %d %s", end->code, end->signal, end->overran, end->sentence);
    (void)put(log, 'E', log->output, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void command_log_close(struct command_log *log)
{
    if (!log)
        return;
    util_close(&log->tail[0]);
    util_close(&log->tail[1]);
    util_close(&log->head);
    util_close(&log->dir);
    free(log);
}
