/* transfer.c - core.transfer: the host's end of a copy into or out of a sandbox, in a process of its own beside it. */
#include "bind.h"

#include "../transfer.h"
#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct transfer {
    pid_t pid; /* 0: finished */
    int fd;    /* the stream: to read from a pack, to write to an unpack */
    int told;  /* a memory file: a line for each thing left out, and at last the error */
};

struct work {
    bool pack;
    int directory; /* owned */
    char name[256];
    struct transfer_limits limits;
};

static _Noreturn void run(const struct work *work, int stream, int told)
{
    struct err err = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_IGN);
    int result = work->pack ? transfer_pack(work->directory, work->name, stream, told, &err)
                            : transfer_unpack(stream, work->directory, work->name, &work->limits, &err);
    if (result < 0)
        dprintf(told, "%s\n", err.text);
    _exit(result < 0);
}

static int begin(lua_State *L, struct work *work)
{
    struct err err;
    struct transfer *transfer = lua_newuserdata(L, sizeof *transfer);
    *transfer = (struct transfer){.fd = -1, .told = -1};
    luaL_getmetatable(L, BIND_TRANSFER);
    lua_setmetatable(L, -2);
    cleanup_fd int directory = work->directory;
    int ends[2];
    transfer->told = memfd_create("told", MFD_CLOEXEC);
    if (transfer->told < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(&err, "begin to copy"), bind_failure(L, &err);
    int ours = work->pack ? 0 : 1;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[ours]);
        work->directory = directory;
        run(work, ends[1 - ours], transfer->told);
    }
    close(ends[1 - ours]);
    transfer->fd = ends[ours];
    if (pid < 0)
        return err_sys(&err, "fork"), bind_failure(L, &err);
    transfer->pid = pid;
    return 1;
}

/* core.transfer.pack(path) -> transfer, name | nil, message, CODE: begins to read a file or a tree. The path's last name is
 * not followed when it is a link. */
static int pack(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct work work = {.pack = true, .directory = -1};
    struct stat st;
    struct err err;
    char text[PATH_MAX];
    if (lstat(path, &st) < 0)
        return err_sys(&err, "%s", path), bind_failure(L, &err);
    /* "dir/", "." and ".." have their name elsewhere. */
    const char *last = strrchr(path, '/');
    last = last ? last + 1 : path;
    bool plain = *last && strcmp(last, ".") != 0 && strcmp(last, "..") != 0;
    if (plain ? util_copy(text, sizeof text, path) < 0 : !realpath(path, text))
        return err_sys(&err, "%s", path), bind_failure(L, &err);
    char *slash = strrchr(text, '/');
    if (util_copy(work.name, sizeof work.name, slash ? slash + 1 : text) < 0 || !*work.name)
        return err_set(&err, EINVAL, "%s can't be copied; name what is needed in it", path), bind_failure(L, &err);
    if (slash)
        slash[slash == text] = '\0';
    work.directory = open(slash ? text : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (work.directory < 0)
        return err_sys(&err, "open %s", slash ? text : "."), bind_failure(L, &err);
    int pushed = begin(L, &work);
    if (pushed > 1)
        return pushed;
    lua_pushstring(L, work.name);
    return 2;
}

/* core.transfer.unpack(path, name, bytes, entries) -> transfer | nil, message, CODE: begins to make `path`, or `name` in it
 * when it is a directory, of what is written to it, at most so much. */
static int unpack(lua_State *L)
{
    struct err err;
    struct work work = {.limits = {(uint64_t)luaL_checknumber(L, 3), (uint64_t)luaL_checknumber(L, 4)}};
    work.directory = transfer_place(luaL_checkstring(L, 1), luaL_checkstring(L, 2), work.name, &err);
    return work.directory < 0 ? bind_failure(L, &err) : begin(L, &work);
}

/* transfer:fd() -> the number of the stream's descriptor, which stays the transfer's */
static int fd(lua_State *L)
{
    const struct transfer *transfer = luaL_checkudata(L, 1, BIND_TRANSFER);
    lua_pushinteger(L, transfer->fd);
    return 1;
}

static int end(struct transfer *transfer, bool now)
{
    int status = 0;
    util_close(&transfer->fd);
    if (transfer->pid <= 0)
        return 1;
    if (now)
        kill(transfer->pid, SIGKILL);
    while (waitpid(transfer->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    transfer->pid = 0;
    return status;
}

/* transfer:finish() -> whether all of it was copied, and what was told: a line for each thing left out, last the error.
 * Closes the stream and waits. */
static int finish(lua_State *L)
{
    enum { SHOWN = 65536 };
    struct transfer *transfer = luaL_checkudata(L, 1, BIND_TRANSFER);
    int status = end(transfer, false);
    off_t size = lseek(transfer->told, 0, SEEK_END), from = size > SHOWN ? size - SHOWN : 0;
    luaL_Buffer buffer;
    lua_pushboolean(L, status == 0);
    luaL_buffinit(L, &buffer);
    for (ssize_t got; from < size; from += got) {
        char bytes[4096];
        got = pread(transfer->told, bytes, sizeof bytes, from);
        if (got <= 0)
            break;
        luaL_addlstring(&buffer, bytes, (size_t)got);
    }
    luaL_pushresult(&buffer);
    return 2;
}

static int abandon(lua_State *L)
{
    struct transfer *transfer = luaL_checkudata(L, 1, BIND_TRANSFER);
    end(transfer, true);
    util_close(&transfer->told);
    return 0;
}

int bind_transfer(lua_State *L)
{
    static const luaL_Reg methods[] = {{"fd", fd}, {"finish", finish}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"pack", pack}, {"unpack", unpack}, {NULL, NULL}};
    bind_class(L, BIND_TRANSFER, methods, abandon);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
