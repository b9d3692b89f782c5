#include "early_command.h"

#include "failpoint.h"
#include "head_start.h"
#include "state_path.h"
#include "util.h"
#include "warrant.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Seconds without Lua: far below the periods in which it looks at what is only watched (moonbox.holding), and below the
 * shortest time limits that a policy can set, a second (moonbox.vocabulary). */
#define MOMENT 0.1

/* The command of `exec [--policy P] -- COMMAND…`, NULL-terminated; NULL for any other arguments. */
static char **command_of(int argc, char **argv)
{
    int at = argc > 3 && strcmp(argv[2], "--policy") == 0 ? 4 : 2;
    if (argc <= at + 1 || strcmp(argv[1], "exec") != 0 || strcmp(argv[at], "--") != 0)
        return NULL;
    return argv + at + 1;
}

/* What dead keepers left goes first (core.sweep), which is not done here. */
static bool nothing_left_behind(void)
{
    char path[PATH_MAX];
    if (!state_path(path, sizeof path, "boxes"))
        return false;
    cleanup_dir DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
    return dir != NULL;
}

/* In another's directory, or one that others may write, files are theirs to choose. */
static bool own_state(void)
{
    char path[PATH_MAX];
    struct stat st;
    return state_path(path, sizeof path, "") && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid() && !(st.st_mode & 022);
}

static const struct running *start(const struct head_start_view *view, char **command)
{
    struct err ignored;
    struct start_request request = {.argv = (const char *const *)command,
                                    .env = (const char *const *)view->sandbox->plan->env,
                                    .cwd = view->sandbox->plan->cwd,
                                    .rows = 24,
                                    .cols = 80,
                                    .last = true};
    for (int i = 0; i < STREAMS; i++)
        request.stdio[i] = (struct stdio_request){.kind = STDIO_PASS, .fd = i};
    if (failpoint("early command", "start", &ignored) < 0)
        return NULL;
    return sandbox_start(view->sandbox, &request, &ignored);
}

/* Lua decides about signals: one is blocked, so that raising it again puts it back. An exit that is not dealt with here is
 * reported again by itself. */
static void wait_a_moment(struct sandbox *sandbox, struct event *event)
{
    struct err ignored;
    double till = util_monotonic() + MOMENT;
    do {
        double left = till - util_monotonic();
        if (sandbox_next(sandbox, left > 0 ? left : 0, event, &ignored) < 0)
            event->kind = EVENT_GONE;
    } while (event->kind == EVENT_OUTPUT);
    if (event->kind == EVENT_SIGNAL)
        raise(event->signal);
}

static bool is_good_end(const struct event *event)
{
    struct err ignored;
    return event->kind == EVENT_EXIT && !event->running->failed && event->running->result.status == 0 &&
           sandbox_delivered(event->running, &ignored) == 0;
}

bool early_command(int argc, char **argv, int *code)
{
    struct head_start_view view;
    struct err err;
    char **command = command_of(argc, argv);
    if (!command || (isatty(0) && isatty(1)) || !head_start_look(&view) || !own_state() || !nothing_left_behind() ||
        !warrant_holds(view.sandbox->plan, view.policy, view.warrant, view.length))
        return false;
    double began = util_monotonic();
    const struct running *running = start(&view, command);
    if (!running) {
        head_start_drop();
        return false;
    }
    head_start_started(running->id, began);
    struct event event;
    wait_a_moment(view.sandbox, &event);
    /* Nothing has run: Lua makes another, and says what is wrong with that. */
    if (event.kind == EVENT_NOT_STARTED)
        head_start_drop();
    if (!is_good_end(&event))
        return false;
    *code = 0;
    if (head_start_end(&err) < 0)
        dprintf(2, "moonbox: %s\n", err.text);
    return true;
}
