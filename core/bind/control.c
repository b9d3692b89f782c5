/* control.c - core.control: the socket of a sandbox that has a supervisor of its own, from both sides. */
#include "bind.h"
#include "handle.h"

#include "../control.h"
#include "../detach.h"
#include "../leftovers.h"
#include "../sys.h"
#include "../util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Bytes of what a supervisor says when it has started, or could not. */
enum { MOST_MESSAGE = 4096 };

struct control *bind_check_control(lua_State *L, int index)
{
    struct control **handle = luaL_checkudata(L, index, BIND_CONTROL);
    if (!*handle)
        luaL_error(L, "the control socket is closed");
    return *handle;
}

/* core.control.listen(folder, grace) -> control | nil, message, CODE */
static int listen_for_clients(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    double grace = luaL_checknumber(L, 2);
    struct err err;
    struct control **handle = lua_newuserdata(L, sizeof *handle);
    *handle = NULL;
    luaL_getmetatable(L, BIND_CONTROL);
    lua_setmetatable(L, -2);
    cleanup_fd int dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_sys(&err, "open %s", folder), bind_failure(L, &err);
    return control_open(handle, dir, grace, &err) < 0 ? bind_failure(L, &err) : 1;
}

/* control:reply(client, text): answers an event of kind "request". A text that is too long is answered with nothing. */
static int reply(lua_State *L)
{
    struct control *control = bind_check_control(L, 1);
    size_t length;
    const char *text = luaL_checklstring(L, 3, &length);
    luaL_argcheck(L, length <= CONTROL_MOST_REPLY, 3, "longer than a reply may be");
    control_reply(control, (uint32_t)luaL_checknumber(L, 2), text, length);
    return 0;
}

/* control:farewell(code, sentence): what clients are told whose commands still run when the sandbox is closed. */
static int farewell(lua_State *L)
{
    control_set_farewell(bind_check_control(L, 1), (int)luaL_checkinteger(L, 2), luaL_checkstring(L, 3));
    return 0;
}

static int close_control(lua_State *L)
{
    struct control **handle = luaL_checkudata(L, 1, BIND_CONTROL);
    control_close(*handle);
    *handle = NULL;
    return 0;
}

/* core.control.connect(folder) -> a handle as of core.launch, through which commands can be started and signalled | nil,
 * message, CODE: "ECONNREFUSED" or "ENOENT" when nobody serves there */
static int connect_to(lua_State *L)
{
    struct err err;
    const char *folder = luaL_checkstring(L, 1);
    struct bind_sandbox_handle *handle = bind_new_sandbox(L);
    int fd = control_connect(folder, &err);
    if (fd < 0)
        return bind_failure(L, &err);
    sandbox_remote(&handle->sandbox, fd);
    handle->open = true;
    return 1;
}

/* core.control.ask(folder, text) -> question | nil, message, CODE: sends a request without waiting for its answer. */
static int ask(lua_State *L)
{
    size_t length;
    const char *folder = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    struct err err;
    int *fd = lua_newuserdata(L, sizeof *fd);
    *fd = -1;
    luaL_getmetatable(L, BIND_QUESTION);
    lua_setmetatable(L, -2);
    *fd = control_connect(folder, &err);
    if (*fd < 0)
        return bind_failure(L, &err);
    if (wire_offer(*fd, WIRE_ASK, 1, text, length, NULL, 0) < 0)
        return err_sys(&err, "ask the sandbox's supervisor"), bind_failure(L, &err);
    return 1;
}

