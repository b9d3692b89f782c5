/* servant.c - core.servant: a forked child that answers questions with a Lua function, and that may be lost.
 *
 * As with core.sacrifice, what an operator's function does can't be bounded from within a Lua state.  A hook is called
 * often, so its process stays: each question has a deadline, and a servant that misses one is killed.  It holds none
 * of this process's descriptors, so that it keeps nothing alive. */
#include "bind.h"

#include "../head_start.h"
#include "../rlimits.h"
#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { MAX_TEXT = 1 << 20 };

/* Where the child keeps its ends: above the numbers that handles of this state hold, which the child's collector may
 * close once more. */
enum { FIRST_FD = 900 };

struct servant {
    pid_t pid; /* 0: gone */
    int to, from;
};

/* Reads exactly `count` bytes. 0, or -1 at the end, on an error, or (errno ETIME) at the deadline; 0 = none. */
static int read_all(int fd, void *bytes, size_t count, double deadline)
{
    char *next = bytes;
    while (count > 0) {
        double left = deadline - util_monotonic();
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        int ready = deadline > 0 ? poll(&polled, 1, left > 0 ? (int)(left * 1000) + 1 : 0) : 1;
        if (ready == 0) {
            errno = ETIME;
            return -1;
        }
        ssize_t got = ready < 0 ? -1 : read(fd, next, count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = EPIPE;
            return -1;
        }
        next += got;
        count -= (size_t)got;
    }
    return 0;
}

static int write_text(int fd, const char *text, size_t length)
{
    uint32_t head = (uint32_t)length;
    return util_write_all(fd, &head, sizeof head) < 0 ? -1 : util_write_all(fd, text, length);
}

static void answer(lua_State *L, int out, const char *question, size_t length)
{
    lua_pushvalue(L, -1);
    lua_pushlstring(L, question, length);
    size_t size = 0;
    const char *text = lua_pcall(L, 1, 1, 0) == 0 ? lua_tolstring(L, -1, &size) : NULL;
    if (!text || size > MAX_TEXT || write_text(out, text, size) < 0)
        _exit(1);
    lua_pop(L, 1);
}

static _Noreturn void serve(lua_State *L, int in, int out)
{
    static char question[MAX_TEXT];
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 0, 1, 0) != 0)
        _exit(1);
    for (;;) {
        uint32_t length;
        if (read_all(in, &length, sizeof length, 0) < 0 || length > MAX_TEXT || read_all(in, question, length, 0) < 0)
            _exit(0);
        answer(L, out, question, length);
    }
}

static _Noreturn void run_child(lua_State *L, int in, int out, double memory)
{
    int fds[] = {in, out}, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* A terminal's Ctrl-C goes to the parent, which decides. */
    signal(SIGINT, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "moonbox-hooks");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (null < 0 || util_keep_fds(fds, 2, FIRST_FD) < 0 || close_range(3, FIRST_FD - 1, 0) < 0)
        _exit(1);
    rlimits_bound_memory((uint64_t)memory);
    serve(L, fds[0], fds[1]);
}

static void end(struct servant *servant)
{
    if (servant->pid <= 0)
        return;
    kill(servant->pid, SIGKILL);
    while (waitpid(servant->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    servant->pid = 0;
    util_close(&servant->to);
    util_close(&servant->from);
}

/* core.servant(make, memory) -> servant | nil, message, CODE: a child calls make(), which returns the function of a
 * text that answers; `memory` in bytes beyond this process's. */
static int new_servant(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    double memory = luaL_checknumber(L, 2);
    struct servant *servant = lua_newuserdata(L, sizeof *servant);
    *servant = (struct servant){.to = -1, .from = -1};
    luaL_getmetatable(L, BIND_SERVANT);
    lua_setmetatable(L, -2);
    struct err err;
    int asking[2], answering[2];
    if (pipe2(asking, O_CLOEXEC) < 0)
        return err_sys(&err, "make a pipe"), bind_failure(L, &err);
    cleanup_fd int question = asking[0];
    servant->to = asking[1];
    if (pipe2(answering, O_CLOEXEC) < 0)
        return err_sys(&err, "make a pipe"), bind_failure(L, &err);
    cleanup_fd int reply = answering[1];
    servant->from = answering[0];
    head_start_drop(); /* the child is to hold nothing of a sandbox */
    pid_t pid = fork();
    if (pid == 0)
        run_child(L, question, reply, memory);
    if (pid < 0)
        return err_sys(&err, "fork"), bind_failure(L, &err);
    servant->pid = pid;
    return 1;
}

static int ask_in_time(struct servant *servant, const char *question, size_t length, double deadline,
                       uint32_t *reply_length, char **reply)
{
    *reply = NULL;
    if (servant->pid <= 0 || length > MAX_TEXT) {
        errno = servant->pid > 0 ? EFBIG : EPIPE;
        return -1;
    }
    if (write_text(servant->to, question, length) < 0 ||
        read_all(servant->from, reply_length, sizeof *reply_length, deadline) < 0)
        return -1;
    if (*reply_length > MAX_TEXT || !(*reply = malloc(*reply_length + 1))) {
        errno = EFBIG;
        return -1;
    }
    return read_all(servant->from, *reply, *reply_length, deadline);
}

/* servant:ask(text, seconds) -> text | nil, message, CODE: "ETIME" when it was not answered in time, "EPIPE" when the
 * servant ended. Either ends it. */
static int ask(lua_State *L)
{
    struct servant *servant = luaL_checkudata(L, 1, BIND_SERVANT);
    size_t length;
    const char *question = luaL_checklstring(L, 2, &length);
    double deadline = util_monotonic() + luaL_checknumber(L, 3);
    uint32_t reply_length = 0;
    struct err err;
    char *reply;
    if (ask_in_time(servant, question, length, deadline, &reply_length, &reply) < 0) {
        err_sys(&err, "ask");
        free(reply);
        end(servant);
        return bind_failure(L, &err);
    }
    lua_pushlstring(L, reply, reply_length);
    free(reply);
    return 1;
}

static int close_servant(lua_State *L)
{
    end(luaL_checkudata(L, 1, BIND_SERVANT));
    return 0;
}

int bind_servant(lua_State *L)
{
    static const luaL_Reg methods[] = {{"ask", ask}, {"close", close_servant}, {NULL, NULL}};
    bind_class(L, BIND_SERVANT, methods, close_servant);
    lua_pushcfunction(L, new_servant);
    return 1;
}
