/* bind.h - what the files of core/bind/ share. This folder is the only code that knows Lua: it checks arguments, makes
 * the handle in its closed state, calls one core function that has never heard of Lua, and returns the handle or
 * `nil, message, CODE`.  A caller's mistake raises; a failure of the world is returned. */
#ifndef MOONBOX_BIND_H
#define MOONBOX_BIND_H

#include "../err.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIND_PLAN "moonbox.plan"
#define BIND_SANDBOX "moonbox.sandbox"
#define BIND_KEEPER "moonbox.keeper"
#define BIND_LOCK "moonbox.lock"
#define BIND_FILE "moonbox.file"
#define BIND_WORKER "moonbox.worker"
#define BIND_RULES "moonbox.rules"
#define BIND_CONTROL "moonbox.control"
#define BIND_QUESTION "moonbox.question"
#define BIND_SERVANT "moonbox.servant"
#define BIND_TRANSFER "moonbox.transfer"

/* Pushes nil, the message and the code's name. Returns 3. */
int bind_failure(lua_State *L, const struct err *err);

/* Makes a metatable with methods, __gc and __index. Leaves the stack as it was. */
void bind_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);

/* Fields of the table at `index`; a wrong type raises an error that names the field. */
const char *bind_string_field(lua_State *L, int index, const char *key, const char *fallback);
double bind_number_field(lua_State *L, int index, const char *key, double fallback);
bool bind_bool_field(lua_State *L, int index, const char *key);

/* Sets a field of the table on top of the stack. */
void bind_set_number(lua_State *L, const char *key, double number);
void bind_set_string(lua_State *L, const char *key, const char *string);

/* Each pushes one value: a function or a table of functions. */
int bind_plan(lua_State *L);
int bind_sandbox(lua_State *L);
int bind_keeper(lua_State *L);
int bind_head_start(lua_State *L);
int bind_cgroup(lua_State *L);
int bind_image(lua_State *L);
int bind_cgroup_io(lua_State *L);
int bind_notify(lua_State *L);
int bind_sweep(lua_State *L);
int bind_sys(lua_State *L);
int bind_files(lua_State *L);
int bind_sacrifice(lua_State *L);
int bind_servant(lua_State *L);
int bind_seccomp(lua_State *L);
int bind_probe(lua_State *L);
int bind_yaml(lua_State *L);
int bind_rules(lua_State *L);
int bind_name(lua_State *L);
int bind_address(lua_State *L);
int bind_control(lua_State *L);
int bind_transfer(lua_State *L);
int bind_collector(lua_State *L);

/* Stops the garbage collector until core.collect() (collector.c). */
void collector_stop(lua_State *L);

/* The bytes that rules_decode reads, of the network table of a plan at `index`; mode "none" gives rules which refuse all.
 * The caller frees them. NULL with err set when a value is wrong; a field of a wrong type raises. */
void *bind_rules_encode(lua_State *L, int index, size_t *length, struct err *err);

/* The sandbox of the handle that is argument 1; raises when it is none, or closed. */
struct sandbox;
struct sandbox *bind_check_sandbox(lua_State *L);

/* Methods of a sandbox handle (network.c). */
int bind_sandbox_network(lua_State *L);
int bind_sandbox_published(lua_State *L);
int bind_sandbox_set_rules(lua_State *L);

#endif
