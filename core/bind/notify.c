/* notify.c - core.notify. */
#include "bind.h"

#include "../notify.h"

enum { MAX_ARGUMENTS = 64 };

/* core.notify(argv, text) -> true | nil, message, CODE: starts a command of the host with this input, and goes on */
static int notify(lua_State *L)
{
    const char *argv[MAX_ARGUMENTS + 1] = {NULL};
    size_t length, n = (luaL_checktype(L, 1, LUA_TTABLE), lua_objlen(L, 1));
    const char *text = luaL_checklstring(L, 2, &length);
    if (n < 1 || n > MAX_ARGUMENTS)
        return luaL_error(L, "a command has 1 to %d arguments", MAX_ARGUMENTS);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        argv[i] = luaL_checkstring(L, -1); /* stays on the stack */
    }
    struct err err;
    if (notify_start(argv, text, length, &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

int bind_notify(lua_State *L)
{
    lua_pushcfunction(L, notify);
    return 1;
}