/* Waits until `count` bytes are there. 0, or -1 with errno (ETIME at the deadline, EPIPE at the end). */
static int receive_all(int fd, void *bytes, size_t count, double deadline)
{
    for (char *next = bytes; count > 0;) {
        double left = deadline - util_monotonic();
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        int ready = poll(&polled, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
        ssize_t got = ready > 0 ? recv(fd, next, count, MSG_DONTWAIT) : ready;
        if ((ready < 0 || got < 0) && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0) {
            errno = ready == 0 ? ETIME : EPIPE;
            return -1;
        }
        next += got;
        count -= (size_t)got;
    }
    return 0;
}

/* question:answer(seconds) -> text | nil, message, CODE: "ETIME" when there was none in time, "EPIPE" when the supervisor
 * has gone. Ends the question. */
static int answer(lua_State *L)
{
    int *question = luaL_checkudata(L, 1, BIND_QUESTION);
    double deadline = util_monotonic() + luaL_checknumber(L, 2);
    cleanup_fd int fd = steal_fd(question);
    cleanup_free char *text = NULL;
    struct wire_header header;
    struct err err;
    if (receive_all(fd, &header, sizeof header, deadline) < 0)
        return err_sys(&err, "the sandbox's supervisor does not answer"), bind_failure(L, &err);
    if (header.type != WIRE_REPLY || header.length > CONTROL_MOST_REPLY || !(text = malloc(header.length + 1)))
        return err_set(&err, EPROTO, "the sandbox's supervisor spoke nonsense"), bind_failure(L, &err);
    if (receive_all(fd, text, header.length, deadline) < 0)
        return err_sys(&err, "the sandbox's supervisor does not answer"), bind_failure(L, &err);
    lua_pushlstring(L, text, header.length);
    return 1;
}

static int close_question(lua_State *L)
{
    util_close(luaL_checkudata(L, 1, BIND_QUESTION));
    return 0;
}

/* core.control.detach(program, { arguments }, lock, log) -> what it says when it is ready | nil, message, CODE. `lock` is of
 * sys.lock and goes with it, `log` is a path that its stderr is appended to (core/detach). */
static int detach(lua_State *L)
{
    const char *program = luaL_checkstring(L, 1), *log = luaL_checkstring(L, 4);
    luaL_checktype(L, 2, LUA_TTABLE);
    const int *lock = luaL_checkudata(L, 3, BIND_LOCK);
    char *argv[16] = {NULL}, message[MOST_MESSAGE];
    struct err err;
    size_t n = lua_objlen(L, 2), used = 0;
    luaL_argcheck(L, n > 0 && n < ARRAY_LEN(argv), 2, "a few arguments");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        argv[i] = (char *)(uintptr_t)luaL_checkstring(L, -1); /* they stay on the stack */
    }
    cleanup_fd int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return err_sys(&err, "open %s", log), bind_failure(L, &err);
    const struct detach_request request = {program, argv, *lock, out};
    cleanup_fd int from = detach_start(&request, &err);
    if (from < 0)
        return bind_failure(L, &err);
    for (ssize_t got = 1; got != 0 && used < sizeof message;) {
        got = read(from, message + used, sizeof message - used);
        if (got < 0 && errno != EINTR)
            break;
        used += got > 0 ? (size_t)got : 0;
    }
    lua_pushlstring(L, message, used);
    return 1;
}

/* core.control.tell(text): a detached program's message to whoever started it; it can only be given once. */
static int tell(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    (void)!util_write_all(4, text, length < MOST_MESSAGE ? length : MOST_MESSAGE);
    close(4);
    return 0;
}

/* core.control.clean(directory, name, seconds) -> whether nothing is left (core/leftovers) of a sandbox whose supervisor is
 * dead: storage below `directory`, control groups */
static int clean(lua_State *L)
{
    const char *directory = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
    /* The name comes from a record: only what moonbox.sandbox gives its boxes is joined to a path. */
    bool fine = strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16;
    lua_pushboolean(L, !fine || leftovers_remove(cgroup_found(), directory, name, luaL_checknumber(L, 3)));
    return 1;
}

/* core.control.kill(pid, started) -> true when it was sent SIGKILL, false when no process of that pid began at `started`
 * (field 22 of proc(5)'s stat) */
static int kill_process(lua_State *L)
{
    pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    const char *started = luaL_checkstring(L, 2);
    char path[64], text[2048], *field = NULL, *save = NULL;
    cleanup_fd int pidfd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (pidfd >= 0 && util_read_file(AT_FDCWD, path, text, sizeof text) > 0 && (field = strrchr(text, ')')))
        field = strtok_r(field + 1, " ", &save);
    for (int number = 3; field && number < 22; number++)
        field = strtok_r(NULL, " ", &save);
    lua_pushboolean(L, field && strcmp(field, started) == 0 && sys_pidfd_send_signal(pidfd, SIGKILL) == 0);
    return 1;
}

int bind_control(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"reply", reply}, {"farewell", farewell}, {"close", close_control}, {NULL, NULL}};
    static const luaL_Reg question[] = {{"answer", answer}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"listen", listen_for_clients}, {"connect", connect_to}, {"ask", ask}, {"detach", detach}, {"clean", clean},
        {"kill", kill_process},         {"tell", tell},          {NULL, NULL}};
    bind_class(L, BIND_CONTROL, methods, close_control);
    bind_class(L, BIND_QUESTION, question, close_question);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
