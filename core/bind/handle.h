/* handle.h - the handle of a sandbox, for the files of core/bind/ that have methods of it. */
#ifndef MOONBOX_BIND_HANDLE_H
#define MOONBOX_BIND_HANDLE_H

#include "../control.h"
#include "../sandbox.h"

#include <lua.h>
#include <stdbool.h>

struct bind_sandbox_handle {
    struct sandbox sandbox;
    bool open;
};

/* Pushes a handle that is closed. */
struct bind_sandbox_handle *bind_new_sandbox(lua_State *L);

/* The open control socket of the handle at `index`; raises when it is closed. */
struct control *bind_check_control(lua_State *L, int index);

/* Adds methods to the class of handles. */
void bind_measure(lua_State *L);

#endif
