/* moonbox.core.probe: what this host allows, as plain facts. */
#include "bind.h"

#include "../probe.h"

#include <string.h>

static void push_fact(lua_State *L, size_t index, const char *folder)
{
    struct probe_fact fact;
    probe_run(index, folder, &fact);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, probe_name(index));
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, fact.ok);
    lua_setfield(L, -2, "ok");
    lua_pushstring(L, fact.detail);
    lua_setfield(L, -2, "detail");
    if (fact.error) {
        lua_pushstring(L, err_name(fact.error));
        lua_setfield(L, -2, "code");
    }
}

/* all(folder) -> { { name =, ok =, detail =, code = "EPERM" or absent }, ... }. `folder` exists and lies on
 * the filesystem that will hold moonbox's state. */
static int all(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    lua_newtable(L);
    for (size_t i = 0; probe_name(i); i++) {
        push_fact(L, i, folder);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* one(name, folder) -> a fact as in all() */
static int one(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *folder = luaL_checkstring(L, 2);
    for (size_t i = 0; probe_name(i); i++)
        if (strcmp(probe_name(i), name) == 0) {
            push_fact(L, i, folder);
            return 1;
        }
    return luaL_error(L, "there is no probe called '%s'", name);
}

int bind_probe(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, one);
    lua_setfield(L, -2, "one");
    lua_pushcfunction(L, all);
    lua_setfield(L, -2, "all");
    return 1;
}
