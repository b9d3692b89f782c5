/* main.c - the program `moonbox`: LuaJIT with moonbox's Lua modules inside. */
#include "arguments.h"
#include "bind/bind.h"
#include "early_command.h"
#include "head_start.h"
#include "modules.h"
#include "quick.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int luaopen_moonbox_core(lua_State *L);

enum { EXIT_INTERNAL = 70 };

/* package.preload of an embedded module: its name is the first argument. */
static int load_embedded(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    for (const struct embedded_module *m = embedded_modules; m->name; m++)
        if (strcmp(m->name, name) == 0) {
            if (luaL_loadbuffer(L, (const char *)m->code, m->length, m->name) != 0)
                return lua_error(L);
            lua_pushvalue(L, 1);
            lua_call(L, 1, 1);
            return 1;
        }
    return luaL_error(L, "no module called %s", name);
}

static void preload(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    for (const struct embedded_module *m = embedded_modules; m->name; m++) {
        lua_pushcfunction(L, load_embedded);
        lua_setfield(L, -2, m->name);
    }
    lua_pushcfunction(L, luaopen_moonbox_core);
    lua_setfield(L, -2, "moonbox.core");
    /* Modules come from inside the program and from nowhere else: not from the directory it is started in. */
    lua_pushliteral(L, "");
    lua_setfield(L, -3, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -3, "cpath");
    lua_pop(L, 2);
}

static int protected_main(lua_State *L)
{
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonbox.main");
    lua_call(L, 1, 1);
    lua_createtable(L, argc, 0);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 1, 1);
    return 1;
}

static int traceback(lua_State *L)
{
    const char *message = lua_tostring(L, 1);
    luaL_traceback(L, L, message ? message : "an error that is no text", 1);
    return 1;
}

/* Where 0, 1 or 2 is closed, the next descriptor that is made would pass for it. */
static bool keep_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
    return fd > 2;
}

int main(int argc, char **argv)
{
    int code = EXIT_INTERNAL;
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && !keep_standard_descriptors()) {
            fprintf(stderr, "moonbox: descriptor %d is closed, and /dev/null can't be opened in its place\n", fd);
            return code;
        }
    signal(SIGXFSZ, SIG_IGN); /* what can't be written for a limit of the caller's is said (EFBIG) */
    if (quick_exec(argc, argv, &code))
        return code;
    arguments_note(argc, argv);
    head_start_begin(argc, argv);
    if (early_command(argc, argv, &code))
        return code;
    lua_State *L = luaL_newstate();
    if (!L) {
        fputs("moonbox: out of memory\n", stderr);
        return EXIT_INTERNAL;
    }
    luaL_openlibs(L);
    /* A run is over before compiled code would pay for its compilation. */
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    collector_stop(L);
    preload(L);
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, protected_main);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    if (lua_pcall(L, 2, 1, 1) != 0)
        fprintf(stderr, "moonbox: internal error: %s\n", lua_tostring(L, -1));
    else
        code = (int)lua_tointeger(L, -1);
    head_start_drop();
    /* The state goes with the process: taking it apart would only cost time. */
    fflush(NULL);
    return code;
}
