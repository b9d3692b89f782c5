#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

void util_close(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    close(*fd);
    *fd = -1;
    errno = saved;
}

void util_free(void *pointer_to_pointer)
{
    void **pointer = pointer_to_pointer;
    free(*pointer);
    *pointer = NULL;
}

void util_closedir(DIR **dir)
{
    int saved = errno;
    if (*dir)
        closedir(*dir);
    *dir = NULL;
    errno = saved;
}

double util_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int util_write_all(int fd, const void *bytes, size_t count)
{
    const char *next = bytes;
    while (count > 0) {
        ssize_t wrote = write(fd, next, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        next += wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

int util_write_file(int dirfd, const char *path, const char *text)
{
    cleanup_fd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return util_write_all(fd, text, strlen(text));
}

ssize_t util_read_file(int dirfd, const char *path, char *buffer, size_t size)
{
    cleanup_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t used = 0;
    while (used < size - 1) {
        ssize_t got = read(fd, buffer + used, size - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    buffer[used] = '\0';
    return (ssize_t)used;
}

int util_keep_fds(int *fds, int n, int first)
{
    /* Out of the way first, so that no target number is still in use as a source. */
    for (int i = 0; i < n; i++)
        if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, first + n)) < 0)
            return -1;
    for (int i = 0; i < n; i++) {
        if (dup3(fds[i], first + i, O_CLOEXEC) < 0)
            return -1;
        fds[i] = first + i;
    }
    return close_range((unsigned)(first + n), ~0u, 0);
}

int util_copy(char *to, size_t size, const char *from)
{
    size_t need = strlen(from) + 1;
    if (need > size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(to, from, need);
    return 0;
}

uint64_t util_hash(const void *bytes, size_t count)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
    return hash;
}
