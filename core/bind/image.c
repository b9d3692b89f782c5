/* image.c - core.image: whether there can be disk images, and their templates. */
#include "bind.h"

#include "../image.h"

/* possible() -> true | nil, why, CODE */
static int possible(lua_State *L)
{
    struct err err;
    if (image_possible(&err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* try(directory) -> true | nil, why, CODE */
static int try_here(lua_State *L)
{
    struct err err;
    if (image_try(luaL_checkstring(L, 1), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* make_template(path, bytes, inodes) -> true | nil, message, CODE */
static int make_template(lua_State *L)
{
    struct err err;
    if (image_make_template(luaL_checkstring(L, 1), (uint64_t)luaL_checknumber(L, 2), (uint64_t)luaL_checknumber(L, 3),
                            &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

int bind_image(lua_State *L)
{
    static const luaL_Reg functions[] = {{"possible", possible}, {"try", try_here}, {"make_template", make_template}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
