/* sandbox.c - core.launch and the sandbox handle. */
#include "bind.h"
#include "handle.h"
#include "hook.h"

#include "../cgroup.h"
#include "../launch.h"
#include "../sandbox.h"
#include "../util.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a log keeps when the caller does not say. */
enum { LOG_BYTES = 64 << 20 };

struct sandbox *bind_check_sandbox(lua_State *L)
{
    struct bind_sandbox_handle *handle = luaL_checkudata(L, 1, BIND_SANDBOX);
    if (!handle->open)
        luaL_error(L, "the sandbox is closed");
    return &handle->sandbox;
}

struct bind_sandbox_handle *bind_new_sandbox(lua_State *L)
{
    struct bind_sandbox_handle *handle = lua_newuserdata(L, sizeof *handle);
    memset(handle, 0, sizeof *handle);
    luaL_getmetatable(L, BIND_SANDBOX);
    lua_setmetatable(L, -2);
    return handle;
}

/* Where the gateway of a launch writes its flows; -1 nowhere. */
static int open_flows(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : err_sys(err, "open the flow log %s", path);
}

/* core.launch(plan, { lock_dir=, name=, keeper= or nil, cgroups=bool, pin=processors or 0, signals=bool, leaves=bool,
 *                     flows=path or nil, step=name or nil, connect=function or nil (core/bind/hook.h) })
 *   -> sandbox handle | nil, message, CODE. The handle keeps plan and keeper alive. */
static int launch_sandbox(lua_State *L)
{
    struct plan *plan = *(struct plan **)luaL_checkudata(L, 1, BIND_PLAN);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct launch_options options = {
        .lock_dir = bind_string_field(L, 2, "lock_dir", ""),
        .name = bind_string_field(L, 2, "name", "sandbox"),
        .step = bind_string_field(L, 2, "step", NULL),
        .groups = bind_bool_field(L, 2, "cgroups") ? cgroup_found : NULL,
        .pin = (int)bind_number_field(L, 2, "pin", 0),
        .signals = bind_bool_field(L, 2, "signals"),
        .leaves = bind_bool_field(L, 2, "leaves"),
    };
    lua_getfield(L, 2, "keeper");
    options.keeper = lua_isnil(L, -1) ? NULL : luaL_checkudata(L, -1, BIND_KEEPER);
    struct bind_sandbox_handle *handle = bind_new_sandbox(L);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, 2);
    lua_setfenv(L, -2);
    struct err err = {0};
    struct bind_hook hook = {L, LUA_NOREF};
    lua_getfield(L, 2, "connect");
    if (lua_isfunction(L, -1)) {
        hook.load = luaL_ref(L, LUA_REGISTRYINDEX);
        options.prepare_hook = bind_prepare_hook;
        options.hook_context = &hook;
    } else {
        lua_pop(L, 1);
    }
    const char *flows = bind_string_field(L, 2, "flows", NULL);
    options.flows = flows ? open_flows(flows, &err) : -1;
    int result = flows && options.flows < 0 ? -1 : launch(plan, &options, &handle->sandbox, &err);
    util_close(&options.flows);
    luaL_unref(L, LUA_REGISTRYINDEX, hook.load);
    if (result < 0)
        return bind_failure(L, &err);
    handle->open = true;
    return 1;
}

/* An array of strings as a NULL-terminated list in a userdata that is left on the stack. */
static const char *const *string_list(lua_State *L, int index, const char *key)
{
    lua_getfield(L, index, key);
    if (!lua_istable(L, -1))
        luaL_error(L, "field '%s' must be an array of strings", key);
    int array = lua_gettop(L);
    size_t n = lua_objlen(L, array);
    const char **list = lua_newuserdata(L, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, array, (int)i + 1);
        size_t length = 0;
        list[i] = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
        if (!list[i] || strlen(list[i]) != length)
            luaL_error(L, "field '%s' must hold strings without NUL", key);
        lua_pop(L, 1); /* the array still holds it */
    }
    list[n] = NULL;
    lua_replace(L, array);
    return list;
}

