/* hook.h - between core.launch and the gateway: a Lua function that gives the decision of a policy's `on.connect`. */
#ifndef MOONBOX_BIND_HOOK_H
#define MOONBOX_BIND_HOOK_H

#include "../gateway/hook.h"
#include "bind.h"

struct bind_hook {
    lua_State *L;
    int load; /* reference: function() -> decide, "FILE:LINE" | nil, nil, sentence (moonbox.hooks.connect) */
};

/* In the gateway's process, while it may still read files; `context` is a struct bind_hook. The hook lives as long as the
 * process. NULL with err set when there is none to be had. The process takes SIGALRM from then on, maps a bounded amount of
 * memory more, and none of its state's handles closes anything. */
struct hook *bind_prepare_hook(void *context, struct err *err);

#endif
