/* plan.c - decodes a plan, the table that `moonbox plan --json` prints, into struct plan. A field of a wrong type
 * raises: plans come from moonbox.plan, which has checked everything that an operator wrote. */
#include "bind.h"

#include "../caps.h"
#include "../plan.h"
#include "../rlimits.h"
#include "../seccomp.h"

#include <stdlib.h>
#include <string.h>

static const char *const mount_kinds[] = {"bind", "symlink", "file",      "writable", "tmpfs",
                                          "proc", "dev",     "read_only", "mask",     NULL};
static const char *const storage_kinds[] = {"memory", "disk", NULL};
static const char *const ids_kinds[] = {"own", "subordinate", NULL};

static char *copy(lua_State *L, const char *string)
{
    char *copied = string ? strdup(string) : NULL;
    if (string && !copied)
        luaL_error(L, "out of memory");
    return copied;
}

static char *copy_field(lua_State *L, int index, const char *key)
{
    const char *value = bind_string_field(L, index, key, NULL);
    if (!value)
        luaL_error(L, "plan: field '%s' is missing", key);
    return copy(L, value);
}

static int choice(lua_State *L, int index, const char *key, const char *const *names, const char *fallback)
{
    const char *value = bind_string_field(L, index, key, fallback);
    for (int i = 0; value && names[i]; i++)
        if (strcmp(names[i], value) == 0)
            return i;
    return luaL_error(L, "plan: field '%s' can't be '%s'", key, value ? value : "nil");
}

/* Pushes a field that must be a table. */
static void push_table(lua_State *L, int index, const char *key)
{
    lua_getfield(L, index, key);
    if (!lua_istable(L, -1))
        luaL_error(L, "plan: field '%s' must be a table", key);
}

static void decode_mount(lua_State *L, struct mount_row *row)
{
    int at = lua_gettop(L);
    luaL_checktype(L, at, LUA_TTABLE);
    row->kind = (enum mount_kind)choice(L, at, "kind", mount_kinds, NULL);
    row->target = copy_field(L, at, "target");
    if (row->kind == MOUNT_BIND)
        row->source = copy_field(L, at, "source");
    if (row->kind == MOUNT_FILE)
        row->text = copy_field(L, at, "text");
    if (row->kind == MOUNT_SYMLINK)
        row->text = copy_field(L, at, "to");
    row->from = copy(L, bind_string_field(L, at, "from", NULL));
    row->mode = (mode_t)bind_number_field(L, at, "mode", row->kind == MOUNT_FILE ? 0644 : 0755);
    row->size = (uint64_t)bind_number_field(L, at, "size", 0);
    row->inodes = (uint64_t)bind_number_field(L, at, "inodes", 0);
    row->read_only = bind_bool_field(L, at, "read_only");
    row->optional = bind_bool_field(L, at, "optional");
    row->as_agent = bind_bool_field(L, at, "as_agent");
    if (row->kind == MOUNT_TMPFS && (row->size == 0 || row->inodes == 0))
        luaL_error(L, "plan: %s has no size or no inodes: a tmpfs without a limit is not made", row->target);
}

