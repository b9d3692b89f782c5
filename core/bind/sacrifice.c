/* sacrifice.c - core.sacrifice: runs a Lua function in a forked child that may be lost.
 *
 * What an operator's policy does while it is loaded can't be bounded from within a Lua state: count hooks do not stop
 * JIT-compiled loops nor C string functions.  So it is evaluated in a process of its own with a deadline and a
 * memory limit, and only the text it returns comes back. */
#include "bind.h"

#include "../head_start.h"
#include "../rlimits.h"
#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_REPLY = 16 << 20 };

/* First byte of what the child sends. */
enum { REPLY_TEXT = 'T', REPLY_ERROR = 'E', REPLY_MEMORY = 'M' };

static _Noreturn void run_child(lua_State *L, int out, double memory)
{
    /* A terminal's Ctrl-C goes to the parent, which decides. */
    signal(SIGINT, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    rlimits_bound_memory((uint64_t)memory);
    lua_pushvalue(L, 1);
    int failed = lua_pcall(L, 0, 1, 0);
    size_t length = 0;
    const char *text = lua_tolstring(L, -1, &length);
    char kind = (char)(failed == LUA_ERRMEM ? REPLY_MEMORY : failed || !text ? REPLY_ERROR : REPLY_TEXT);
    if (failed == 0 && !text)
        text = "the function returned no text", length = strlen(text);
    else if (!text)
        text = "an error that is no text", length = strlen(text);
    if (util_write_all(out, &kind, 1) == 0)
        util_write_all(out, text, length);
    _exit(0);
}

struct reply {
    char *bytes;
    size_t length;
    bool late, too_long;
};

static void collect(int in, double deadline, struct reply *reply)
{
    size_t room = 0;
    for (;;) {
        double left = deadline - util_monotonic();
        struct pollfd polled = {.fd = in, .events = POLLIN};
        if (left <= 0 || poll(&polled, 1, (int)(left * 1000) + 1) == 0) {
            reply->late = util_monotonic() >= deadline;
            if (reply->late)
                return;
            continue;
        }
        if (reply->length == room) {
            char *grown = room < MAX_REPLY ? realloc(reply->bytes, room += 65536) : NULL;
            reply->too_long = !grown;
            if (!grown)
                return;
            reply->bytes = grown;
        }
        ssize_t got = read(in, reply->bytes + reply->length, room - reply->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        reply->length += (size_t)got;
    }
}

static int push_failure(lua_State *L, const char *code, const char *fmt, double number)
{
    lua_pushnil(L);
    lua_pushfstring(L, fmt, number);
    lua_pushstring(L, code);
    return 3;
}

static int push_reply(lua_State *L, const struct reply *reply, int status, double seconds, double memory)
{
    if (reply->late)
        return push_failure(L, "ETIME", "still running after %f s", seconds);
    if (reply->too_long)
        return push_failure(L, "EFBIG", "its result is larger than %f bytes", MAX_REPLY);
    if (reply->length > 0 && reply->bytes[0] == REPLY_TEXT) {
        lua_pushlstring(L, reply->bytes + 1, reply->length - 1);
        return 1;
    }
    if (reply->length > 0 && reply->bytes[0] == REPLY_ERROR) {
        lua_pushnil(L);
        lua_pushlstring(L, reply->bytes + 1, reply->length - 1);
        lua_pushliteral(L, "ELUA");
        return 3;
    }
    /* LuaJIT ends a process that it can't get memory for in some places; so does a stack that can't grow. */
    if (reply->length > 0 || WIFSIGNALED(status) || WEXITSTATUS(status) != 0)
        return push_failure(L, "ENOMEM", "it needs more than %f MB of memory", memory / 1048576);
    return push_failure(L, "EPIPE", "it ended without a result (%f)", status);
}

struct worker {
    pid_t pid; /* 0: finished */
    int in;
    double deadline, seconds, memory;
};

static int end_worker(struct worker *worker)
{
    int status = 0;
    if (worker->pid <= 0)
        return 0;
    kill(worker->pid, SIGKILL);
    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    worker->pid = 0;
    util_close(&worker->in);
    return status;
}

/* core.sacrifice(f, { seconds=, memory=bytes }) -> worker | nil, message, CODE: begins to run f. */
static int sacrifice(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TTABLE);
    double seconds = bind_number_field(L, 2, "seconds", 2), memory = bind_number_field(L, 2, "memory", 64 << 20);
    struct worker *worker = lua_newuserdata(L, sizeof *worker);
    *worker = (struct worker){.in = -1, .deadline = util_monotonic() + seconds, .seconds = seconds, .memory = memory};
    luaL_getmetatable(L, BIND_WORKER);
    lua_setmetatable(L, -2);
    struct err err;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(&err, "make a pipe"), bind_failure(L, &err);
    head_start_drop(); /* the child is to hold nothing of a sandbox */
    pid_t pid = fork();
    if (pid == 0)
        run_child(L, ends[1], memory);
    close(ends[1]);
    worker->in = ends[0];
    if (pid < 0)
        return err_sys(&err, "fork"), bind_failure(L, &err);
    worker->pid = pid;
    return 1;
}

/* worker:finish() -> the text that the function returned | nil, message, CODE: "ETIME", "ENOMEM", "ELUA" (an error in
 * the function), "EFBIG" (too much text). Waits for it; once only. */
static int finish(lua_State *L)
{
    struct worker *worker = luaL_checkudata(L, 1, BIND_WORKER);
    if (worker->pid <= 0)
        return luaL_error(L, "the worker has finished already");
    struct reply reply = {0};
    collect(worker->in, worker->deadline, &reply);
    int status = end_worker(worker);
    int pushed = push_reply(L, &reply, status, worker->seconds, worker->memory);
    free(reply.bytes);
    return pushed;
}

static int abandon(lua_State *L)
{
    end_worker(luaL_checkudata(L, 1, BIND_WORKER));
    return 0;
}

int bind_sacrifice(lua_State *L)
{
    static const luaL_Reg methods[] = {{"finish", finish}, {NULL, NULL}};
    bind_class(L, BIND_WORKER, methods, abandon);
    lua_pushcfunction(L, sacrifice);
    return 1;
}
