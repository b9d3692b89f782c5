#include "transfer.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A stream is entries: a head, the name, and what the kind has.  A file has pieces, of which one of no length is the last
 * and one with the top bit set is a hole; a link has its text; a directory has entries, and UP at its end. */
enum kind { KIND_FILE = 'f', KIND_DIRECTORY = 'd', KIND_LINK = 'l', KIND_UP = 'u' };

struct head {
    uint64_t size; /* of a link's text */
    int64_t changed;
    uint32_t mode;
    uint16_t name;
    uint8_t kind, zero;
};

#define HOLE (UINT64_C(1) << 63)

/* Each level is a descriptor: fewer than a process may have. */
enum { DEPTH = 200, PIECE = 1 << 16, TEMPORARY = 40 };

static char piece[PIECE];

/* ---- out ---- */

struct pack {
    int out, notices, depth;
};

static int give(const struct pack *pack, const void *bytes, size_t length, struct err *err)
{
    return util_write_all(pack->out, bytes, length) < 0 ? err_sys(err, "write") : 0;
}

static int give_head(const struct pack *pack, enum kind kind, const char *name, const struct stat *st, size_t size,
                     struct err *err)
{
    struct head head = {.size = size,
                        .changed = st->st_mtim.tv_sec,
                        .mode = st->st_mode & 0777,
                        .name = (uint16_t)strlen(name),
                        .kind = (uint8_t)kind};
    if (give(pack, &head, sizeof head, err) < 0)
        return -1;
    return give(pack, name, head.name, err);
}

static int give_piece(const struct pack *pack, uint64_t length, const void *bytes, struct err *err)
{
    if (give(pack, &length, sizeof length, err) < 0)
        return -1;
    return length & HOLE ? 0 : give(pack, bytes, length, err);
}

/* From `at` on, until a hole or the end. Returns where that is, or -1. */
static off_t give_data(const struct pack *pack, int fd, off_t at, off_t until, struct err *err)
{
    while (at < until) {
        size_t want = until - at < PIECE ? (size_t)(until - at) : PIECE;
        ssize_t got = pread(fd, piece, want, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "read");
        if (got == 0)
            break;
        if (give_piece(pack, (uint64_t)got, piece, err) < 0)
            return -1;
        at += got;
    }
    return at;
}

static int pack_file(const struct pack *pack, int fd, off_t size, struct err *err)
{
    off_t at = 0;
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            data = at; /* a filesystem that knows no holes */
        if (data < 0 || data > size)
            data = size;
        if (data > at && give_piece(pack, HOLE | (uint64_t)(data - at), NULL, err) < 0)
            return -1;
        off_t hole = data < size ? lseek(fd, data, SEEK_HOLE) : size;
        off_t done = give_data(pack, fd, data, hole < 0 || hole > size ? size : hole, err);
        if (done < 0)
            return -1;
        if (done == at)
            break; /* it has become shorter */
        at = done;
    }
    return give_piece(pack, 0, NULL, err);
}

static void leave_out(const struct pack *pack, const char *name, const char *why)
{
    dprintf(pack->notices, "%s is left out: %s\n", name, why);
}

static int pack_link(const struct pack *pack, int directory, const char *name, const struct stat *st, struct err *err)
{
    char text[PATH_MAX];
    ssize_t length = readlinkat(directory, name, text, sizeof text);
    if (length <= 0 || length == sizeof text) {
        leave_out(pack, name, "its link can't be read");
        return 0;
    }
    if (give_head(pack, KIND_LINK, name, st, (size_t)length, err) < 0)
        return -1;
    return give(pack, text, (size_t)length, err);
}

static int pack_entry(struct pack *pack, int directory, const char *name, struct err *err);

static int pack_entries(struct pack *pack, DIR *dir, struct err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? err_sys(err, "read a directory") : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (pack_entry(pack, dirfd(dir), entry->d_name, err) < 0)
            return -1;
    }
}

static int pack_directory(struct pack *pack, int *fd, const char *name, const struct stat *st, struct err *err)
{
    const struct head up = {.kind = KIND_UP};
    if (pack->depth == DEPTH)
        return err_set(err, ELOOP, "more than %d directories in each other", DEPTH);
    cleanup_dir DIR *dir = fdopendir(*fd);
    if (!dir)
        return err_sys(err, "read a directory");
    steal_fd(fd);
    pack->depth++;
    if (give_head(pack, KIND_DIRECTORY, name, st, 0, err) < 0 || pack_entries(pack, dir, err) < 0)
        return -1;
    pack->depth--;
    return give(pack, &up, sizeof up, err);
}

