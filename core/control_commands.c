/* control_commands.c - commands that clients start: from their frames to init, and from init's answers to them.
 *
 * One command at a time is on its way to init: until init has spoken of it nothing else is sent there.  A tenant can
 * stop the process that init has just made, and init with it (core/command, vfork); what is sent then would fill the
 * socket and block the supervisor, which must keep time whatever happens inside. */
#include "control_parts.h"

#include "failpoint.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Seconds. */
enum { KILL_AGAIN = 1 };

/* Where a command is to have its descriptors: what came for 0, 1, 2, or -1. False unless each is one end of a pipe that
 * has no name, the reading one for 0 and the writing one for 1 and 2. */
static bool take_stdio(struct control_client *client, uint32_t flags, int stdio[STREAMS])
{
    size_t next = 0;
    for (int i = 0; i < STREAMS; i++) {
        struct statfs fs;
        stdio[i] = -1;
        if (!(flags & (1u << i)))
            continue;
        if (next == client->n_fds)
            return false;
        stdio[i] = client->fds[next++];
        int mode = fcntl(stdio[i], F_GETFL) & O_ACCMODE;
        if (fstatfs(stdio[i], &fs) < 0 || fs.f_type != PIPEFS_MAGIC || mode != (i == 0 ? O_RDONLY : O_WRONLY))
            return false;
    }
    return next == client->n_fds;
}

static bool same_name(const char *pair, const char *other)
{
    size_t length = strcspn(pair, "=");
    return strncmp(pair, other, length) == 0 && other[length] == '=';
}

/* The plan's variables but those that the client sets, then the client's. NULL without memory. */
static const char **merge_env(char *const *plan, char *const *extra, size_t n_extra)
{
    size_t n_plan = 0, n = 0;
    while (plan && plan[n_plan])
        n_plan++;
    const char **merged = calloc(n_plan + n_extra + 1, sizeof *merged);
    for (size_t i = 0; merged && i < n_plan; i++) {
        bool set = false;
        for (size_t j = 0; j < n_extra && !set; j++)
            set = same_name(plan[i], extra[j]);
        if (!set)
            merged[n++] = plan[i];
    }
    for (size_t j = 0; merged && j < n_extra; j++)
        merged[n++] = extra[j];
    return merged;
}

static void refuse(struct control *control, struct control_client *client, int exit_code, const struct err *err)
{
    struct wire_failed failed = {.code = err->code, .exit_code = exit_code, .no_process = 1};
    snprintf(failed.text, sizeof failed.text, "%s", err->text);
    control_send(control, client, WIRE_FAILED, client->header.id, &failed, sizeof failed, -1);
}

static int start_for(struct sandbox *sandbox, struct control_client *client, const struct wire_start *start,
                     struct start_request *request, struct err *err)
{
    struct control *control = sandbox->control;
    struct running *running = sandbox_start(sandbox, request, err);
    if (!running)
        return -1;
    running->given = true;
    running->client = client->number;
    running->number = client->header.id;
    if (start->milliseconds > 0)
        running->deadline = util_monotonic() + start->milliseconds / 1000.0;
    control->awaiting = running->id;
    control->since = util_monotonic();
    return 0;
}

static int give_stdio(struct sandbox *sandbox, struct control_client *client, const int stdio[STREAMS],
                      struct start_request *request, struct err *err)
{
    for (int i = 0; i < STREAMS; i++)
        if (stdio[i] >= 0 && sandbox_give(sandbox, stdio[i], err) < 0)
            return -1;
    for (int i = 0; i < STREAMS; i++)
        request->stdio[i] = (struct stdio_request){.kind = stdio[i] < 0 ? STDIO_NULL : STDIO_GIVEN, .fd = stdio[i]};
    client->n_fds = 0;
    return 0;
}

bool control_start(struct sandbox *sandbox, struct control_client *client)
{
    struct wire_start start;
    struct err err = {0};
    int stdio[STREAMS];
    if (client->header.length < sizeof start)
        return false;
    memcpy(&start, client->payload, sizeof start);
    char *next = client->payload + sizeof start;
    const char *end = client->payload + client->header.length;
    cleanup_free char **cwd = wire_strings(&next, end, 1);
    cleanup_free char **argv = wire_strings(&next, end, start.argc);
    cleanup_free char **extra = wire_strings(&next, end, start.envc);
    if (!cwd || !argv || !extra || start.argc == 0 || !take_stdio(client, start.flags, stdio) ||
        (start.flags & WIRE_PTY && client->n_fds > 0))
        return false;
    if (sandbox->frozen) {
        err_set(&err, EAGAIN, "the sandbox is paused; `moonbox resume` lets it go on");
        return refuse(sandbox->control, client, 125, &err), true;
    }
    cleanup_free const char **env = merge_env(sandbox->plan->env, extra, start.envc);
    struct start_request request = {.argv = (const char *const *)argv,
                                    .env = (const char *const *)env,
                                    .cwd = *cwd[0] ? cwd[0] : sandbox->plan->cwd,
                                    .pty = start.flags & WIRE_PTY,
                                    .files = start.flags & WIRE_FILES,
                                    .tree = start.milliseconds > 0,
                                    .rows = start.rows,
                                    .cols = start.cols};
    if (!env)
        err_sys(&err, "start a command");
    if (!env || failpoint("exec", "pass the command on", &err) < 0 ||
        give_stdio(sandbox, client, stdio, &request, &err) < 0 ||
        start_for(sandbox, client, &start, &request, &err) < 0)
        refuse(sandbox->control, client, 125, &err);
    return true;
}