/* One of: "null", "pass", "merge", { capture=bytes }, { log=path, keep=bytes }, { feed=text },
 * { pass=descriptor }; observe=bool beside. */
static int decode_stdio(lua_State *L, int index, const char *key, int fd, struct stdio_request *io, struct err *err)
{
    static const struct {
        const char *name;
        enum stdio_kind kind;
    } words[] = {{"null", STDIO_NULL}, {"pass", STDIO_PASS}, {"merge", STDIO_MERGE}};
    lua_getfield(L, index, key);
    int at = lua_gettop(L);
    *io = (struct stdio_request){.kind = STDIO_NULL, .fd = -1};
    if (lua_type(L, at) == LUA_TSTRING) {
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (strcmp(words[i].name, lua_tostring(L, at)) == 0) {
                io->kind = words[i].kind;
                io->fd = fd;
                return 0;
            }
        return luaL_error(L, "field '%s' can't be '%s'", key, lua_tostring(L, at));
    }
    if (lua_isnil(L, at))
        return 0;
    luaL_checktype(L, at, LUA_TTABLE);
    io->observe = bind_bool_field(L, at, "observe");
    io->fd = (int)bind_number_field(L, at, "pass", -1);
    if (io->fd >= 0) {
        io->kind = STDIO_PASS;
        return 0;
    }
    const char *log = bind_string_field(L, at, "log", NULL);
    lua_getfield(L, at, "feed");
    if (lua_isstring(L, -1)) {
        io->kind = STDIO_FEED;
        io->bytes = lua_tolstring(L, -1, &io->length);
        return 0;
    }
    io->kind = log ? STDIO_LOG : STDIO_CAPTURE;
    io->keep = (uint64_t)bind_number_field(L, at, log ? "keep" : "capture", log ? LOG_BYTES : 0);
    if (log)
        io->fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    return log && io->fd < 0 ? err_sys(err, "open the log %s", log) : 0;
}

/* sandbox:start{ argv=, env=, cwd=, stdin=, stdout=, stderr=, pty=bool, rows=, cols=, last=bool, time=seconds of a remote one,
 * log=folder }
 *   -> id | nil, message, CODE */
static int start(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    static const char *const keys[STREAMS] = {"stdin", "stdout", "stderr"};
    struct err err = {0};
    struct start_request request = {
        .argv = string_list(L, 2, "argv"),
        .env = string_list(L, 2, "env"),
        .cwd = bind_string_field(L, 2, "cwd", "/"),
        .pty = bind_bool_field(L, 2, "pty"),
        .last = bind_bool_field(L, 2, "last"),
        .files = bind_bool_field(L, 2, "files"),
        .rows = (int)bind_number_field(L, 2, "rows", 24),
        .cols = (int)bind_number_field(L, 2, "cols", 80),
        .seconds = bind_number_field(L, 2, "time", 0),
        .log = bind_string_field(L, 2, "log", NULL),
    };
    if (!request.argv[0])
        return luaL_error(L, "field 'argv' is empty");
    for (int i = 0; i < STREAMS; i++)
        if (decode_stdio(L, 2, keys[i], i, &request.stdio[i], &err) < 0)
            return bind_failure(L, &err);
    const struct running *running = sandbox_start(sandbox, &request, &err);
    if (!running)
        return bind_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)running->id);
    return 1;
}

static void push_captured(lua_State *L, const char *key, const struct stream *stream)
{
    if (!stream->capture)
        return;
    size_t length;
    char *text = kept_text(&stream->kept, &length);
    lua_pushlstring(L, text ? text : "", length);
    free(text);
    lua_setfield(L, -2, key);
}

