/* A recipe for rules, and questions about them: what core/gateway/decide.c decides is what the reference in Lua decides on the
 * same rows as a plan's table. Names, addresses and ports are of few kinds, so that rows meet questions often. */
#include "../../core/gateway/decide.h"
#include "../../core/gateway/rules_index.h"

#include "fuzz.h"
#include "reference.h"

#include <string.h>

enum { ROWS = 6, TARGETS = 3, PORTS = 2, HOSTS = 2, QUESTIONS = 6 };

static const uint16_t known_ports[] = {22, 443, 65535};
enum { KNOWN_PORTS = 3, OTHER_PORT = 1 };

static struct {
    struct row rows[ROWS];
    struct target targets[ROWS][TARGETS];
    uint16_t ports[ROWS][PORTS];
    struct static_host hosts[HOSTS];
    char names[ROWS * TARGETS + HOSTS][NAME_SIZE];
    size_t n_names;
} room;

/* ---- from bytes ---- */

static const uint8_t *next_byte, *last_byte;

static uint8_t take(void)
{
    return next_byte < last_byte ? *next_byte++ : 0;
}

static unsigned below(unsigned end)
{
    return take() % end;
}

/* One to four labels, rarely more. */
static void make_name(char name[NAME_SIZE])
{
    static const char *const labels[] = {"a",     "b",     "ab",   "example", "test", "x-y",     "internal",
                                         "local", "onion", "home", "arpa",    "alt",  "invalid", "localhost"};
    size_t n = 1 + below(5), used = 0;
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(name + used, NAME_SIZE - used, "%s%s", i ? "." : "",
                                 labels[below(sizeof labels / sizeof labels[0])]);
}

static struct address make_address4(void)
{
    static const struct address some[] = {{4, {203, 0, 113, 7}}, {4, {198, 51, 100, 7}},    {4, {10, 1, 2, 3}},
                                          {4, {127, 0, 0, 1}},   {4, {169, 254, 169, 254}}, {4, {0}}};
    struct address made = some[below(sizeof some / sizeof some[0])];
    unsigned changed = below(8);
    if (changed < 4)
        made.bytes[changed] ^= take();
    return made;
}

/* IPv4 in IPv6 as carriers have it, IPv6 of its own, or IPv4. */
static struct address make_address(void)
{
    static const struct {
        struct address first;
        unsigned at; /* where IPv4 is put; 16: nowhere */
    } forms[] = {{{16, {[10] = 0xff, [11] = 0xff}}, 12},
                 {{16, {[8] = 0xff, [9] = 0xff}}, 12},
                 {{16, {0, 0x64, 0xff, 0x9b}}, 12},
                 {{16, {0x20, 2}}, 2},
                 {{16, {0}}, 12},
                 {{16, {0x20, 1, 0x0d, 0xb8, [15] = 7}}, 16},
                 {{16, {0xfd, [15] = 1}}, 16},
                 {{16, {0x20, 1, [15] = 1}}, 16}};
    struct address inner = make_address4();
    unsigned form = below(16);
    if (form >= sizeof forms / sizeof forms[0])
        return inner;
    struct address made = forms[form].first;
    if (forms[form].at < 16)
        memcpy(made.bytes + forms[form].at, inner.bytes, 4);
    else
        made.bytes[below(16)] ^= take();
    return made;
}

/* In the one form that rules_decode.c lets a block have. */
static void make_block(struct target *target)
{
    target->kind = TARGET_BLOCK;
    target->block = make_address();
    address_unmap(&target->block);
    unsigned all = target->block.length * 8U, cut = below(4) ? below(all) : 0;
    target->bits = all - cut;
    for (unsigned i = target->bits; i < all; i++)
        target->block.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    struct address short_form = target->block;
    address_unmap(&short_form);
    if (short_form.length < target->block.length && target->bits >= 96) {
        target->block = short_form;
        target->bits -= 96;
    }
}

static void make_target(struct target *target, enum row_word word)
{
    unsigned kind = below(8);
    *target = (struct target){.port = below(4) ? 0 : known_ports[below(KNOWN_PORTS)]};
    if (word == ROW_ALLOW_INTERNAL || word == ROW_PUBLISH || kind < 3) {
        make_block(target);
    } else if (kind == 7 && word == ROW_DENY) {
        target->kind = TARGET_INTERNAL;
    } else {
        target->kind = kind % 2 ? TARGET_NAME : TARGET_BELOW;
        target->name = room.names[room.n_names];
        make_name(room.names[room.n_names++]);
    }
}

static void make_row(struct row *row, size_t i)
{
    static const enum row_word words[] = {ROW_ALLOW, ROW_DENY, ROW_ALLOW_INTERNAL, ROW_ALLOW, ROW_DENY, ROW_PUBLISH};
    *row = (struct row){.word = words[below(sizeof words / sizeof words[0])],
                        .from = "policy",
                        .targets = room.targets[i],
                        .ports = room.ports[i]};
    row->n_targets = row->word == ROW_PUBLISH ? 1 : below(TARGETS + 1);
    row->n_ports = below(PORTS + 1);
    for (size_t p = 0; p < row->n_ports; p++)
        row->ports[p] = known_ports[below(KNOWN_PORTS)];
    for (size_t t = 0; t < row->n_targets; t++)
        make_target(&row->targets[t], row->word);
}

