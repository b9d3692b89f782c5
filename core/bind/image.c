/* image.c - core.image: whether there can be disk images, and their templates; and the disk that files are on. */
#include "bind.h"

#include "../block.h"
#include "../image.h"
#include "../util.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

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

/* disk(path) -> "MAJOR:MINOR" of the whole disk that path is on | nil, why, CODE */
static int disk(lua_State *L)
{
    struct err err = {0};
    const char *path = luaL_checkstring(L, 1);
    dev_t number;
    cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        err_sys(&err, "open %s", path);
    if (fd < 0 || block_disk(fd, &number, &err) < 0)
        return bind_failure(L, &err);
    lua_pushfstring(L, "%d:%d", (int)major(number), (int)minor(number));
    return 1;
}

int bind_image(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"possible", possible}, {"try", try_here}, {"make_template", make_template}, {"disk", disk}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
