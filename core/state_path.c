#include "state_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool state_path(char *path, size_t size, const char *below)
{
    const char *state = getenv("MOONBOX_STATE"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (state && *state)
        n = *state == '/' ? snprintf(path, size, "%s/%s", state, below) : -1;
    else if (geteuid() == 0)
        n = snprintf(path, size, "/var/lib/moonbox/%s", below);
    else if (xdg && *xdg == '/')
        n = snprintf(path, size, "%s/moonbox/%s", xdg, below);
    else if (home && *home == '/')
        n = snprintf(path, size, "%s/.local/state/moonbox/%s", home, below);
    return n > 0 && n < (int)size;
}
