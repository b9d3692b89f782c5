#include "files.h"

#include "transfer.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char buffer[1 << 16];

/* Copies until the end, at most `most` bytes. */
static int copy(int in, int out, uint64_t most, struct err *err)
{
    for (uint64_t copied = 0;;) {
        ssize_t got = read(in, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "read");
        if (got == 0)
            return 0;
        copied += (uint64_t)got;
        if (copied > most)
            return err_set(err, EFBIG, "it is larger than %" PRIu64 " bytes", most);
        if (util_write_all(out, buffer, (size_t)got) < 0)
            return err_sys(err, "write");
    }
}

static int get(char *const *argv, struct err *err)
{
    struct stat st;
    uint64_t most = strtoull(argv[2], NULL, 10);
    cleanup_fd int fd = open(argv[1], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "open");
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, S_ISDIR(st.st_mode) ? "it is a directory" : "it is no file");
    return copy(fd, STDOUT_FILENO, most, err);
}

/* The directories above a path's last name. */
static int make_parents(const char *path, struct err *err)
{
    char text[PATH_MAX];
    if (util_copy(text, sizeof text, path) < 0)
        return err_sys(err, "make its directory");
    for (char *slash = strchr(text + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(text, 0755) < 0 && errno != EEXIST)
            return err_sys(err, "make the directory %s", text);
        *slash = '/';
    }
    return 0;
}

static int set(char *const *argv, struct err *err)
{
    char new[PATH_MAX];
    mode_t mode = (mode_t)strtoul(argv[2], NULL, 8) & 0777;
    if (make_parents(argv[1], err) < 0)
        return -1;
    if (snprintf(new, sizeof new, "%s.moonbox-%d", argv[1], (int)getpid()) >= (int)sizeof new)
        return err_set(err, ENAMETOOLONG, "its path is too long");
    cleanup_fd int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "make the file");
    int result = copy(STDIN_FILENO, fd, UINT64_MAX, err);
    if (result == 0 && (fchmod(fd, mode) < 0 || rename(new, argv[1]) < 0))
        result = err_sys(err, "make the file");
    if (result < 0)
        unlink(new);
    return result;
}

static char letter(mode_t mode)
{
    return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : 'o';
}

static int list(char *const *argv, struct err *err)
{
    cleanup_dir DIR *dir = opendir(argv[1]);
    if (!dir)
        return err_sys(err, "open");
    for (;;) {
        struct stat st;
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? err_sys(err, "read") : fflush(stdout) < 0 ? err_sys(err, "write") : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        printf("%c %o %jd %jd %s%c", letter(st.st_mode), (unsigned)(st.st_mode & 07777), (intmax_t)st.st_size,
               (intmax_t)st.st_mtim.tv_sec, entry->d_name, '\0');
    }
}

static int pack(char *const *argv, struct err *err)
{
    char path[PATH_MAX];
    size_t length = strlen(argv[1]);
    while (length > 1 && argv[1][length - 1] == '/')
        length--;
    snprintf(path, sizeof path, "%.*s", (int)length, argv[1]);
    char *slash = strrchr(path, '/');
    if (!slash[1])
        return err_set(err, EINVAL, "the root itself can't be copied; name what is needed in it");
    *slash = '\0';
    cleanup_fd int parent = open(*path ? path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return err_sys(err, "open %s", path);
    return transfer_pack(parent, slash + 1, STDOUT_FILENO, STDERR_FILENO, err);
}

static int unpack(char *const *argv, struct err *err)
{
    char name[256];
    const struct transfer_limits none = {0};
    cleanup_fd int parent = transfer_place(argv[1], argv[2], name, err);
    return parent < 0 ? -1 : transfer_unpack(STDIN_FILENO, parent, name, &none, err);
}

static const struct {
    const char *word;
    int arguments;
    int (*run)(char *const *argv, struct err *err);
} requests[] = {{"get", 2, get}, {"set", 2, set}, {"list", 1, list}, {"pack", 1, pack}, {"unpack", 2, unpack}};

int files_main(char *const *argv)
{
    struct err err = {0};
    int n = 0;
    while (argv[n + 1])
        n++;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        if (strcmp(argv[0], requests[i].word) != 0 || n != requests[i].arguments || n == 0 || argv[1][0] != '/')
            continue;
        if (requests[i].run(argv, &err) == 0)
            return 0;
        dprintf(STDERR_FILENO, "%s\n", err.text);
        return 1;
    }
    dprintf(STDERR_FILENO, "a request that makes no sense\n");
    return 2;
}
