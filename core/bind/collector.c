/* collector.c - Lua's garbage collector in the moonbox program, which begins without it: what a start needs is never
 * garbage. In every other program it is that program's own to stop and to let work. */
#include "bind.h"

static bool stopped;

void collector_stop(lua_State *L)
{
    stopped = true;
    lua_gc(L, LUA_GCSTOP, 0);
}

/* core.collect(): lets it work from now on, where collector_stop has stopped it. A restart from Lua would begin a whole
 * cycle at once; this one waits for the usual pause, as after a cycle (lua_gc in lj_api.c: -1). */
static int collect(lua_State *L)
{
    if (stopped)
        lua_gc(L, LUA_GCRESTART, -1);
    stopped = false;
    return 0;
}

int bind_collector(lua_State *L)
{
    lua_pushcfunction(L, collect);
    return 1;
}
