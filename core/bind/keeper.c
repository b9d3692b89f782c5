/* keeper.c - core.keeper, core.cgroups, core.cgroup_io and core.sweep. */
#include "bind.h"

#include "../cgroup_io.h"
#include "../keeper.h"
#include "../leftovers.h"
#include "../plan.h"

#include <string.h>

/* core.keeper(plan, { lock_dir=, path= or nil, template= or nil, period= }) -> keeper handle | nil, message, CODE */
static int new_keeper(lua_State *L)
{
    struct plan *plan = *(struct plan **)luaL_checkudata(L, 1, BIND_PLAN);
    luaL_checktype(L, 2, LUA_TTABLE);
    const struct keeper_request request = {
        .lock_dir = bind_string_field(L, 2, "lock_dir", ""),
        .path = bind_string_field(L, 2, "path", NULL),
        .template = bind_string_field(L, 2, "template", NULL),
        .period = bind_number_field(L, 2, "period", 0),
    };
    struct keeper *keeper = lua_newuserdata(L, sizeof *keeper);
    *keeper = KEEPER_NONE;
    luaL_getmetatable(L, BIND_KEEPER);
    lua_setmetatable(L, -2);
    struct err err;
    if (keeper_start(keeper, plan, &request, &err) < 0)
        return bind_failure(L, &err);
    return 1;
}

static int close_keeper(lua_State *L)
{
    struct keeper *keeper = luaL_checkudata(L, 1, BIND_KEEPER);
    struct err err;
    if (keeper_stop(keeper, &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

int bind_keeper(lua_State *L)
{
    static const luaL_Reg methods[] = {{"close", close_keeper}, {NULL, NULL}};
    bind_class(L, BIND_KEEPER, methods, close_keeper);
    lua_pushcfunction(L, new_keeper);
    return 1;
}

/* core.sweep(directory, seconds): removes the storage folders below `directory` and the control groups that no living
 * moonbox holds and that are older than `seconds`. Returns how many went. */
static int sweep_leftovers(lua_State *L)
{
    double age = luaL_optnumber(L, 2, 10);
    int gone = leftovers_sweep_folders(luaL_checkstring(L, 1), age);
    lua_pushinteger(L, gone + leftovers_sweep_groups(cgroup_found(), age));
    return 1;
}

/* core.cgroups() -> { cpu = { version=0|1|2, parent= }, memory=, pids=, unified = path or "" } */
static int cgroups(lua_State *L)
{
    const struct cgroup_support *support = cgroup_found();
    lua_newtable(L);
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        lua_newtable(L);
        lua_pushinteger(L, support->controllers[c].version);
        lua_setfield(L, -2, "version");
        lua_pushstring(L, support->controllers[c].parent);
        lua_setfield(L, -2, "parent");
        lua_setfield(L, -2, cgroup_controller_name((enum cgroup_controller)c));
    }
    lua_pushstring(L, support->unified);
    lua_setfield(L, -2, "unified");
    return 1;
}

/* core.cgroup_io() -> 2 | 1 (reading only) | 0: the version of the groups that limit the use of disks */
static int cgroup_io(lua_State *L)
{
    lua_pushinteger(L, cgroup_io_version(cgroup_found()));
    return 1;
}

int bind_sweep(lua_State *L)
{
    lua_pushcfunction(L, sweep_leftovers);
    return 1;
}

int bind_cgroup_io(lua_State *L)
{
    lua_pushcfunction(L, cgroup_io);
    return 1;
}

int bind_cgroup(lua_State *L)
{
    lua_pushcfunction(L, cgroups);
    return 1;
}
