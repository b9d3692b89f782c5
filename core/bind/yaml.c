/* bind/yaml.c - YAML text as a tree of nodes that know their lines, read by libyaml.
 *
 *   yaml.parse(text) -> node, or nil, message, code
 *
 * A node is { kind = "scalar", line, text, quoted } or { kind = "sequence", line, node, … } or
 * { kind = "mapping", line, { key = node, value = node }, … } with the pairs in the order of the text.
 * Only the plain part of YAML is taken.  Anchors and aliases are refused, because a few lines of them can
 * stand for gigabytes; tags, because they change what a value is; more than one document, because a policy is
 * one.  Bounds: 1 MB of text (EFBIG), 32 levels and 100,000 nodes (E2BIG).  Other refusals are EINVAL.
 *
 * Built with -fexceptions: a Lua error that passes through runs the cleanups below. */
#include "bind.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { MOST_BYTES = 1024 * 1024, MOST_LEVELS = 32, MOST_NODES = 100000 };

struct reader {
    yaml_parser_t parser;
    int nodes;
    const char *code;
    char text[256];
};

static void reader_end(struct reader *r)
{
    yaml_parser_delete(&r->parser);
}

static int refuse(struct reader *r, const char *code, size_t line, const char *what)
{
    r->code = code;
    snprintf(r->text, sizeof r->text, "line %zu: %s", line + 1, what);
    return -1;
}

/* The next event into *event, which the caller deletes. 0, or -1 with the refusal set. */
static int next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return 0;
    memset(event, 0, sizeof *event);
    const char *problem = r->parser.problem ? r->parser.problem : "is no YAML";
    return refuse(r, "EINVAL", r->parser.problem_mark.line, problem);
}

static const char *forbidden(const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT)
        return "aliases (*name) are not taken in a policy; write the value out";
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor)
        return "anchors (&name) are not taken in a policy; write the value out";
    return tag ? "tags (!name) are not taken in a policy; leave the tag out" : NULL;
}

static int push_node(lua_State *L, struct reader *r, yaml_event_t *event, int level);

static void set_text(lua_State *L, const char *name, const char *text, size_t length)
{
    lua_pushlstring(L, text, length);
    lua_setfield(L, -2, name);
}

static void push_scalar(lua_State *L, const yaml_event_t *event)
{
    set_text(L, "kind", "scalar", 6);
    set_text(L, "text", (const char *)event->data.scalar.value, event->data.scalar.length);
    lua_pushboolean(L, event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE);
    lua_setfield(L, -2, "quoted");
}

/* Fills the table on the stack with what follows up to the end event. `pairs`: two nodes to an entry. */
static int push_children(lua_State *L, struct reader *r, int level, int pairs)
{
    yaml_event_type_t end = pairs ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    for (int i = 1;; i++) {
        __attribute__((cleanup(yaml_event_delete))) yaml_event_t first = {0}, second = {0};
        if (next_event(r, &first) < 0)
            return -1;
        if (first.type == end)
            return 0;
        if (pairs)
            lua_createtable(L, 0, 2);
        if (push_node(L, r, &first, level) < 0)
            return -1;
        if (pairs) {
            lua_setfield(L, -2, "key");
            if (next_event(r, &second) < 0 || push_node(L, r, &second, level) < 0)
                return -1;
            lua_setfield(L, -2, "value");
        }
        lua_rawseti(L, -2, i);
    }
}

/* Pushes the node that starts with *event. 0, or -1 with the refusal set and the stack left as it is. */
static int push_node(lua_State *L, struct reader *r, yaml_event_t *event, int level)
{
    const char *wrong = forbidden(event);
    if (wrong)
        return refuse(r, "EINVAL", event->start_mark.line, wrong);
    if (level > MOST_LEVELS)
        return refuse(r, "E2BIG", event->start_mark.line, "is deeper than 32 levels");
    if (++r->nodes > MOST_NODES)
        return refuse(r, "E2BIG", event->start_mark.line, "is the 100,001st value; a policy has fewer");
    luaL_checkstack(L, 6, "YAML");
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)event->start_mark.line + 1);
    lua_setfield(L, -2, "line");
    if (event->type == YAML_SCALAR_EVENT) {
        push_scalar(L, event);
        return 0;
    }
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        set_text(L, "kind", "sequence", 8);
        return push_children(L, r, level + 1, 0);
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        set_text(L, "kind", "mapping", 7);
        return push_children(L, r, level + 1, 1);
    }
    return refuse(r, "EINVAL", event->start_mark.line, "is no YAML value");
}

/* Skips an event of the wanted type. */
static int expect(struct reader *r, yaml_event_type_t type, const char *otherwise)
{
    __attribute__((cleanup(yaml_event_delete))) yaml_event_t event = {0};
    if (next_event(r, &event) < 0)
        return -1;
    return event.type == type ? 0 : refuse(r, "EINVAL", event.start_mark.line, otherwise);
}

static int read_document(lua_State *L, struct reader *r)
{
    __attribute__((cleanup(yaml_event_delete))) yaml_event_t event = {0};
    if (expect(r, YAML_STREAM_START_EVENT, "is no YAML") < 0 || expect(r, YAML_DOCUMENT_START_EVENT, "is empty") < 0 ||
        next_event(r, &event) < 0)
        return -1;
    if (push_node(L, r, &event, 1) < 0)
        return -1;
    if (expect(r, YAML_DOCUMENT_END_EVENT, "is no YAML") < 0)
        return -1;
    return expect(r, YAML_STREAM_END_EVENT, "a second document begins; a policy is one document");
}

static int yaml_parse(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    if (length > MOST_BYTES) {
        lua_pushnil(L);
        lua_pushliteral(L, "line 1: is longer than 1 MB");
        lua_pushliteral(L, "EFBIG");
        return 3;
    }
    __attribute__((cleanup(reader_end))) struct reader r = {.code = "EINVAL"};
    if (!yaml_parser_initialize(&r.parser))
        return luaL_error(L, "not enough memory");
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
    if (read_document(L, &r) == 0)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, r.text);
    lua_pushstring(L, r.code);
    return 3;
}

int bind_yaml(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, yaml_parse);
    lua_setfield(L, -2, "parse");
    return 1;
}