static void push_exit(lua_State *L, struct sandbox *sandbox, struct running *running)
{
    int status = running->result.status;
    uint64_t dropped = 0;
    struct err undelivered;
    if (running->failed) {
        bind_set_number(L, "code", running->failure.exit_code);
        bind_set_string(L, "failed", running->failure.text);
    } else if (WIFSIGNALED(status)) {
        bind_set_number(L, "signal", WTERMSIG(status));
        bind_set_number(L, "code", 128 + WTERMSIG(status));
    } else {
        bind_set_number(L, "code", WEXITSTATUS(status));
    }
    bind_set_number(L, "cpu_seconds", (double)running->result.cpu_us / 1e6);
    bind_set_number(L, "peak_rss", (double)running->result.peak_rss);
    if (running->result.ended_by == WIRE_BY_TIME || running->result.ended_by == WIRE_BY_MEMORY)
        bind_set_string(L, "ended_by", running->result.ended_by == WIRE_BY_TIME ? "time" : "memory");
    push_captured(L, "stdout", &running->streams[STREAM_STDOUT]);
    push_captured(L, "stderr", &running->streams[STREAM_STDERR]);
    for (int i = STREAM_STDOUT; i < STREAMS; i++)
        dropped += stream_dropped(&running->streams[i]);
    bind_set_number(L, "dropped", (double)dropped);
    if (sandbox_delivered(running, &undelivered) < 0)
        bind_set_string(L, "undelivered", undelivered.text);
    if (running->unlogged.code != 0)
        bind_set_string(L, "unlogged", running->unlogged.text);
    sandbox_forget(sandbox, running);
}

static void push_event(lua_State *L, struct sandbox *sandbox, const struct event *event)
{
    static const char *const kinds[] = {"timeout",    "exit",        "output",  "signal",  "usage", "storage",
                                        "no_gateway", "not_started", "starved", "request", "begun", "gone"};
    lua_createtable(L, 0, 8);
    bind_set_string(L, "kind", kinds[event->kind]);
    if (event->running)
        bind_set_number(L, "id", event->running->id);
    switch (event->kind) {
    case EVENT_EXIT:
        if (event->running)
            push_exit(L, sandbox, event->running);
        break;
    case EVENT_OUTPUT:
        bind_set_string(L, "stream", event->stream == STREAM_STDOUT ? "stdout" : "stderr");
        lua_pushlstring(L, event->bytes, event->length);
        lua_setfield(L, -2, "bytes");
        break;
    case EVENT_SIGNAL:
        bind_set_string(L, "signal", sigabbrev_np(event->signal));
        break;
    case EVENT_USAGE:
        bind_set_number(L, "processes", (double)event->usage.processes);
        bind_set_number(L, "memory", (double)event->usage.memory);
        bind_set_number(L, "cpu_seconds", (double)event->usage.cpu_us / 1e6);
        lua_pushlstring(L, event->usage.full, strnlen(event->usage.full, sizeof event->usage.full));
        lua_setfield(L, -2, "full");
        break;
    case EVENT_STORAGE:
        bind_set_number(L, "bytes", (double)event->storage.bytes);
        bind_set_number(L, "inodes", (double)event->storage.inodes);
        lua_pushboolean(L, event->storage.partial);
        lua_setfield(L, -2, "partial");
        break;
    case EVENT_STARVED:
        bind_set_number(L, "kills", (double)event->kills);
        bind_set_string(L, "leaf", event->leaf);
        break;
    case EVENT_REQUEST:
        bind_set_number(L, "client", event->client);
        lua_pushlstring(L, event->bytes, event->length);
        lua_setfield(L, -2, "text");
        break;
    case EVENT_NOT_STARTED:
        bind_set_string(L, "code", err_name(event->code));
        bind_set_string(L, "why", event->why);
        break;
    case EVENT_NO_GATEWAY:
    case EVENT_GONE:
        bind_set_string(L, "why", event->why);
        break;
    case EVENT_BEGUN:
    case EVENT_TIMEOUT:
        break;
    }
}

/* sandbox:next(seconds or nil) -> event table | nil, message, CODE */
static int next_event(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    double seconds = luaL_optnumber(L, 2, -1);
    struct event event;
    struct err err = {0};
    if (sandbox_next(sandbox, seconds, &event, &err) < 0)
        return bind_failure(L, &err);
    push_event(L, sandbox, &event);
    return 1;
}

