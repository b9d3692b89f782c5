/* moonbox.core.rules: the network of a plan, encoded for a gateway and asked as a gateway asks it. A field of a wrong type
 * raises; a value that no checked policy has is returned as an error. */
#include "../gateway/decide.h"
#include "../gateway/rules_index.h"
#include "../util.h"
#include "bind.h"

#include <errno.h>
#include <string.h>

struct buffer {
    uint8_t *bytes;
    size_t used, room;
    struct err *err;
    bool failed;
};

static void free_buffer(struct buffer *buffer)
{
    free(buffer->bytes);
}

static void fail(struct buffer *b, const char *what, const char *value)
{
    if (!b->failed)
        err_set(b->err, EINVAL, "network rules: '%s' is no %s", value ? value : "nil", what);
    b->failed = true;
}

static void put(struct buffer *b, const void *bytes, size_t count)
{
    if (b->used + count > b->room && !b->failed) {
        size_t room = 2 * (b->used + count) + 1024;
        uint8_t *grown = room <= (size_t)2 * RULES_MAX ? realloc(b->bytes, room) : NULL;
        if (!grown) {
            err_set(b->err, ENOMEM, "network rules: they are larger than %d bytes", RULES_MAX);
            b->failed = true;
        } else {
            b->bytes = grown;
            b->room = room;
        }
    }
    if (b->failed)
        return;
    memcpy(b->bytes + b->used, bytes, count);
    b->used += count;
}

static void put_number(struct buffer *b, uint64_t value, unsigned size)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    put(b, bytes, size);
}

static void put_amount(struct buffer *b, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_number(b, bits, 8);
}

static void put_text(struct buffer *b, const char *text)
{
    size_t length = strlen(text);
    if (length > UINT16_MAX)
        fail(b, "text of at most 65535 bytes", "(a longer one)");
    put_number(b, length, 2);
    put(b, text, length + 1);
}

static void put_name(struct buffer *b, const char *text)
{
    char name[NAME_SIZE] = "";
    if (!text || !name_canonical(text, strlen(text), name))
        fail(b, "host name", text);
    put_text(b, name);
}

static void put_address(struct buffer *b, const struct address *address)
{
    put_number(b, address->length, 1);
    put(b, address->bytes, sizeof address->bytes);
}

static void put_port(struct buffer *b, double port, bool may_be_none)
{
    if (!(port >= (may_be_none ? 0 : 1) && port <= UINT16_MAX && port == (double)(uint16_t)port))
        fail(b, "port from 1 to 65535", "(that)");
    else
        put_number(b, (uint64_t)port, 2);
}

/* The field `requests` of the table at `index`: { count =, seconds = } or nil. */
static void put_rate(lua_State *L, struct buffer *b, int index)
{
    double count = 0, seconds = 0;
    lua_getfield(L, index, "requests");
    if (!lua_isnil(L, -1)) {
        luaL_checktype(L, -1, LUA_TTABLE);
        int at = lua_gettop(L);
        count = bind_number_field(L, at, "count", 0);
        seconds = bind_number_field(L, at, "seconds", 0);
    }
    lua_pop(L, 1);
    put_amount(b, count);
    put_amount(b, seconds);
}

