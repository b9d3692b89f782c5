/* head_start.c - core.head_start: the sandbox that `moonbox exec` began before Lua was there. */
#include "bind.h"
#include "handle.h"

#include "../head_start.h"

#include <string.h>

static struct head_start_terms terms_of(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TTABLE);
    return (struct head_start_terms){.pin = (int)bind_number_field(L, 2, "pin", 0),
                                     .keeper = bind_bool_field(L, 2, "keeper"),
                                     .groups_late = bind_bool_field(L, 2, "groups_late")};
}

/* core.head_start.take(plan, { pin=, keeper=bool, groups_late=bool }) -> sandbox handle, name, keeper handle or nil,
 * number of the command that runs in it or nil, since when (monotonic seconds) | nothing | false (a command ran) */
static int take(lua_State *L)
{
    struct plan *plan = *(struct plan **)luaL_checkudata(L, 1, BIND_PLAN);
    const struct head_start_terms terms = terms_of(L);
    struct head_start_taken taken;
    struct bind_sandbox_handle *handle = bind_new_sandbox(L);
    struct keeper *keeper = lua_newuserdata(L, sizeof *keeper);
    *keeper = KEEPER_NONE;
    luaL_getmetatable(L, BIND_KEEPER);
    lua_setmetatable(L, -2);
    int at = lua_gettop(L);
    lua_createtable(L, 2, 0); /* the handle keeps both alive */
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, at);
    lua_rawseti(L, -2, 2);
    lua_setfenv(L, at - 1);
    int got = head_start_take(plan, &terms, &handle->sandbox, keeper, &taken);
    if (got <= 0) {
        lua_pushboolean(L, false);
        return got < 0 ? 1 : 0;
    }
    handle->open = true;
    lua_pushvalue(L, at - 1);
    lua_pushstring(L, taken.name);
    if (terms.keeper)
        lua_pushvalue(L, at);
    else
        lua_pushnil(L);
    if (taken.command == 0)
        return 3;
    lua_pushinteger(L, (lua_Integer)taken.command);
    lua_pushnumber(L, taken.began);
    return 5;
}

/* core.head_start.keep(plan, { pin=, keeper=bool, groups_late=bool }, files or nil); files as of core/warrant.h */
static int keep(lua_State *L)
{
    const struct head_start_terms terms = terms_of(L);
    size_t length = 0;
    const char *files = luaL_optlstring(L, 3, "", &length);
    head_start_keep(*(struct plan **)luaL_checkudata(L, 1, BIND_PLAN), &terms, files, length);
    return 0;
}

/* core.head_start.drop() */
static int drop(lua_State *L)
{
    (void)L;
    head_start_drop();
    return 0;
}

int bind_head_start(lua_State *L)
{
    static const luaL_Reg functions[] = {{"take", take}, {"keep", keep}, {"drop", drop}, {NULL, NULL}};
    lua_createtable(L, 0, 3);
    luaL_register(L, NULL, functions);
    return 1;
}
