/* files.c - core.sys, the part about files: small, atomic, private. */
#include "bind.h"

#include "../identity.h"
#include "../tree.h"
#include "../util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int failure(lua_State *L, const char *verb, const char *path)
{
    struct err err;
    err_sys(&err, "%s %s", verb, path);
    return bind_failure(L, &err);
}

static int success(lua_State *L)
{
    lua_pushboolean(L, 1);
    return 1;
}

static const char *kind_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFLNK:
        return "symlink";
    case S_IFIFO:
        return "fifo";
    case S_IFSOCK:
        return "socket";
    default:
        return "device";
    }
}

static int push_stat(lua_State *L, int (*call)(const char *, struct stat *))
{
    const char *path = luaL_checkstring(L, 1);
    struct stat st;
    if (call(path, &st) < 0)
        return failure(L, "look at", path);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, kind_name(st.st_mode));
    lua_setfield(L, -2, "kind");
    lua_pushnumber(L, (double)st.st_size);
    lua_setfield(L, -2, "size");
    lua_pushnumber(L, (double)st.st_uid);
    lua_setfield(L, -2, "uid");
    lua_pushnumber(L, (double)(st.st_mode & 07777));
    lua_setfield(L, -2, "mode");
    lua_pushnumber(L, (double)st.st_mtim.tv_sec);
    lua_setfield(L, -2, "mtime");
    return 1;
}

/* stat(path) -> { kind, size, uid, mode, mtime } | nil, message, CODE; lstat does not follow a last symlink */
static int stat_path(lua_State *L)
{
    return push_stat(L, stat);
}

static int lstat_path(lua_State *L)
{
    return push_stat(L, lstat);
}

/* identity(path) -> "device:inode:size:mtime:ctime" with times in nanoseconds, and the later of the two in seconds;
 * follows symlinks | nil, message, CODE */
static int identity(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char text[IDENTITY_BYTES];
    time_t changed;
    if (identity_of(path, text, &changed) < 0)
        return failure(L, "look at", path);
    lua_pushstring(L, text);
    lua_pushnumber(L, (double)changed);
    return 2;
}

/* filesystem(path) -> { size=, free=, files=, files_free= }: bytes of the filesystem that path is on, and those that its
 * user may still take; the same of its inodes, 0 where it makes them as they are needed | nil, message, CODE */
static int filesystem(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return failure(L, "look at the filesystem of", path);
    bool root = geteuid() == 0;
    lua_createtable(L, 0, 4);
    bind_set_number(L, "size", (double)fs.f_blocks * (double)fs.f_frsize);
    bind_set_number(L, "free", (double)(root ? fs.f_bfree : fs.f_bavail) * (double)fs.f_frsize);
    bind_set_number(L, "files", (double)fs.f_files);
    bind_set_number(L, "files_free", (double)(root ? fs.f_ffree : fs.f_favail));
    return 1;
}

static int read_link(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char to[PATH_MAX];
    ssize_t length = readlink(path, to, sizeof to);
    if (length < 0)
        return failure(L, "read the link", path);
    lua_pushlstring(L, to, (size_t)length);
    return 1;
}

static int real_path(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char resolved[PATH_MAX];
    if (!realpath(path, resolved))
        return failure(L, "resolve", path);
    lua_pushstring(L, resolved);
    return 1;
}

/* list(path) -> array of names without . and .., in no order */
static int list_names(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    DIR *dir = opendir(path);
    if (!dir)
        return failure(L, "list", path);
    lua_newtable(L);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++n);
    }
    closedir(dir);
    return 1;
}

static int make_directory(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (mkdir(path, (mode_t)luaL_optinteger(L, 2, 0700)) < 0)
        return failure(L, "make the directory", path);
    return success(L);
}

/* mkdirs(path, mode): the path and its parents as far as they are missing */
static int make_directories(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    mode_t mode = (mode_t)luaL_optinteger(L, 2, 0700);
    char partial[PATH_MAX];
    if (util_copy(partial, sizeof partial, path) < 0)
        return failure(L, "make the directory", path);
    for (char *slash = strchr(partial + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(partial, mode) < 0 && errno != EEXIST)
            return failure(L, "make the directory", partial);
        *slash = '/';
    }
    if (mkdir(partial, mode) < 0 && errno != EEXIST)
        return failure(L, "make the directory", partial);
    return success(L);
}

static int rename_path(lua_State *L)
{
    const char *from = luaL_checkstring(L, 1);
    if (rename(from, luaL_checkstring(L, 2)) < 0)
        return failure(L, "rename", from);
    return success(L);
}

static int unlink_path(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (unlink(path) < 0)
        return failure(L, "remove", path);
    return success(L);
}

static int remove_directory(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (rmdir(path) < 0)
        return failure(L, "remove", path);
    return success(L);
}

/* remove_tree(path): everything below and itself, never through a link */
static int remove_tree(lua_State *L)
{
    struct err err;
    if (tree_remove(AT_FDCWD, luaL_checkstring(L, 1), &err) < 0)
        return bind_failure(L, &err);
    return success(L);
}

