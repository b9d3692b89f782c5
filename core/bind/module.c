/* module.c - the Lua module "moonbox.core". */
#include "bind.h"

#include "../arguments.h"
#include "../failpoint.h"
#include "../version.h"

#include <lua.h>

int bind_failure(lua_State *L, const struct err *err)
{
    lua_pushnil(L);
    lua_pushstring(L, err->text);
    lua_pushstring(L, err_name(err->code));
    return 3;
}

void bind_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

const char *bind_string_field(lua_State *L, int index, const char *key, const char *fallback)
{
    lua_getfield(L, index, key);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "field '%s' must be a string, not a %s", key, luaL_typename(L, -1));
    const char *value = lua_isnil(L, -1) ? fallback : lua_tostring(L, -1);
    lua_pop(L, 1); /* the table still holds it */
    return value;
}

double bind_number_field(lua_State *L, int index, const char *key, double fallback)
{
    lua_getfield(L, index, key);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "field '%s' must be a number, not a %s", key, luaL_typename(L, -1));
    double value = lua_isnil(L, -1) ? fallback : lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

bool bind_bool_field(lua_State *L, int index, const char *key)
{
    lua_getfield(L, index, key);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

void bind_set_number(lua_State *L, const char *key, double number)
{
    lua_pushnumber(L, number);
    lua_setfield(L, -2, key);
}

void bind_set_string(lua_State *L, const char *key, const char *string)
{
    lua_pushstring(L, string);
    lua_setfield(L, -2, key);
}

#ifdef MOONBOX_FAILPOINTS
/* core.failpoint(part, step) -> true | nil, message, CODE */
static int failpoint_of(lua_State *L)
{
    struct err err;
    if (failpoint(luaL_checkstring(L, 1), luaL_checkstring(L, 2), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}
#endif

static const struct {
    const char *name;
    int (*push)(lua_State *);
} parts[] = {
    {"plan", bind_plan},
    {"launch", bind_sandbox},
    {"keeper", bind_keeper},
    {"cgroups", bind_cgroup},
    {"sweep", bind_sweep},
    {"sys", bind_sys},
    {"sacrifice", bind_sacrifice},
    {"seccomp", bind_seccomp},
    {"probe", bind_probe},
    {"yaml", bind_yaml},
    {"rules", bind_rules},
    {"name", bind_name},
    {"address", bind_address},
    {"servant", bind_servant},
    {"image", bind_image},
    {"notify", bind_notify},
    {"control", bind_control},
    {"transfer", bind_transfer},
    {"head_start", bind_head_start},
    {"cgroup_io", bind_cgroup_io},
    {"collect", bind_collector},
};

int luaopen_moonbox_core(lua_State *L);
int luaopen_moonbox_core(lua_State *L)
{
    arguments_find();
    lua_newtable(L);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        parts[i].push(L);
        lua_setfield(L, -2, parts[i].name);
    }
    lua_getfield(L, -1, "sys");
    bind_files(L);
    lua_pop(L, 1);
    lua_pushstring(L, MOONBOX_VERSION);
    lua_setfield(L, -2, "version");
#ifdef MOONBOX_FAILPOINTS
    lua_pushcfunction(L, failpoint_of);
    lua_setfield(L, -2, "failpoint");
#endif
    return 1;
}
