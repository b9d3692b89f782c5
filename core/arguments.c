#include "arguments.h"

#include "util.h"

#include <fcntl.h>
#include <string.h>

extern char **environ;

static char *arg_start, *arg_end, *env_start, *env_end;

/* The kernel lays the strings out one after the other (execve(2)), and nothing has moved them yet. */
void arguments_note(int argc, char **argv)
{
    if (argc < 1)
        return;
    arg_start = argv[0];
    arg_end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
    for (char **variable = environ; variable && *variable; variable++) {
        env_start = env_start ? env_start : *variable;
        env_end = *variable + strlen(*variable) + 1;
    }
}

void arguments_find(void)
{
    char text[2048];
    if (arg_start || util_read_file(AT_FDCWD, "/proc/self/stat", text, sizeof text) < 0)
        return;
    char *field = strrchr(text, ')'), *save = NULL;
    char **const wanted[] = {&arg_start, &arg_end, &env_start, &env_end};
    if (!field)
        return;
    int number = 3;
    for (field = strtok_r(field + 1, " \n", &save); field; field = strtok_r(NULL, " \n", &save), number++)
        if (number >= 48 && number <= 51)
            *wanted[number - 48] = (char *)strtoull(field, NULL, 10);
}

void arguments_wipe(void)
{
    static char *empty[] = {NULL};
    static const char name[] = "moonbox-init";
    environ = empty;
    if (env_start && env_end > env_start)
        memset(env_start, 0, (size_t)(env_end - env_start));
    if (!arg_start || arg_end <= arg_start)
        return;
    size_t room = (size_t)(arg_end - arg_start);
    memset(arg_start, 0, room);
    memcpy(arg_start, name, room < sizeof name ? room - 1 : sizeof name);
}
