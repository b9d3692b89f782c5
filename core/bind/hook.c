/* hook.c - a policy's `on.connect`, called in the gateway: a Lua function of the state that the gateway was forked with.
 *
 * That state holds handles of the supervisor's: sandboxes, keepers, files. Here they are numbers of descriptors that mean
 * something else, so their finalizers are taken away before anything is collected. */
#include "hook.h"

#include "../rlimits.h"
#include "../util.h"

#include <errno.h>
#include <luajit.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

/* What a hook may take: seconds until the gateway is ended, and bytes beyond the gateway's own. An instruction budget in
 * Lua ends what can be ended gently; this is for C string functions. */
enum { HOOK_SECONDS = 1, HOOK_MEMORY = 512 << 20 };

static struct {
    struct hook hook;
    lua_State *L;
    int decide; /* reference of the Lua function */
    char from[256];
} prepared;

struct question {
    const struct hook_flow *flow;
    char *reason;
    int verdict;
};

static void forget_handles(lua_State *L)
{
    static const char *const classes[] = {LUA_FILEHANDLE, BIND_PLAN,   BIND_SANDBOX, BIND_KEEPER, BIND_LOCK,
                                          BIND_FILE,      BIND_WORKER, BIND_RULES,   BIND_SERVANT};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        luaL_getmetatable(L, classes[i]);
        if (lua_istable(L, -1)) {
            lua_pushnil(L);
            lua_setfield(L, -2, "__gc");
        }
        lua_pop(L, 1);
    }
}

/* (pointer to struct bind_hook): calls its function, which is moonbox.hooks.connect's, and keeps what it returns. */
static int load(lua_State *L)
{
    const struct bind_hook *given = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, given->load);
    lua_call(L, 0, 3);
    if (!lua_isfunction(L, -3))
        return luaL_error(L, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "there is no hook");
    snprintf(prepared.from, sizeof prepared.from, "%s", luaL_checkstring(L, -2));
    lua_pushvalue(L, -3);
    prepared.decide = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void set_text(lua_State *L, const char *key, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static void set_count(lua_State *L, const char *key, uint64_t count)
{
    lua_pushnumber(L, (double)count);
    lua_setfield(L, -2, key);
}

static int ask(lua_State *L)
{
    struct question *question = lua_touserdata(L, 1);
    const struct hook_flow *flow = question->flow;
    lua_rawgeti(L, LUA_REGISTRYINDEX, prepared.decide);
    lua_createtable(L, 0, 12);
    set_text(L, "name", flow->name);
    set_text(L, "address", flow->address);
    set_text(L, "sni", flow->sni);
    set_text(L, "rule", flow->rule);
    set_count(L, "port", flow->port);
    set_count(L, "connections", flow->connections);
    set_count(L, "denied", flow->denied);
    set_count(L, "up", flow->up);
    set_count(L, "down", flow->down);
    lua_call(L, 1, 2);
    const char *verdict = lua_tostring(L, -2), *reason = lua_tostring(L, -1);
    snprintf(question->reason, HOOK_REASON, "%s", reason ? reason : "");
    if (!verdict)
        question->verdict = HOOK_NOTHING;
    else
        question->verdict = strcmp(verdict, "warn") == 0 ? HOOK_WARN : HOOK_DENY;
    return 0;
}

/* SIGALRM ends the gateway, and with it the sandbox's network, unless it is called off. */
static void watchdog(time_t seconds)
{
    const struct itimerval timer = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static enum hook_verdict decide(void *context, const struct hook_flow *flow, char reason[HOOK_REASON])
{
    (void)context;
    struct question question = {.flow = flow, .reason = reason, .verdict = HOOK_DENY};
    watchdog(HOOK_SECONDS);
    int failed = lua_cpcall(prepared.L, ask, &question);
    watchdog(0);
    if (!failed)
        return question.verdict;
    snprintf(reason, HOOK_REASON, "the hook failed: %s", lua_tostring(prepared.L, -1));
    lua_pop(prepared.L, 1);
    return HOOK_DENY;
}

struct hook *bind_prepare_hook(void *context, struct err *err)
{
    struct bind_hook *given = context;
    sigset_t alarm_signal;
    sigemptyset(&alarm_signal);
    sigaddset(&alarm_signal, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &alarm_signal, NULL);
    forget_handles(given->L);
    /* The gateway may not map memory that can be run, and no count hook is called in compiled code. */
    luaJIT_setmode(given->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    luaJIT_setmode(given->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    rlimits_bound_memory(HOOK_MEMORY);
    prepared.L = given->L;
    if (lua_cpcall(given->L, load, given) != 0) {
        err_set(err, EINVAL, "on.connect: %s", lua_tostring(given->L, -1));
        return NULL;
    }
    prepared.hook = (struct hook){.from = prepared.from, .connect = decide};
    return &prepared.hook;
}
