/* moonbox.core.seccomp: the filters as data, for specs and for `moonbox doctor`. Nothing here installs one.
 */
#include "../seccomp.h"

#include <lauxlib.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <lua.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "moonbox knows the system calls of x86-64 and aarch64"
#endif

int bind_seccomp(lua_State *L);

static enum seccomp_profile check_profile(lua_State *L, int index)
{
    struct err err;
    int profile = seccomp_find_profile(luaL_checkstring(L, index), &err);
    if (profile < 0)
        luaL_argerror(L, index, err.text);
    return (enum seccomp_profile)profile;
}

/* profiles() -> array of names */
static int profiles(lua_State *L)
{
    lua_createtable(L, SECCOMP_PROFILES, 0);
    for (int i = 0; i < SECCOMP_PROFILES; i++) {
        lua_pushstring(L, seccomp_profile_names[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* table(profile) -> { [number] = "allow" | "conditional" | "EPERM" | "ENOSYS" }, { [number] = name } */
static int table(lua_State *L)
{
    enum seccomp_profile profile = check_profile(L, 1);
    int number;
    const char *name, *answer;
    lua_newtable(L);
    lua_newtable(L);
    for (size_t i = 0; seccomp_row(profile, i, &number, &name, &answer) == 0; i++) {
        lua_pushstring(L, answer);
        lua_rawseti(L, -3, number);
        lua_pushstring(L, name);
        lua_rawseti(L, -2, number);
    }
    return 2;
}

static void push_number(lua_State *L, const char *key, lua_Number value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

/* program(profile, use) -> { { name =, { code =, jt =, jf =, k = }, ... }, ... } in the order of installation; `use` is
 * "all" (or left out), "init" or "command" */
static int program(lua_State *L)
{
    static const char *const names[] = {"all", "init", "command", NULL};
    enum seccomp_profile profile = check_profile(L, 1);
    enum seccomp_use use = (enum seccomp_use)luaL_checkoption(L, 2, "all", names);
    lua_createtable(L, (int)seccomp_count(use), 0);
    for (size_t i = 0; i < seccomp_count(use); i++) {
        struct seccomp_program p = seccomp_program(profile, use, i);
        lua_createtable(L, (int)p.length, 1);
        lua_pushstring(L, p.name);
        lua_setfield(L, -2, "name");
        for (size_t at = 0; at < p.length; at++) {
            lua_createtable(L, 0, 4);
            push_number(L, "code", p.code[at].code);
            push_number(L, "jt", p.code[at].jt);
            push_number(L, "jf", p.code[at].jf);
            push_number(L, "k", p.code[at].k);
            lua_rawseti(L, -2, (int)at + 1);
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* Pushes the module's table: profiles, table, program, and arch (AUDIT_ARCH_* of this build). */
int bind_seccomp(lua_State *L)
{
    static const luaL_Reg functions[] = {{"profiles", profiles}, {"table", table}, {"program", program}, {NULL, NULL}};
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    push_number(L, "arch", NATIVE_ARCH);
    return 1;
}
