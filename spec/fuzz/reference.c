#include "reference.h"

#include "fuzz.h"

#include <lauxlib.h>
#include <lualib.h>

static void check(lua_State *L, int code)
{
    if (code)
        fprintf(stderr, "reference.lua: %s\n", lua_tostring(L, -1));
    MUST(code == 0);
}

lua_State *reference(const char *function)
{
    static lua_State *L;
    if (!L) {
        L = luaL_newstate();
        MUST(L);
        luaL_openlibs(L);
        check(L, luaL_loadstring(L, "package.path = './spec/?.lua;./lua/?.lua'; return require 'fuzz.reference'"));
        check(L, lua_pcall(L, 0, 1, 0));
    }
    lua_settop(L, 1);
    lua_getfield(L, 1, function);
    return L;
}

void reference_call(lua_State *L, int arguments, int results)
{
    check(L, lua_pcall(L, arguments, results, 0));
}
