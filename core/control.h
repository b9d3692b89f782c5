/* control.h - the socket through which other processes reach a sandbox that a supervisor of its own holds.
 *
 * A client speaks the frames of core/wire.  What it may send is START and SIGNAL, which the supervisor passes on to
 * init and whose answers it passes back, and ASK, a text that its caller answers.  A command's streams never come
 * through here: the client makes pipes, keeps its ends and sends the others, so that neither a client that is slow or
 * stopped nor one that floods can hold the supervisor up; and a command never gets anything but a pipe.
 *
 * Clients are the sandbox's owner or root (SO_PEERCRED, unix(7)), in no sandbox, and are still not trusted to be sane:
 * sizes, numbers and kinds of descriptors are checked, and whoever breaks the protocol is dropped.  A client that goes
 * takes its commands with it (SIGTERM, and SIGKILL after the grace), the sandbox goes on. */
#ifndef MOONBOX_CONTROL_H
#define MOONBOX_CONTROL_H

#include "err.h"
#include "sandbox.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONTROL_CLIENTS = 256,        /* at once; one more is turned away */
    CONTROL_HELD = 32 << 20,      /* bytes of frames that are not whole yet, of all clients */
    CONTROL_MOST_REPLY = 1 << 16, /* bytes: fits any socket buffer, so that a reply never blocks */
    CONTROL_ANSWER = 20,          /* seconds that init may take to start a command */
};

/* Its name in the folder of a sandbox. */
#define CONTROL_NAME "control"

struct control;

/* Makes the socket, 0600, in the folder, which nobody else may write. `grace`: seconds from SIGTERM to SIGKILL. */
int control_open(struct control **control, int folder, double grace, struct err *err);

/* What every client whose command still runs is told when the sandbox ends: a sentence and an exit code. Copies. */
void control_set_farewell(struct control *control, int code, const char *sentence);

/* Answers EVENT_REQUEST of this client, who may have gone. */
void control_reply(struct control *control, uint32_t client, const char *text, size_t length);

/* Removes the socket, drops everybody. NULL is fine. */
void control_close(struct control *control);

/* For the supervisor's loop (core/sandbox_events): descriptors to poll, of which `fill` sets `count` … */
size_t control_count(const struct control *control);
void control_fill(const struct control *control, struct pollfd *polled);
/* … and `serve` looks at as many; true when `event` is to be reported. */
bool control_serve(struct sandbox *sandbox, const struct pollfd *polled, struct event *event);

/* Sends what is due and goes on with what waited; true when `event` is to be reported. */
bool control_tick(struct sandbox *sandbox, struct event *event);

/* When to call it next, in monotonic seconds; INFINITY when only an event can make it needed. */
double control_due(const struct sandbox *sandbox);

/* What became of a client's command: init has answered, with a pty's master (borrowed) or -1; it has ended. */
void control_started(struct sandbox *sandbox, const struct running *running, int master);
void control_ended(struct sandbox *sandbox, const struct running *running);

/* The sandbox is over: tells the clients whose commands were running. */
void control_farewell(struct sandbox *sandbox);

/* A client's side: a connection to the supervisor of the sandbox in `folder` (a path), or -1 with err set; err->code is
 * ENOENT or ECONNREFUSED when there is none. */
int control_connect(const char *folder, struct err *err);

#endif
