/* moonbox.core.probe: what this host allows, as plain facts. */
#include "../probe.h"

#include "bind.h"

/* all(folder) -> { { name =, ok =, detail =, code = "EPERM" or absent }, ... }. `folder` exists and lies on
 * the filesystem that will hold moonbox's state. */
static int all(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    lua_newtable(L);
    for (size_t i = 0; probe_name(i); i++) {
        struct probe_fact fact;
        probe_run(i, folder, &fact);
        lua_createtable(L, 0, 4);
        lua_pushstring(L, probe_name(i));
        lua_setfield(L, -2, "name");
        lua_pushboolean(L, fact.ok);
        lua_setfield(L, -2, "ok");
        lua_pushstring(L, fact.detail);
        lua_setfield(L, -2, "detail");
        if (fact.error) {
            lua_pushstring(L, err_name(fact.error));
            lua_setfield(L, -2, "code");
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

int bind_probe(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, all);
    lua_setfield(L, -2, "all");
    return 1;
}