static int pack_opened(struct pack *pack, int *fd, const char *name, struct err *err)
{
    struct stat st;
    if (fstat(*fd, &st) < 0)
        return err_sys(err, "look at %s", name);
    if (S_ISDIR(st.st_mode))
        return pack_directory(pack, fd, name, &st, err);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EAGAIN, "it was replaced while it was looked at");
    if (give_head(pack, KIND_FILE, name, &st, 0, err) < 0)
        return -1;
    return pack_file(pack, *fd, st.st_size, err);
}

/* Only the thing itself must be there; what is below it may come and go. */
static int pack_entry(struct pack *pack, int directory, const char *name, struct err *err)
{
    struct stat st;
    bool there = fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && S_ISLNK(st.st_mode))
        return pack_link(pack, directory, name, &st, err);
    /* Opening a device may already do something. */
    bool opens = there && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
    cleanup_fd int fd = opens ? openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
    if (fd >= 0)
        return pack_opened(pack, &fd, name, err) < 0 ? err_wrap(err, "%s", name) : 0;
    int code = errno;
    if (pack->depth > 0 || (there && !opens)) {
        leave_out(pack, name, there && !opens ? "it is neither a file nor a directory nor a link" : strerror(code));
        return 0;
    }
    errno = code;
    return err_sys(err, "open %s", name);
}

int transfer_pack(int directory, const char *name, int out, int notices, struct err *err)
{
    struct pack pack = {out, notices, 0};
    return pack_entry(&pack, directory, name, err);
}

/* ---- in ---- */

struct unpack {
    int in, depth;
    struct transfer_limits left;
    unsigned made;
};

static int take(const struct unpack *unpack, void *bytes, size_t length, struct err *err)
{
    for (char *next = bytes; length > 0;) {
        ssize_t got = read(unpack->in, next, length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "read");
        if (got == 0)
            return err_set(err, EPROTO, "it ended too early");
        next += got;
        length -= (size_t)got;
    }
    return 0;
}

static bool is_one_name(const char *name, size_t length)
{
    return length > 0 && strlen(name) == length && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static int take_head(struct unpack *unpack, struct head *head, char name[256], struct err *err)
{
    if (take(unpack, head, sizeof *head, err) < 0)
        return -1;
    if (head->zero != 0 || head->name > 255 || (head->kind == KIND_UP) != (head->name == 0))
        return err_set(err, EPROTO, "it makes no sense");
    if (take(unpack, name, head->name, err) < 0)
        return -1;
    name[head->name] = '\0';
    if (head->kind != KIND_UP && !is_one_name(name, head->name))
        return err_set(err, EPROTO, "a name that is none");
    if (unpack->left.entries > 0 && --unpack->left.entries == 0)
        return err_set(err, EFBIG, "more files than may be taken");
    return 0;
}

/* A name of our own beside the one that is replaced. */
static void temporary(struct unpack *unpack, char name[TEMPORARY])
{
    snprintf(name, TEMPORARY, ".moonbox-%d-%u", (int)getpid(), ++unpack->made);
}

static int store(struct unpack *unpack, int fd, uint64_t length, uint64_t at, struct err *err)
{
    if (unpack->left.bytes > 0 && length >= unpack->left.bytes)
        return err_set(err, EFBIG, "more bytes than may be taken");
    if (unpack->left.bytes > 0)
        unpack->left.bytes -= length;
    while (length > 0) {
        size_t part = length < PIECE ? (size_t)length : PIECE;
        if (take(unpack, piece, part, err) < 0)
            return -1;
        for (size_t done = 0; done < part;) {
            ssize_t n = pwrite(fd, piece + done, part - done, (off_t)(at + done));
            if (n < 0 && errno != EINTR)
                return err_sys(err, "write");
            done += n > 0 ? (size_t)n : 0;
        }
        at += part;
        length -= part;
    }
    return 0;
}

static int unpack_data(struct unpack *unpack, int fd, struct err *err)
{
    uint64_t at = 0, length;
    for (;;) {
        if (take(unpack, &length, sizeof length, err) < 0)
            return -1;
        if (length == 0)
            return ftruncate(fd, (off_t)at) < 0 ? err_sys(err, "write") : 0;
        uint64_t size = length & ~HOLE;
        if (size > INT64_MAX - at)
            return err_set(err, EPROTO, "a file without end");
        if (!(length & HOLE) && store(unpack, fd, size, at, err) < 0)
            return -1;
        at += size;
    }
}

static int unpack_file(struct unpack *unpack, int directory, const char *name, const struct head *head, struct err *err)
{
    char new[TEMPORARY];
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = head->changed}};
    temporary(unpack, new);
    cleanup_fd int fd = openat(directory, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "make a file");
    int result = unpack_data(unpack, fd, err);
    if (result == 0 &&
        (fchmod(fd, head->mode & 0777) < 0 || futimens(fd, times) < 0 || renameat(directory, new, directory, name) < 0))
        result = err_sys(err, "make the file");
    if (result < 0)
        unlinkat(directory, new, 0);
    return result;
}