/* read_file(path, max_bytes) -> text | nil, message, CODE (EFBIG when there is more) */
static int read_whole(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    size_t max = (size_t)luaL_optnumber(L, 2, 16 << 20);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return failure(L, "open", path);
    errno = S_ISDIR(st.st_mode) ? EISDIR : EFBIG;
    if (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && (size_t)st.st_size > max))
        return failure(L, "read", path);
    cleanup_free char *bytes = malloc(max + 1 < 65536 ? max + 1 : 65536);
    size_t room = max + 1 < 65536 ? max + 1 : 65536, used = 0;
    for (ssize_t got = 1; bytes && got > 0; used += (size_t)got) {
        if (used == room) {
            char *grown = room > max ? NULL : realloc(bytes, room *= 2);
            if (!grown)
                return errno = EFBIG, failure(L, "read", path);
            bytes = grown;
        }
        got = read(fd, bytes + used, room - used);
        if (got < 0)
            return failure(L, "read", path);
    }
    lua_pushlstring(L, bytes ? bytes : "", used);
    return 1;
}

/* write_file(path, text, mode): through a temporary file beside it, fsync, rename: whole or not at all */
static int write_whole(lua_State *L)
{
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.new-%d", path, (int)getpid()) >= (int)sizeof temporary)
        return errno = ENAMETOOLONG, failure(L, "write", path);
    unlink(temporary);
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    cleanup_fd int fd = open(temporary, flags, (mode_t)luaL_optinteger(L, 3, 0600));
    if (fd < 0 || util_write_all(fd, text, length) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0) {
        int saved = errno;
        unlink(temporary);
        return errno = saved, failure(L, "write", path);
    }
    return success(L);
}

static int close_handle(lua_State *L, const char *class)
{
    int *fd = luaL_checkudata(L, 1, class);
    util_close(fd);
    return success(L);
}

static int *new_handle(lua_State *L, const char *class)
{
    int *fd = lua_newuserdata(L, sizeof *fd);
    *fd = -1;
    luaL_getmetatable(L, class);
    lua_setmetatable(L, -2);
    return fd;
}

/* append_open(path) -> file with :write(text) and :close() | nil, message, CODE */
static int append_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int *fd = new_handle(L, BIND_FILE);
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *fd >= 0 ? 1 : failure(L, "open", path);
}

/* The error of a write, errno, with the name of the file: nobody has kept it. */
static int cannot_append(lua_State *L, int fd)
{
    int saved = errno;
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof path - 1);
    path[got > 0 ? got : 0] = '\0';
    return errno = saved, failure(L, "write", got > 0 ? path : "a file");
}

static int append_write(lua_State *L)
{
    int *fd = luaL_checkudata(L, 1, BIND_FILE);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    if (util_write_all(*fd, text, length) < 0)
        return cannot_append(L, *fd);
    return success(L);
}

static int append_close(lua_State *L)
{
    return close_handle(L, BIND_FILE);
}

/* Locked and still at `path`: 1; locked by another: 0; -1 with errno. Who removes a locked file leaves its lock behind, and
 * somebody else's file may be there by the time that we have that lock. */
static int lock_what_is_there(const char *path, int *fd)
{
    enum { TRIES = 64 };
    for (int i = 0; i < TRIES; i++) {
        struct stat held, there;
        *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (*fd < 0)
            return -1;
        int locked = flock(*fd, LOCK_EX | LOCK_NB);
        if (locked == 0 && fstat(*fd, &held) == 0 && lstat(path, &there) == 0 && held.st_ino == there.st_ino &&
            held.st_dev == there.st_dev)
            return 1;
        util_close(fd);
        if (locked < 0)
            return errno == EWOULDBLOCK ? 0 : -1;
    }
    errno = ESTALE;
    return -1;
}

/* lock(path) -> handle with :close(), held while it lives | nil, "locked" or a message, CODE. flock(2), so that the
 * kernel lets go when the holder dies. */
static int lock_path(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int *fd = new_handle(L, BIND_LOCK), locked = lock_what_is_there(path, fd);
    if (locked != 0)
        return locked > 0 ? 1 : failure(L, "lock", path);
    lua_pushnil(L);
    lua_pushliteral(L, "locked");
    lua_pushliteral(L, "EWOULDBLOCK");
    return 3;
}

static int unlock(lua_State *L)
{
    return close_handle(L, BIND_LOCK);
}

/* Adds its functions to the table on top of the stack. */
int bind_files(lua_State *L)
{
    static const luaL_Reg file_methods[] = {{"write", append_write}, {"close", append_close}, {NULL, NULL}};
    static const luaL_Reg lock_methods[] = {{"close", unlock}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"identity", identity},       {"filesystem", filesystem}, {"stat", stat_path},
        {"lstat", lstat_path},        {"readlink", read_link},    {"realpath", real_path},
        {"list", list_names},         {"mkdir", make_directory},  {"mkdirs", make_directories},
        {"rename", rename_path},      {"unlink", unlink_path},    {"rmdir", remove_directory},
        {"remove_tree", remove_tree}, {"read_file", read_whole},  {"write_file", write_whole},
        {"append_open", append_open}, {"lock", lock_path},        {NULL, NULL},
    };
    bind_class(L, BIND_FILE, file_methods, append_close);
    bind_class(L, BIND_LOCK, lock_methods, unlock);
    luaL_register(L, NULL, functions);
    return 0;
}