static void decode_mounts(lua_State *L, struct plan *plan, int at)
{
    push_table(L, at, "mounts");
    size_t n = lua_objlen(L, -1);
    plan->mounts = calloc(n + 1, sizeof *plan->mounts);
    if (!plan->mounts)
        luaL_error(L, "out of memory");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        plan->n_mounts = i + 1;
        decode_mount(L, &plan->mounts[i]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void decode_storage(lua_State *L, struct plan *plan, int at)
{
    push_table(L, at, "storage");
    int storage = lua_gettop(L);
    plan->storage = (enum plan_storage)choice(L, storage, "kind", storage_kinds, NULL);
    plan->storage_size = (uint64_t)bind_number_field(L, storage, "size", 0);
    plan->storage_inodes = (uint64_t)bind_number_field(L, storage, "inodes", 0);
    if (plan->storage == STORAGE_MEMORY && (plan->storage_size == 0 || plan->storage_inodes == 0))
        luaL_error(L, "plan: storage in memory needs a size and inodes");
    lua_pop(L, 1);
}

static void decode_process(lua_State *L, struct plan *plan, int at)
{
    struct err err;
    push_table(L, at, "process");
    int process = lua_gettop(L);
    plan->umask = (mode_t)bind_number_field(L, process, "umask", 022);
    plan->low_ports = bind_bool_field(L, process, "low_ports");
    plan->seccomp_profile = seccomp_find_profile(bind_string_field(L, process, "syscalls", "default"), &err);
    if (plan->seccomp_profile < 0)
        luaL_error(L, "plan: %s", err.text);
    push_table(L, process, "capabilities");
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        int cap = caps_from_name(luaL_checkstring(L, -1));
        if (cap < 0)
            luaL_error(L, "plan: no capability is called '%s'", lua_tostring(L, -1));
        plan->capabilities |= 1ull << cap;
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

static void decode_rlimits(lua_State *L, struct plan *plan, int at)
{
    push_table(L, at, "rlimits");
    size_t n = lua_objlen(L, -1);
    plan->rlimits = calloc(n + 1, sizeof *plan->rlimits);
    if (!plan->rlimits)
        luaL_error(L, "out of memory");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        int row = lua_gettop(L);
        const char *name = bind_string_field(L, row, "name", "");
        plan->rlimits[i].resource = rlimits_from_name(name);
        if (plan->rlimits[i].resource < 0)
            luaL_error(L, "plan: no resource limit is called '%s'", name);
        plan->rlimits[i].hard = (uint64_t)bind_number_field(L, row, "hard", 0);
        plan->rlimits[i].soft = (uint64_t)bind_number_field(L, row, "soft", (double)plan->rlimits[i].hard);
        plan->n_rlimits = i + 1;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void decode_env(lua_State *L, struct plan *plan, int at)
{
    push_table(L, at, "env");
    size_t n = lua_objlen(L, -1);
    plan->env = calloc(n + 1, sizeof *plan->env);
    if (!plan->env)
        luaL_error(L, "out of memory");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        plan->env[i] = copy(L, luaL_checkstring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void decode_limits(lua_State *L, struct plan *plan, int at)
{
    push_table(L, at, "limits");
    int limits = lua_gettop(L);
    plan->cpus = bind_number_field(L, limits, "cpus", 0);
    plan->memory = (uint64_t)bind_number_field(L, limits, "memory", 0);
    plan->processes = (uint64_t)bind_number_field(L, limits, "processes", 0);
    plan->disk_read = (uint64_t)bind_number_field(L, limits, "disk_read", 0);
    plan->disk_write = (uint64_t)bind_number_field(L, limits, "disk_write", 0);
    plan->disk_read_ops = (uint64_t)bind_number_field(L, limits, "disk_read_ops", 0);
    plan->disk_write_ops = (uint64_t)bind_number_field(L, limits, "disk_write_ops", 0);
    lua_pop(L, 1);
}

static void decode_user(lua_State *L, struct plan *plan, int at)
{
    push_table(L, at, "user");
    int user = lua_gettop(L);
    plan->uid = (uid_t)bind_number_field(L, user, "uid", 1000);
    plan->gid = (gid_t)bind_number_field(L, user, "gid", 1000);
    if (plan->uid == 0 || plan->gid == 0)
        luaL_error(L, "plan: the agent can't be uid or gid 0");
    lua_pop(L, 1);
}

static bool has_publish_row(lua_State *L, int network)
{
    bool found = false;
    lua_getfield(L, network, "rules");
    for (size_t i = 1; !found && lua_istable(L, -1) && i <= lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, (int)i);
        found = strcmp(bind_string_field(L, lua_gettop(L), "word", ""), "publish") == 0;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}

static void decode_network(lua_State *L, struct plan *plan, int at)
{
    struct err err;
    push_table(L, at, "network");
    int network = lua_gettop(L);
    if (strcmp(bind_string_field(L, network, "mode", "none"), "none") != 0) {
        plan->rules = bind_rules_encode(L, network, &plan->rules_length, &err);
        if (!plan->rules)
            luaL_error(L, "plan: %s", err.text);
        plan->publishes = has_publish_row(L, network);
    }
    lua_pop(L, 1);
}

/* core.plan(table) -> plan handle */
static int new_plan(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct plan **handle = lua_newuserdata(L, sizeof *handle);
    *handle = NULL;
    luaL_getmetatable(L, BIND_PLAN);
    lua_setmetatable(L, -2);
    struct plan *plan = *handle = calloc(1, sizeof *plan);
    if (!plan)
        return luaL_error(L, "out of memory");
    if (bind_number_field(L, 1, "version", 0) != 1)
        return luaL_error(L, "plan: this program executes plans of version 1");
    plan->policy = copy_field(L, 1, "policy");
    plan->hostname = copy_field(L, 1, "hostname");
    plan->cwd = copy_field(L, 1, "cwd");
    plan->ids = (enum plan_ids)choice(L, 1, "ids", ids_kinds, "own");
    decode_user(L, plan, 1);
    decode_mounts(L, plan, 1);
    decode_storage(L, plan, 1);
    decode_process(L, plan, 1);
    decode_rlimits(L, plan, 1);
    decode_limits(L, plan, 1);
    decode_network(L, plan, 1);
    decode_env(L, plan, 1);
    return 1;
}

static int free_plan(lua_State *L)
{
    struct plan **handle = luaL_checkudata(L, 1, BIND_PLAN);
    plan_free(*handle);
    *handle = NULL;
    return 0;
}

int bind_plan(lua_State *L)
{
    static const luaL_Reg methods[] = {{NULL, NULL}};
    bind_class(L, BIND_PLAN, methods, free_plan);
    lua_pushcfunction(L, new_plan);
    return 1;
}