static unsigned choice(lua_State *L, struct buffer *b, int index, const char *key, const char *const *names)
{
    const char *value = bind_string_field(L, index, key, names[0]);
    for (unsigned i = 0; names[i]; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    fail(b, key, value);
    return 0;
}

/* Pushes the list in field `key`, or an empty one. Returns its length. */
static size_t push_list(lua_State *L, int index, const char *key)
{
    lua_getfield(L, index, key);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    return lua_objlen(L, -1);
}

/* "192.0.2.0/24", or an address alone. */
static void put_block(struct buffer *b, const char *text)
{
    char copy[ADDRESS_TEXT + 4] = "";
    struct address block = {0};
    if (util_copy(copy, sizeof copy, text) < 0)
        fail(b, "address", text);
    char *slash = strchr(copy, '/');
    if (slash)
        *slash = 0;
    if (!address_parse(copy, &block))
        fail(b, "address", text);
    char *end = "";
    long bits = slash ? strtol(slash + 1, &end, 10) : block.length * 8L;
    if (*end || bits < 0 || bits > block.length * 8L)
        fail(b, "address block", text);
    put_address(b, &block);
    put_number(b, (uint64_t)bits, 1);
}

/* The target on top of the stack. */
static void put_target(lua_State *L, struct buffer *b)
{
    static const char *const forms[] = {"exact", "wildcard", "address", "cidr", "group", NULL};
    static const uint8_t kinds[] = {TARGET_NAME, TARGET_BELOW, TARGET_BLOCK, TARGET_BLOCK, TARGET_INTERNAL};
    luaL_checktype(L, -1, LUA_TTABLE);
    int at = lua_gettop(L);
    const char *name = bind_string_field(L, at, "name", "");
    uint8_t kind = kinds[choice(L, b, at, "form", forms)];
    put_number(b, kind, 1);
    put_port(b, bind_number_field(L, at, "port", 0), true);
    if (kind == TARGET_NAME)
        put_name(b, name);
    if (kind == TARGET_BELOW)
        put_name(b, strncmp(name, "*.", 2) == 0 ? name + 2 : NULL);
    if (kind == TARGET_BLOCK)
        put_block(b, name);
    if (kind == TARGET_INTERNAL && strcmp(name, "internal") != 0)
        fail(b, "group that a gateway knows", name);
}

static void put_ports(lua_State *L, struct buffer *b, int at)
{
    size_t n = push_list(L, at, "ports");
    put_number(b, n, 4);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        put_port(b, luaL_checknumber(L, -1), false);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Reads "192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:53"; without a port it is `port`. */
static void read_endpoint(struct buffer *b, const char *what, const char *text, struct address *address, double *port)
{
    char copy[ADDRESS_TEXT + 8] = "";
    char *host = copy, *digits = NULL, *end = "";
    if (util_copy(copy, sizeof copy, text) < 0)
        fail(b, what, text);
    if (copy[0] == '[' && strchr(copy, ']')) {
        host = copy + 1;
        digits = strchr(host, ']');
        *digits++ = 0;
        digits = *digits == ':' ? digits + 1 : NULL;
    } else if (strchr(copy, ':') == strrchr(copy, ':') && strchr(copy, ':')) {
        digits = strchr(copy, ':');
        *digits++ = 0;
    }
    if (digits)
        *port = (double)strtol(digits, &end, 10);
    if (!address_parse(host, address) || *end)
        fail(b, what, text);
}

static void put_resolver(struct buffer *b, const char *text)
{
    struct address address = {0};
    double port = text ? 53 : 0;
    if (text)
        read_endpoint(b, "resolver; write an address and a port", text, &address, &port);
    put_address(b, &address);
    put_port(b, port, !text);
}

/* Where on the host: the one target of a publish row. */
static void put_published(struct buffer *b, const char *text)
{
    struct address address = {0};
    double port = 0;
    read_endpoint(b, "address and port of the host", text ? text : "", &address, &port);
    put_number(b, 1, 4);
    put_number(b, TARGET_BLOCK, 1);
    put_port(b, port, true);
    put_address(b, &address);
    put_number(b, (uint64_t)address.length * 8, 1);
}

/* The rule on top of the stack. */
static void put_row(lua_State *L, struct buffer *b)
{
    static const char *const words[] = {"allow", "deny", "allow_internal", "publish", NULL};
    luaL_checktype(L, -1, LUA_TTABLE);
    int at = lua_gettop(L);
    unsigned word = choice(L, b, at, "word", words);
    const char *why = bind_string_field(L, at, "why", NULL);
    unsigned watch = bind_bool_field(L, at, "watch") ? ROW_WATCH : 0;
    put_number(b, word, 1);
    put_number(b, watch | (why ? ROW_HAS_WHY : 0U), 1);
    put_text(b, bind_string_field(L, at, "from", "the plan"));
    put_text(b, why ? why : "");
    put_rate(L, b, at);
    put_amount(b, bind_number_field(L, at, "bandwidth", 0));
    double bytes = bind_number_field(L, at, "bytes", 0);
    if (!(bytes >= 0 && bytes < 0x1p63))
        fail(b, "number of bytes", "(that)");
    put_number(b, b->failed ? 0 : (uint64_t)bytes, 8);
    put_ports(L, b, at);
    if (word == ROW_PUBLISH) {
        put_published(b, bind_string_field(L, at, "on", NULL));
        return;
    }
    size_t n = push_list(L, at, "names");
    put_number(b, n, 4);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        put_target(L, b);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void put_hosts(lua_State *L, struct buffer *b, int at)
{
    push_list(L, at, "hosts");
    uint32_t n = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n++;
    put_number(b, n, 4);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        struct address address = {0};
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "field 'hosts' has names and addresses");
        put_name(b, lua_tostring(L, -2));
        if (!address_parse(lua_tostring(L, -1), &address))
            fail(b, "address", lua_tostring(L, -1));
        put_address(b, &address);
    }
    lua_pop(L, 1);
}

static void put_network(lua_State *L, struct buffer *b, int at)
{
    static const char *const modes[] = {"list", "open", "none", NULL};
    static const char *const lookups[] = {"lazy", "verify", NULL};
    static const char *const rests[] = {"deny", "allow", NULL};
    unsigned mode = choice(L, b, at, "mode", modes);
    bool none = mode > RULES_OPEN;
    put_number(b, none ? RULES_LIST : mode, 1);
    put_number(b, choice(L, b, at, "dns", lookups), 1);
    put_number(b, none ? 0 : choice(L, b, at, "otherwise", rests), 1);
    put_text(b, bind_string_field(L, at, "from", "the plan"));
    put_rate(L, b, at);
    put_amount(b, bind_number_field(L, at, "bandwidth", 0));
    put_resolver(b, bind_string_field(L, at, "resolver", NULL));
    put_hosts(L, b, at);
    size_t n = push_list(L, at, "rules");
    put_number(b, none ? 0 : n, 4);
    for (size_t i = 0; i < n && !none; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        put_row(L, b);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void *bind_rules_encode(lua_State *L, int index, size_t *length, struct err *err)
{
    __attribute__((cleanup(free_buffer))) struct buffer b = {.err = err};
    luaL_checktype(L, index, LUA_TTABLE);
    luaL_checkstack(L, 20, "network rules");
    lua_pushvalue(L, index);
    put_number(&b, RULES_MAGIC, 4);
    put_number(&b, RULES_VERSION, 4);
    put_number(&b, 0, 4);
    put_network(L, &b, lua_gettop(L));
    lua_pop(L, 1);
    if (b.failed)
        return NULL;
    for (unsigned i = 0; i < 4; i++)
        b.bytes[8 + i] = (uint8_t)(b.used >> 8 * i);
    *length = b.used;
    return steal_ptr(&b.bytes);
}

struct handle {
    void *bytes;
    size_t length;
    struct rules *rules;
};

/* core.rules(network of a plan) -> handle, or nil, message, CODE */
static int new_rules(lua_State *L)
{
    struct err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    struct handle *handle = lua_newuserdata(L, sizeof *handle);
    *handle = (struct handle){0};
    luaL_getmetatable(L, BIND_RULES);
    lua_setmetatable(L, -2);
    handle->bytes = bind_rules_encode(L, 1, &handle->length, &err);
    if (!handle->bytes || !(handle->rules = rules_decode(handle->bytes, handle->length, &err)))
        return bind_failure(L, &err);
    return 1;
}

static struct handle *check_rules(lua_State *L)
{
    struct handle *handle = luaL_checkudata(L, 1, BIND_RULES);
    luaL_argcheck(L, handle->rules, 1, "the rules could not be made");
    return handle;
}

/* rules:bytes() -> what a gateway is given */
static int rules_bytes(lua_State *L)
{
    struct handle *handle = check_rules(L);
    lua_pushlstring(L, handle->bytes, handle->length);
    return 1;
}

static void set_text(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

/* rules:decide(name or address, port, address it resolves to or nil) -> { allow =, rule = "FILE:LINE" or "built in",
 * reason =, row = number of the plan's rule or nil }, or nil and a message when it is neither name nor address */
static int rules_ask(lua_State *L)
{
    struct handle *handle = check_rules(L);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    lua_Integer port = luaL_checkinteger(L, 3);
    const char *resolved = luaL_optstring(L, 4, NULL);
    char name[NAME_SIZE];
    struct address address = {0};
    luaL_argcheck(L, port >= 0 && port <= UINT16_MAX, 3, "no port");
    luaL_argcheck(L, !resolved || address_parse(resolved, &address), 4, "no address");
    bool literal = strlen(text) == length && !resolved && address_parse(text, &address);
    if (!literal && !name_canonical(text, length, name)) {
        lua_pushnil(L);
        lua_pushliteral(L, "neither a name nor an address");
        return 2;
    }
    struct decision decision =
        rules_decide(handle->rules, literal ? NULL : name, literal || resolved ? &address : NULL, (uint16_t)port);
    lua_createtable(L, 0, 4);
    lua_pushboolean(L, decision.allow);
    lua_setfield(L, -2, "allow");
    set_text(L, "rule", decision.from);
    set_text(L, "reason", decision.reason);
    if (decision.row >= 0) {
        lua_pushinteger(L, decision.row + 1);
        lua_setfield(L, -2, "row");
    }
    return 1;
}

/* rules:answers(name) -> whether DNS answers it */
static int rules_answered(lua_State *L)
{
    struct handle *handle = check_rules(L);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    char name[NAME_SIZE];
    lua_pushboolean(L, name_canonical(text, length, name) && rules_answers(handle->rules, name));
    return 1;
}

static int free_handle(lua_State *L)
{
    struct handle *handle = luaL_checkudata(L, 1, BIND_RULES);
    rules_free(handle->rules);
    free(handle->bytes);
    *handle = (struct handle){0};
    return 0;
}

int bind_rules(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"bytes", rules_bytes}, {"decide", rules_ask}, {"answers", rules_answered}, {NULL, NULL}};
    bind_class(L, BIND_RULES, methods, free_handle);
    lua_pushcfunction(L, new_rules);
    return 1;
}

/* core.name(text) -> its canonical form, or nil */
static int canonical_name(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char name[NAME_SIZE];
    if (name_canonical(text, length, name))
        lua_pushstring(L, name);
    else
        lua_pushnil(L);
    return 1;
}

int bind_name(lua_State *L)
{
    lua_pushcfunction(L, canonical_name);
    return 1;
}

/* core.address(text) -> { text = RFC 5952, internal = }, or nil */
static int read_address(lua_State *L)
{
    size_t length;
    const char *given = luaL_checklstring(L, 1, &length);
    struct address address;
    char text[ADDRESS_TEXT];
    if (strlen(given) != length || !address_parse(given, &address)) {
        lua_pushnil(L);
        return 1;
    }
    address_format(&address, text);
    lua_createtable(L, 0, 2);
    set_text(L, "text", text);
    lua_pushboolean(L, address_internal(&address));
    lua_setfield(L, -2, "internal");
    return 1;
}

int bind_address(lua_State *L)
{
    lua_pushcfunction(L, read_address);
    return 1;
}