static void make_rules(struct rules *rules)
{
    room.n_names = 0;
    rules->from = "policy";
    rules->mode = below(4) ? RULES_LIST : RULES_OPEN;
    rules->otherwise_allow = below(4) == 0;
    rules->hosts = room.hosts;
    rules->n_hosts = below(HOSTS + 1);
    for (size_t i = 0; i < rules->n_hosts; i++) {
        room.hosts[i] = (struct static_host){room.names[room.n_names], make_address()};
        address_unmap(&room.hosts[i].address);
        make_name(room.names[room.n_names++]);
    }
    rules->rows = room.rows;
    rules->n_rows = below(ROWS + 1);
    for (size_t i = 0; i < rules->n_rows; i++)
        make_row(&room.rows[i], i);
}

/* ---- as a plan has them ---- */

static void set_text(lua_State *L, const char *field, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void set_number(lua_State *L, const char *field, int number)
{
    lua_pushinteger(L, number);
    lua_setfield(L, -2, field);
}

static void push_target(lua_State *L, const struct target *target)
{
    char text[NAME_SIZE + 8], address[ADDRESS_TEXT];
    bool whole = target->bits == target->block.length * 8U;
    address_format(&target->block, address);
    lua_newtable(L);
    switch (target->kind) {
    case TARGET_NAME:
        set_text(L, "form", "exact");
        set_text(L, "name", target->name);
        break;
    case TARGET_BELOW:
        snprintf(text, sizeof text, "*.%s", target->name);
        set_text(L, "form", "wildcard");
        set_text(L, "name", text);
        break;
    case TARGET_BLOCK:
        snprintf(text, sizeof text, whole ? "%s" : "%s/%u", address, target->bits);
        set_text(L, "form", whole ? "address" : "cidr");
        set_text(L, "name", text);
        break;
    case TARGET_INTERNAL:
        set_text(L, "form", "group");
        set_text(L, "name", "internal");
        break;
    }
    if (target->port)
        set_number(L, "port", target->port);
}

static void push_row(lua_State *L, const struct row *row)
{
    static const char *const words[] = {"allow", "deny", "allow_internal", "publish"};
    lua_newtable(L);
    set_text(L, "word", words[row->word]);
    lua_newtable(L);
    for (size_t i = 0; i < row->n_ports; i++) {
        lua_pushinteger(L, row->ports[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "ports");
    lua_newtable(L);
    for (size_t i = 0; i < row->n_targets; i++) {
        push_target(L, &row->targets[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "names");
}

static void push_network(lua_State *L, const struct rules *rules)
{
    char address[ADDRESS_TEXT];
    lua_newtable(L);
    set_text(L, "mode", rules->mode == RULES_OPEN ? "open" : "list");
    set_text(L, "otherwise", rules->otherwise_allow ? "allow" : "deny");
    lua_newtable(L);
    for (size_t i = rules->n_hosts; i-- > 0;) {
        address_format(&rules->hosts[i].address, address);
        set_text(L, rules->hosts[i].name, address);
    }
    lua_setfield(L, -2, "hosts");
    lua_newtable(L);
    for (size_t i = 0; i < rules->n_rows; i++) {
        push_row(L, &rules->rows[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "rules");
}

/* ---- questions ---- */

/* What some row is about, something below it, or anything. */
static void choose_name(char name[NAME_SIZE])
{
    char made[NAME_SIZE];
    unsigned which = below(4);
    make_name(made);
    if (which == 0 || room.n_names == 0)
        snprintf(name, NAME_SIZE, "%s", made);
    else if (which == 1)
        snprintf(name, NAME_SIZE, "%.100s.%.100s", made, room.names[below((unsigned)room.n_names)]);
    else
        snprintf(name, NAME_SIZE, "%s", room.names[below((unsigned)room.n_names)]);
}

static void ask(lua_State *L, const struct rules *rules, const char *name, const struct address *address)
{
    char text[ADDRESS_TEXT];
    uint16_t port = below(4) ? known_ports[below(KNOWN_PORTS)] : OTHER_PORT;
    struct decision decision = rules_decide(rules, name, address, port);
    lua_getfield(L, 1, "decide");
    lua_pushvalue(L, 2);
    if (address)
        address_format(address, text);
    lua_pushstring(L, name ? name : text);
    lua_pushinteger(L, port);
    lua_pushstring(L, name && address ? text : NULL);
    reference_call(L, 4, 2);
    MUST(decision.allow == lua_toboolean(L, -2));
    MUST(lua_isnil(L, -1) || lua_tointeger(L, -1) == decision.row + 1);
    lua_pop(L, 2);
}

static void ask_answers(lua_State *L, const struct rules *rules, const char *name)
{
    lua_getfield(L, 1, "answers");
    lua_pushvalue(L, 2);
    lua_pushstring(L, name);
    lua_newtable(L);
    for (int i = 0; i <= KNOWN_PORTS; i++) {
        lua_pushinteger(L, i < KNOWN_PORTS ? known_ports[i] : OTHER_PORT);
        lua_rawseti(L, -2, i + 1);
    }
    reference_call(L, 3, 1);
    MUST(rules_answers(rules, name) == lua_toboolean(L, -1));
    lua_pop(L, 1);
}

static void free_index(struct rules_index *index)
{
    free(index->names);
    free(index->buckets);
    free(index->blocks);
    free(index->ports);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rules_index index = {0};
    struct rules rules = {.index = &index};
    struct err err = {0};
    char name[NAME_SIZE];
    next_byte = data;
    last_byte = data + size;
    make_rules(&rules);
    MUST(rules_index(&rules, &err) == 0);
    lua_State *L = reference("decide");
    lua_pop(L, 1);
    push_network(L, &rules);
    for (int i = 0; i < QUESTIONS && next_byte < last_byte; i++) {
        struct address address = make_address();
        choose_name(name);
        ask(L, &rules, NULL, &address);
        ask(L, &rules, name, NULL);
        ask(L, &rules, name, &address);
    }
    ask_answers(L, &rules, name);
    free_index(&index);
    return 0;
}
