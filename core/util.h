/* util.h - ownership by declaration: `cleanup_fd int fd = -1;` closes itself on every way out, and
 * `return steal_fd(&fd);` hands it to the caller. */
#ifndef MOONBOX_UTIL_H
#define MOONBOX_UTIL_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Closes *fd when it is open, keeping errno. */
void util_close(int *fd);
void util_free(void *pointer_to_pointer);
void util_closedir(DIR **dir);

#define cleanup_fd __attribute__((cleanup(util_close)))
#define cleanup_free __attribute__((cleanup(util_free)))
#define cleanup_dir __attribute__((cleanup(util_closedir)))

/* Takes the descriptor out of *fd, which no longer owns it. */
static inline int steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* Takes the pointer out of *p, which no longer owns it. */
#define steal_ptr(p)                                                                                                   \
    ({                                                                                                                 \
        __typeof__(*(p)) taken_ = *(p);                                                                                \
        *(p) = NULL;                                                                                                   \
        taken_;                                                                                                        \
    })

/* Seconds of CLOCK_MONOTONIC, which no clock change moves. */
double util_monotonic(void);

/* Writes all bytes, through EINTR and short writes. 0, or -1 with errno set. */
int util_write_all(int fd, const void *bytes, size_t count);

/* Writes a short text to a file that exists, such as one below /proc or a cgroup. 0, or -1 with errno set. */
int util_write_file(int dirfd, const char *path, const char *text);

/* Reads at most size-1 bytes of a small file and terminates them. Returns their number, or -1 with errno set. */
ssize_t util_read_file(int dirfd, const char *path, char *buffer, size_t size);

/* Closes every descriptor from `first` on but those `n`, which become first, first+1, … in their order;
 * the new numbers are written back. 0, or -1 with errno set. */
int util_keep_fds(int *fds, int n, int first);

/* FNV-1a, 64 bits: names things and notices accidents; it is no defence against anybody. */
uint64_t util_hash(const void *bytes, size_t count);

/* Copies a string, refusing to cut it. 0, or -1 with errno = ENAMETOOLONG. */
int util_copy(char *to, size_t size, const char *from);

#endif
