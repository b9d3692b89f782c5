/* lint.h - what clang's analyzer, which sees one file at a time, can't know: `make check` includes it first. */
#include "core/err.h"

/* These always return -1. */
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_sys(...) (err_sys(__VA_ARGS__), -1)
#define err_wrap(...) (err_wrap(__VA_ARGS__), -1)

/* These never return. */
struct lua_State;
int luaL_error(struct lua_State *L, const char *fmt, ...) __attribute__((noreturn));
int luaL_argerror(struct lua_State *L, int argument, const char *message) __attribute__((noreturn));
