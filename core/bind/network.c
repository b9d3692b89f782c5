/* network.c - what the sandbox handle says and does about its gateway. */
#include "../sandbox.h"
#include "bind.h"

/* sandbox:network() -> { mode="exact" or "accept", connections=, denied=, up=, down=, cpu_seconds= } of its gateway,
 * nil without one
 * | nil, message, CODE */
int bind_sandbox_network(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    struct gateway_counters counted;
    struct err err = {0};
    if (sandbox->gateway.control < 0)
        return 0;
    if (gateway_count(&sandbox->gateway, &counted, &err) < 0)
        return bind_failure(L, &err);
    lua_createtable(L, 0, 6);
    bind_set_string(L, "mode", counted.mode == CAPTURE_EXACT ? "exact" : "accept");
    bind_set_number(L, "connections", (double)counted.opened);
    bind_set_number(L, "denied", (double)counted.denied);
    bind_set_number(L, "up", (double)counted.up);
    bind_set_number(L, "down", (double)counted.down);
    bind_set_number(L, "cpu_seconds", (double)counted.cpu_us / 1e6);
    return 1;
}

/* sandbox:published() -> { { port=, address=, host_port= }, ... } in the order of the plan's publish rows and their ports */
int bind_sandbox_published(lua_State *L)
{
    const struct published_ports *ports = &bind_check_sandbox(L)->published;
    lua_createtable(L, (int)ports->n, 0);
    for (size_t i = 0; i < ports->n; i++) {
        char text[ADDRESS_TEXT];
        address_format(&ports->ports[i].on, text);
        lua_createtable(L, 0, 3);
        bind_set_number(L, "port", ports->ports[i].port);
        bind_set_string(L, "address", text);
        bind_set_number(L, "host_port", ports->ports[i].on_port);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* sandbox:set_rules(bytes of core.rules(...):bytes()) -> true | nil, message, CODE: from its return on they are in force, and
 * connections that they would not allow are cut; on failure the old ones stay. */
int bind_sandbox_set_rules(lua_State *L)
{
    struct sandbox *sandbox = bind_check_sandbox(L);
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    struct err err = {0};
    if (gateway_set_rules(&sandbox->gateway, bytes, length, &err) < 0)
        return bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}
