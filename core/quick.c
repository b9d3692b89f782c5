#include "quick.h"

#include "control.h"
#include "state_path.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { ID_MOST = 40, CODE_LOST = 137, CODE_INTERNAL = 70, CODE_CANNOT = 69, INSISTING = 3 };

/* moonbox.sandboxes.valid */
static bool is_id(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= ID_MOST && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool find_folder(const char *id, char *path, size_t size)
{
    char below[ID_MOST + 16];
    snprintf(below, sizeof below, "sandboxes/%s", id);
    return state_path(path, size, below);
}

/* U+0080 to U+009F, which some terminals obey. */
static bool is_second_control(const unsigned char *at)
{
    return at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
}

static void say(const char *text)
{
    char line[WIRE_MAX_REPLY + 16];
    snprintf(line, sizeof line, "moonbox: %s", text);
    for (unsigned char *c = (unsigned char *)line; *c; c++) {
        if (is_second_control(c))
            *c++ = '?', *c = '?';
        else if (iscntrl(*c))
            *c = '?';
    }
    dprintf(2, "%s\n", line);
}

static int exit_code(const struct running *running)
{
    if (running->failed) {
        say(running->failure.text);
        return running->failure.exit_code;
    }
    int status = running->result.status;
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    struct err err;
    if (sandbox_delivered(running, &err) == 0)
        return code;
    say(err.text);
    return code != 0 ? code : CODE_CANNOT;
}

/* The caller's signals are the command's; a third SIGINT insists. */
static void forward(struct sandbox *sandbox, uint32_t id, int signal, int *interrupts)
{
    struct err ignored;
    if (signal == SIGWINCH)
        return;
    *interrupts += signal == SIGINT;
    sandbox_signal(sandbox, id, *interrupts >= INSISTING ? SIGKILL : signal, &ignored);
}

static int watch(struct sandbox *sandbox, uint32_t id)
{
    int interrupts = 0;
    struct err err;
    for (;;) {
        struct event event;
        if (sandbox_next(sandbox, -1, &event, &err) < 0)
            return say(err.text), CODE_INTERNAL;
        if (event.kind == EVENT_EXIT)
            return exit_code(event.running);
        if (event.kind == EVENT_GONE)
            return say(event.why), CODE_LOST;
        if (event.kind == EVENT_SIGNAL)
            forward(sandbox, id, event.signal, &interrupts);
    }
}

bool quick_exec(int argc, char **argv, int *code)
{
    static const char *const no_env[] = {NULL};
    struct start_request request = {.env = no_env, .cwd = "", .rows = 24, .cols = 80};
    char folder[PATH_MAX], log[PATH_MAX + 8];
    struct sandbox sandbox;
    struct err err;
    if (argc < 5 || strcmp(argv[1], "exec") != 0 || !is_id(argv[2]) || strcmp(argv[3], "--") != 0 ||
        (isatty(0) && isatty(1)) || !find_folder(argv[2], folder, sizeof folder))
        return false;
    int fd = control_connect(folder, &err);
    if (fd < 0)
        return false;
    sandbox_remote(&sandbox, fd);
    request.argv = (const char *const *)argv + 4;
    snprintf(log, sizeof log, "%s/logs", folder);
    request.log = log;
    for (int i = 0; i < STREAMS; i++)
        request.stdio[i] = (struct stdio_request){.kind = STDIO_PASS, .fd = i};
    const struct running *running =
        sandbox_watch_signals(&sandbox, &err) == 0 ? sandbox_start(&sandbox, &request, &err) : NULL;
    if (running && running->unlogged.code != 0)
        say(running->unlogged.text);
    if (running)
        *code = watch(&sandbox, running->id);
    else
        *code = (say(err.text), CODE_INTERNAL);
    return true;
}
