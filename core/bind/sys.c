/* sys.c - core.sys: what Lua's own library lacks of the host: clocks, ids, signals, the terminal, the environment. */
#include "bind.h"

#include "../sys.h"
#include "../util.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int failure(lua_State *L, const char *what)
{
    struct err err;
    err_sys(&err, "%s", what);
    return bind_failure(L, &err);
}

/* monotonic() -> seconds; no clock change moves it */
static int monotonic(lua_State *L)
{
    lua_pushnumber(L, util_monotonic());
    return 1;
}

/* realtime() -> seconds since 1970 UTC */
static int realtime(lua_State *L)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushnumber(L, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    return 1;
}

/* sleep(seconds) -> true, or false when a signal came first */
static int sleep_for(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 1, "is a number of seconds from 0 to 86400");
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)};
    lua_pushboolean(L, nanosleep(&time, NULL) == 0);
    return 1;
}

static int effective_uid(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)geteuid());
    return 1;
}

static int process_id(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

/* isatty(fd) -> boolean */
static int is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* winsize(fd) -> rows, columns | nil, message, CODE */
static int window_size(lua_State *L)
{
    struct winsize size;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) < 0)
        return failure(L, "read the terminal's size");
    lua_pushinteger(L, size.ws_row);
    lua_pushinteger(L, size.ws_col);
    return 2;
}

static struct termios saved_terminal;
static int raw_fd = -1;

static void restore_terminal(void)
{
    if (raw_fd >= 0)
        tcsetattr(raw_fd, TCSADRAIN, &saved_terminal);
    raw_fd = -1;
}

/* raw(fd): passes every key through, until cooked() or the end of the process. -> true | nil, message, CODE */
static int raw_terminal(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    struct termios raw;
    if (tcgetattr(fd, &saved_terminal) < 0)
        return failure(L, "read the terminal's settings");
    raw = saved_terminal;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
        return failure(L, "set the terminal up");
    if (raw_fd < 0)
        atexit(restore_terminal);
    raw_fd = fd;
    lua_pushboolean(L, 1);
    return 1;
}

static int cooked_terminal(lua_State *L)
{
    (void)L;
    restore_terminal();
    return 0;
}

static int current_directory(lua_State *L)
{
    char path[PATH_MAX];
    if (!getcwd(path, sizeof path))
        return failure(L, "getcwd");
    lua_pushstring(L, path);
    return 1;
}

/* executable() -> absolute path of the running program | nil, message, CODE */
static int executable(lua_State *L)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length < 0)
        return failure(L, "read /proc/self/exe");
    lua_pushlstring(L, path, (size_t)length);
    return 1;
}

static int host_name(lua_State *L)
{
    char name[HOST_NAME_MAX + 1] = "";
    if (gethostname(name, sizeof name - 1) < 0)
        return failure(L, "gethostname");
    lua_pushstring(L, name);
    return 1;
}

/* environ() -> array of "NAME=value" */
static int environment(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; environ && environ[i]; i++) {
        lua_pushstring(L, environ[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* random_hex(n) -> 2n hexadecimal digits of getrandom(2); n is 1 to 64 */
static int random_hex(lua_State *L)
{
    unsigned char bytes[64];
    char text[2 * sizeof bytes + 1];
    lua_Integer n = luaL_checkinteger(L, 1);
    if (n < 1 || n > (lua_Integer)sizeof bytes)
        return luaL_argerror(L, 1, "1 to 64 bytes");
    if (getrandom(bytes, (size_t)n, 0) != (ssize_t)n)
        return failure(L, "getrandom");
    for (lua_Integer i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    lua_pushlstring(L, text, 2 * (size_t)n);
    return 1;
}

/* write(fd, text) -> true | nil, message, CODE; all of it */
static int write_text(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    if (util_write_all((int)luaL_checkinteger(L, 1), text, length) < 0)
        return failure(L, "write");
    lua_pushboolean(L, 1);
    return 1;
}

/* hold_signals(): the signals of sys_ending_signals wait from now on, until a sandbox that watches them takes them;
 * writing to a pipe that nobody reads is an error (EPIPE) instead of the end. */
static int hold_signals(lua_State *L)
{
    sigset_t ending;
    (void)L;
    sys_ending_signals(&ending);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

/* held_signal() -> the name of an ending signal that waits, "INT", or nil. It goes on waiting. */
static int held_signal(lua_State *L)
{
    static const struct {
        int number;
        const char *name;
    } ending[] = {{SIGINT, "INT"}, {SIGTERM, "TERM"}, {SIGQUIT, "QUIT"}, {SIGHUP, "HUP"}};
    sigset_t waiting;
    if (sigpending(&waiting) < 0)
        return failure(L, "sigpending");
    for (size_t i = 0; i < ARRAY_LEN(ending); i++) {
        if (sigismember(&waiting, ending[i].number) == 1) {
            lua_pushstring(L, ending[i].name);
            return 1;
        }
    }
    return 0;
}

int bind_sys(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"monotonic", monotonic},      {"realtime", realtime},
        {"euid", effective_uid},       {"pid", process_id},
        {"isatty", is_terminal},       {"winsize", window_size},
        {"raw", raw_terminal},         {"cooked", cooked_terminal},
        {"getcwd", current_directory}, {"executable", executable},
        {"hostname", host_name},       {"environ", environment},
        {"write", write_text},         {"random_hex", random_hex},
        {"sleep", sleep_for},          {"hold_signals", hold_signals},
        {"held_signal", held_signal},  {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