bool control_signal(struct sandbox *sandbox, const struct control_client *client)
{
    struct wire_signal request;
    struct err ignored;
    if (client->header.length != sizeof request)
        return false;
    memcpy(&request, client->payload, sizeof request);
    if (request.signal <= 0 || request.signal >= NSIG)
        return false;
    for (const struct running *r = sandbox->commands; r; r = r->next)
        if (r->given && r->client == client->number && r->number == client->header.id)
            sandbox_signal(sandbox, r->id, request.signal, &ignored);
    return true;
}

void control_orphan(struct sandbox *sandbox, uint32_t client)
{
    for (struct running *r = sandbox->commands; r; r = r->next)
        if (r->given && r->client == client) {
            r->client = 0;
            r->deadline = util_monotonic();
        }
}

void control_started(struct sandbox *sandbox, const struct running *running, int master)
{
    struct control *control = sandbox->control;
    int32_t inside = running->inside;
    if (control->awaiting == running->id)
        control->awaiting = 0;
    struct control_client *client = control_find(control, running->client);
    /* Only a terminal's client needs to know: to wake the others would cost more than it tells them. */
    if (client && running->given && master >= 0)
        control_send(control, client, WIRE_STARTED, running->number, &inside, sizeof inside, master);
}

void control_ended(struct sandbox *sandbox, const struct running *running)
{
    struct control *control = sandbox->control;
    struct control_client *client = control_find(control, running->client);
    if (control->awaiting == running->id)
        control->awaiting = 0;
    if (client && running->failed)
        control_send(control, client, WIRE_FAILED, running->number, &running->failure, sizeof running->failure, -1);
    if (!client || (running->failed && running->failure.no_process))
        return;
    struct wire_exited exited = running->result;
    exited.ended_by = running->starved ? WIRE_BY_MEMORY : running->overran ? WIRE_BY_TIME : WIRE_BY_ITSELF;
    control_send(control, client, WIRE_EXITED, running->number, &exited, sizeof exited, -1);
}

void control_farewell(struct sandbox *sandbox)
{
    struct control *control = sandbox->control;
    struct wire_failed failed = {.exit_code = control->farewell_code, .no_process = 1};
    snprintf(failed.text, sizeof failed.text, "%s", control->farewell);
    for (const struct running *r = sandbox->commands; r; r = r->next) {
        struct control_client *client = r->given ? control_find(control, r->client) : NULL;
        if (client)
            control_send(control, client, WIRE_FAILED, r->number, &failed, sizeof failed, -1);
    }
}

/* SIGTERM at its deadline, SIGKILL after the grace, and again for what was started meanwhile. */
static void press(struct sandbox *sandbox, struct running *running, double now)
{
    struct err ignored;
    if (running->deadline > 0 && now >= running->deadline) {
        running->overran = running->client != 0;
        running->deadline = 0;
        running->kill_at = now + sandbox->control->grace;
        sandbox_end(sandbox, running->id, SIGTERM, &ignored);
    } else if (running->kill_at > 0 && now >= running->kill_at) {
        running->kill_at = now + KILL_AGAIN;
        sandbox_end(sandbox, running->id, SIGKILL, &ignored);
    }
}

bool control_commands_tick(struct sandbox *sandbox, struct event *event)
{
    struct control *control = sandbox->control;
    double now = util_monotonic();
    if (control->awaiting && !sandbox->frozen && now >= control->since + CONTROL_ANSWER) {
        control->awaiting = 0;
        snprintf(sandbox->why, sizeof sandbox->why, "process 1 of the sandbox has not answered for %d s",
                 CONTROL_ANSWER);
        *event = (struct event){.kind = EVENT_GONE, .why = sandbox->why};
        return true;
    }
    for (struct running *r = sandbox->commands; r && !control->awaiting && !sandbox->frozen; r = r->next)
        if (r->given && !r->exited)
            press(sandbox, r, now);
    return false;
}

double control_due(const struct sandbox *sandbox)
{
    const struct control *control = sandbox->control;
    double due = INFINITY;
    if (sandbox->frozen)
        return due;
    if (control->awaiting)
        return control->since + CONTROL_ANSWER;
    for (const struct running *r = sandbox->commands; r; r = r->next)
        if (r->given && !r->exited)
            due = fmin(due, r->deadline > 0 ? r->deadline : r->kill_at > 0 ? r->kill_at : INFINITY);
    return due;
}
