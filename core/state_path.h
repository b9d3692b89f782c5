/* state_path.h - the state directory, for what starts without Lua. */
#ifndef MOONBOX_STATE_PATH_H
#define MOONBOX_STATE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* Writes <state>/BELOW to `path`, by the rule of moonbox.task.root, without looking whether it is there. False where there
 * is no state directory, or the path is longer than `size`: Lua then says what is wrong. */
bool state_path(char *path, size_t size, const char *below);

#endif
