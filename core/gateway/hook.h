/* hook.h - a policy's `on.connect`: somebody else's code that may refuse what the rules allow, and never more. */
#ifndef MOONBOX_GATEWAY_HOOK_H
#define MOONBOX_GATEWAY_HOOK_H

#include <stddef.h>
#include <stdint.h>

struct hook_flow {
    const char *name;    /* NULL: a literal address */
    const char *address; /* the one that will be dialled */
    uint16_t port;
    const char *sni;                        /* NULL: not known (yet) */
    const char *rule;                       /* "FILE:LINE" */
    uint64_t connections, denied, up, down; /* of the sandbox so far */
};

enum { HOOK_REASON = 256 };

/* WARN lets the connection be and wants the reason noted. */
enum hook_verdict { HOOK_NOTHING, HOOK_DENY, HOOK_WARN };

struct hook {
    void *context;
    const char *from; /* "FILE:LINE" */
    /* `reason` is filled unless the verdict is NOTHING. It never fails: an error inside is a refusal. */
    enum hook_verdict (*connect)(void *context, const struct hook_flow *flow, char reason[HOOK_REASON]);
};

#endif
