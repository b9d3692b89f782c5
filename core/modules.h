/* modules.h - the Lua modules inside the program, as bytecode; build/modules.c is made by lua/embed.lua. */
#ifndef MOONBOX_MODULES_H
#define MOONBOX_MODULES_H

#include <stddef.h>

struct embedded_module {
    const char *name; /* as for require; the last one is NULL */
    const unsigned char *code;
    size_t length;
};

extern const struct embedded_module embedded_modules[];

#endif
