/* Two names, one a line: a canonical form stays itself and is no address to anybody, and names match as their labels do. All
 * of it is as the policy language has it. */
#include "../../core/gateway/name.h"

#include "fuzz.h"
#include "reference.h"

#include <arpa/inet.h>
#include <string.h>

static bool matches(const char *name, const char *pattern, bool below)
{
    if (!below)
        return strcmp(name, pattern) == 0;
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
        if (strcmp(dot + 1, pattern) == 0)
            return true;
    return false;
}

static bool canonical(const uint8_t *data, size_t size, char out[NAME_SIZE])
{
    char again[NAME_SIZE];
    struct in6_addr address;
    bool named = name_canonical((const char *)data, size, out);
    lua_State *L = reference("name");
    lua_pushlstring(L, (const char *)data, size);
    reference_call(L, 1, 1);
    MUST_BE_SAME(L, out);
    MUST(named == (out[0] != 0));
    if (!named)
        return false;
    MUST(name_canonical(out, strlen(out), again) && strcmp(out, again) == 0);
    MUST(strlen(out) <= size && strlen(out) + 1 >= size);
    for (const char *c = out; *c; c++)
        MUST((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("-_.", *c));
    MUST(!strstr(out, "..") && out[0] != '.' && out[strlen(out) - 1] != '.');
    MUST(inet_aton(out, (struct in_addr *)(void *)&address) == 0);
    MUST(inet_pton(AF_INET6, out, &address) == 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char first[NAME_SIZE], second[NAME_SIZE];
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t length = line ? (size_t)(line - data) : size;
    bool named = canonical(data, length, first);
    if (!line || !canonical(line + 1, size - length - 1, second) || !named)
        return 0;
    for (int below = 0; below < 2; below++) {
        lua_State *L = reference("matches");
        lua_pushstring(L, first);
        lua_pushstring(L, second);
        lua_pushboolean(L, below);
        reference_call(L, 3, 1);
        MUST(name_matches(first, second, below) == matches(first, second, below));
        MUST(name_matches(first, second, below) == lua_toboolean(L, -1));
    }
    return 0;
}
