/* reference.h - what the policy language's own code, in Lua, makes of the same input: spec/fuzz/reference.lua. Targets that
 * compare with it are run at the top of a checkout. */
#ifndef MOONBOX_FUZZ_REFERENCE_H
#define MOONBOX_FUZZ_REFERENCE_H

#include <lua.h>

/* Pushes one of its functions. The state is one for all inputs. */
lua_State *reference(const char *function);

/* Calls it with the arguments that were pushed since; leaves `results`. An error in Lua ends the run. */
void reference_call(lua_State *L, int arguments, int results);

/* Whether the two are the same text, `in_lua` being on top of the stack, or neither is any ("" and nil). */
#define MUST_BE_SAME(L, in_c) MUST(lua_isnil(L, -1) ? (in_c)[0] == 0 : strcmp(lua_tostring(L, -1), (in_c)) == 0)

#endif