/* sandbox:ready() -> true | nil, message, CODE: waits until it is set up */
static int wait_ready(lua_State *L)
{
    struct err err = {0};
    if (sandbox_wait_ready(bind_check_sandbox(L), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int signal_number(lua_State *L, const char *name)
{
    for (int sig = 1; sig < NSIG; sig++) {
        const char *known = sigabbrev_np(sig);
        if (known && strcmp(known, name) == 0)
            return sig;
    }
    return luaL_error(L, "no signal is called '%s'", name);
}

/* sandbox:signal(id, "TERM"), id 0: every process in it -> true | nil, message, CODE */
static int send_signal(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    struct err err = {0};
    if (sandbox_signal(sandbox, (uint32_t)luaL_checkinteger(L, 2), signal_number(L, luaL_checkstring(L, 3)), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* sandbox:watch_signals() -> true | nil, message, CODE: as core.launch's signals=true, for a remote one */
static int watch_signals(lua_State *L)
{
    struct err err;
    if (sandbox_watch_signals(bind_check_sandbox(L), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* sandbox:blame(id, sentence): what the client of the command that an event "starved" was about is told, with 137 */
static int blame(lua_State *L)
{
    sandbox_blame(bind_check_sandbox(L), (uint32_t)luaL_checkinteger(L, 2), luaL_checkstring(L, 3));
    return 0;
}

/* sandbox:commands() -> how many were started and have not been reported as ended, how many were started in all */
static int commands(lua_State *L)
{
    const struct sandbox *sandbox = bind_check_sandbox(L);
    lua_Integer n = 0;
    for (const struct running *r = sandbox->commands; r; r = r->next)
        n++;
    lua_pushinteger(L, n);
    lua_pushinteger(L, (lua_Integer)sandbox->next_id);
    return 2;
}

/* sandbox:rest(): the next command of a client comes as an event of kind "begun" */
static int rest(lua_State *L)
{
    bind_check_sandbox(L)->resting = true;
    return 0;
}

/* sandbox:serve(control): from now on clients of the control socket (core.control.listen) start commands in it, and what
 * they ask comes as events. */
static int serve(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    sandbox->control = bind_check_control(L, 2);
    lua_getfenv(L, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 3);
    return 0;
}

/* sandbox:resize(id, rows, cols) */
static int resize(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    for (struct running *r = sandbox->commands; r; r = r->next)
        if (r->id == (uint32_t)luaL_checkinteger(L, 2))
            sandbox_resize(r, (int)luaL_checkinteger(L, 3), (int)luaL_checkinteger(L, 4));
    return 0;
}

/* sandbox:pid() -> the host's pid of the sandbox's process 1 */
static int pid(lua_State *L)
{
    lua_pushinteger(L, bind_check_sandbox(L)->pid);
    return 1;
}

/* sandbox:close() -> true | nil, message, CODE; closing twice is fine */
static int close_sandbox(lua_State *L)
{
    struct bind_sandbox_handle *handle = luaL_checkudata(L, 1, BIND_SANDBOX);
    struct err err = {0};
    bool was_open = handle->open;
    handle->open = false;
    if (was_open && sandbox_close(&handle->sandbox, &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

int bind_sandbox(lua_State *L)
{
    static const luaL_Reg methods[] = {{"start", start},
                                       {"next", next_event},
                                       {"signal", send_signal},
                                       {"resize", resize},
                                       {"network", bind_sandbox_network},
                                       {"published", bind_sandbox_published},
                                       {"set_rules", bind_sandbox_set_rules},
                                       {"serve", serve},
                                       {"blame", blame},
                                       {"commands", commands},
                                       {"rest", rest},
                                       {"watch_signals", watch_signals},
                                       {"pid", pid},
                                       {"ready", wait_ready},
                                       {"close", close_sandbox},
                                       {NULL, NULL}};
    bind_class(L, BIND_SANDBOX, methods, close_sandbox);
    bind_measure(L);
    lua_pushcfunction(L, launch_sandbox);
    return 1;
}
