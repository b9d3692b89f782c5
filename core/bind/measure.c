/* measure.c - the methods of a sandbox's handle that look at what it uses, and that make it use less. */
#include "bind.h"
#include "handle.h"

#include "../cgroup_react.h"
#include "../cgroup_usage.h"
#include "../oom.h"
#include "../unlinked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* sandbox:ask_usage() -> true | nil, message, CODE; the answer is an event. */
static int ask_usage(lua_State *L)
{
    struct err err = {0};
    if (sandbox_ask_usage(bind_check_sandbox(L), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* sandbox:measure() -> true when a measurement of its storage folder will come as an event, false when it has none
 * | nil, message, CODE */
static int measure(lua_State *L)
{
    struct err err = {0};
    struct sandbox *sandbox = bind_check_sandbox(L);
    int asked = sandbox->keeper ? keeper_ask_measure(sandbox->keeper, &err) : 0;
    if (asked < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, asked);
    return 1;
}

/* sandbox:unlinked(seconds) -> bytes, files: deleted and still held open in its storage folder, as far as can be seen in
 * that time (core/unlinked); 0, 0 where it has none */
static int unlinked(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    struct unlinked_usage held = {0};
    if (sandbox->keeper && sandbox->keeper->path)
        unlinked_measure(sandbox->pid, sandbox->plan, luaL_checknumber(L, 2), &held);
    lua_pushnumber(L, (double)held.bytes);
    lua_pushnumber(L, (double)held.files);
    return 2;
}

static void push_disk(lua_State *L, const struct sandbox *sandbox)
{
    struct image_usage used;
    if (!sandbox->keeper || sandbox->keeper->image.mounted < 0 || image_usage(&sandbox->keeper->image, &used) < 0)
        return;
    bind_set_number(L, "disk", (double)used.bytes);
    bind_set_number(L, "inodes", (double)used.inodes);
    lua_pushboolean(L, used.full);
    lua_setfield(L, -2, "full");
}

/* sandbox:usage() -> what the kernel counts: { memory=, memory_peak=, cpu_seconds=, processes=, oom_kills=, refused=
 * (forks), pressure= { cpu=, memory=, io= } (percent of the last 10 s) }, each only where there is a controller for it,
 * and of a disk image { disk=, inodes=, full=bool }. Where commands have groups of their own, `oom_kills`
 * are init's. */
static int usage(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    struct cgroup_usage counted;
    cgroup_read_usage(&sandbox->cgroup, &counted);
    if (sandbox->leaves.group >= 0)
        counted.oom_kills = leaves_init_kills(&sandbox->leaves);
    lua_createtable(L, 0, 8);
    push_disk(L, sandbox);
    if (counted.has_memory) {
        bind_set_number(L, "memory", (double)counted.memory);
        bind_set_number(L, "memory_peak", (double)counted.memory_peak);
        bind_set_number(L, "oom_kills", (double)counted.oom_kills);
    }
    if (counted.has_cpu)
        bind_set_number(L, "cpu_seconds", (double)counted.cpu_us / 1e6);
    if (counted.processes) {
        bind_set_number(L, "processes", (double)counted.processes);
        bind_set_number(L, "refused", (double)counted.refused);
    }
    if (counted.has_pressure) {
        lua_createtable(L, 0, 3);
        bind_set_number(L, "cpu", counted.pressure[CGROUP_PRESSURE_CPU]);
        bind_set_number(L, "memory", counted.pressure[CGROUP_PRESSURE_MEMORY]);
        bind_set_number(L, "io", counted.pressure[CGROUP_PRESSURE_IO]);
        lua_setfield(L, -2, "pressure");
    }
    return 1;
}

/* sandbox:throttle(cpus) -> true | nil, message, CODE: less processor time from now on */
static int throttle(lua_State *L)
{
    struct err err = {0};
    if (cgroup_throttle(&bind_check_sandbox(L)->cgroup, luaL_checknumber(L, 2), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* sandbox:freeze(on) -> true | nil, message, CODE: stops every process of it, or lets them go on */
static int freeze(lua_State *L)
{
    struct err err = {0};
    if (sandbox_freeze(bind_check_sandbox(L), cgroup_found(), lua_toboolean(L, 2), &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* sandbox:leaves() -> whether each of its commands has a control group of its own (core/leaves) */
static int leaves(lua_State *L)
{
    lua_pushboolean(L, bind_check_sandbox(L)->leaves.group >= 0);
    return 1;
}

/* sandbox:orphan_killed() -> number, name of a leaf: of processes that the kernel killed for want of memory and that ended commands
 * had left in this group; nothing when there are none since the last call */
static int orphan_killed(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    uint64_t kills;
    const struct leaf *leaf = sandbox->leaves.group >= 0 ? leaves_orphan(&sandbox->leaves, &kills) : NULL;
    if (!leaf)
        return 0;
    lua_pushnumber(L, (double)kills);
    lua_pushstring(L, leaf->name);
    return 2;
}

/* sandbox:killed(name of a leaf or nil) -> { killed=, name=, bytes= }: whom the kernel killed in it, or in that leaf of it, for want
 * of memory, with the largest's name and size | nil where its log does not say */
static int killed(lua_State *L)
{
    const struct cgroup *group = &bind_check_sandbox(L)->cgroup;
    char name[CGROUP_MAX_PATH + 16];
    struct oom oom;
    if (group->n == 0)
        return 0;
    const char *leaf = luaL_optstring(L, 2, NULL);
    snprintf(name, sizeof name, "%s%s%s", strrchr(group->groups[0].path, '/') + 1, leaf ? "/" : "", leaf ? leaf : "");
    if (oom_find(name, &oom) < 0)
        return 0;
    lua_createtable(L, 0, 3);
    bind_set_number(L, "killed", oom.killed);
    bind_set_string(L, "name", oom.name);
    bind_set_number(L, "bytes", (double)oom.bytes);
    return 1;
}

void bind_measure(lua_State *L)
{
    static const luaL_Reg methods[] = {{"ask_usage", ask_usage},
                                       {"usage", usage},
                                       {"measure", measure},
                                       {"throttle", throttle},
                                       {"freeze", freeze},
                                       {"killed", killed},
                                       {"unlinked", unlinked},
                                       {"leaves", leaves},
                                       {"orphan_killed", orphan_killed},
                                       {NULL, NULL}};
    luaL_getmetatable(L, BIND_SANDBOX);
    lua_getfield(L, -1, "__index");
    luaL_register(L, NULL, methods);
    lua_pop(L, 2);
}