static int unpack_link(struct unpack *unpack, int directory, const char *name, const struct head *head, struct err *err)
{
    char new[TEMPORARY], text[PATH_MAX];
    if (head->size == 0 || head->size >= sizeof text)
        return err_set(err, EPROTO, "a link that is none");
    if (take(unpack, text, head->size, err) < 0)
        return -1;
    text[head->size] = '\0';
    temporary(unpack, new);
    if (symlinkat(text, directory, new) < 0)
        return err_sys(err, "make the link");
    if (renameat(directory, new, directory, name) == 0)
        return 0;
    err_sys(err, "make the link");
    unlinkat(directory, new, 0);
    return -1;
}

static int unpack_entry(struct unpack *unpack, int directory, const char *name, const struct head *head,
                        struct err *err);

static int unpack_directory(struct unpack *unpack, int directory, const char *name, const struct head *head,
                            struct err *err)
{
    char below[256];
    struct head next;
    if (unpack->depth == DEPTH)
        return err_set(err, ELOOP, "more than %d directories in each other", DEPTH);
    bool made = mkdirat(directory, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_sys(err, "make the directory");
    cleanup_fd int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "what is there already is no directory");
    unpack->depth++;
    for (;;) {
        if (take_head(unpack, &next, below, err) < 0)
            return -1;
        if (next.kind == KIND_UP)
            break;
        if (unpack_entry(unpack, fd, below, &next, err) < 0)
            return err_wrap(err, "%s", below);
    }
    unpack->depth--;
    return made && fchmod(fd, head->mode & 0777) < 0 ? err_sys(err, "set the directory's mode") : 0;
}

static int unpack_entry(struct unpack *unpack, int directory, const char *name, const struct head *head,
                        struct err *err)
{
    switch (head->kind) {
    case KIND_FILE:
        return unpack_file(unpack, directory, name, head, err);
    case KIND_DIRECTORY:
        return unpack_directory(unpack, directory, name, head, err);
    case KIND_LINK:
        return unpack_link(unpack, directory, name, head, err);
    default:
        return err_set(err, EPROTO, "it makes no sense");
    }
}

int transfer_unpack(int in, int directory, const char *name, const struct transfer_limits *limits, struct err *err)
{
    struct unpack unpack = {.in = in, .left = *limits};
    struct head head;
    char sent[256];
    if (take_head(&unpack, &head, sent, err) < 0)
        return -1;
    return unpack_entry(&unpack, directory, name, &head, err) < 0 ? err_wrap(err, "%s", name) : 0;
}

int transfer_place(const char *path, const char *name_inside, char name[256], struct err *err)
{
    char text[PATH_MAX];
    struct stat st;
    size_t length = strlen(path);
    bool inside = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (length == 0 || length >= sizeof text)
        return err_set(err, ENAMETOOLONG, "a path of 1 to %d bytes is needed", PATH_MAX - 1);
    memcpy(text, path, length + 1);
    char *slash = inside ? NULL : strrchr(text, '/');
    const char *last = inside ? name_inside : slash ? slash + 1 : text;
    if (!is_one_name(last, strlen(last)) || strlen(last) > 255)
        return err_set(err, ENOTDIR, "%s: no such directory", path);
    memcpy(name, last, strlen(last) + 1);
    if (slash)
        slash[slash == text] = '\0';
    int fd = open(inside || slash ? text : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open %s", inside || slash ? text : ".") : fd;
}
