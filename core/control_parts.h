/* control_parts.h - what the files of core/control share. */
#ifndef MOONBOX_CONTROL_PARTS_H
#define MOONBOX_CONTROL_PARTS_H

#include "control.h"
#include "wire.h"

struct control_client {
    struct control_client *next;
    int fd;
    uint32_t number;
    struct wire_header header;
    char *payload;
    size_t have; /* bytes of header + payload */
    int fds[WIRE_MAX_FDS];
    size_t n_fds;
    bool whole; /* the frame is complete and waits to be handled, or for its answer */
    bool asked; /* its answer is awaited */
    bool gone;  /* to be freed when nobody walks the list */
};

struct control {
    int listener, folder, depth; /* of pid namespaces: ours */
    double grace;
    struct control_client *clients;
    size_t n_clients, held; /* bytes of payloads */
    uint32_t next_number;
    uint32_t awaiting; /* the command that init has been told to start and has not spoken of; 0 none */
    double since;
    int farewell_code;
    char farewell[WIRE_MAX_REPLY - 16];
};

/* Sends a frame to a client without waiting; a client that does not take it is dropped. */
void control_send(struct control *control, struct control_client *client, enum wire_type type, uint32_t id,
                  const void *payload, size_t length, int fd);
struct control_client *control_find(const struct control *control, uint32_t number);

/* Handles a START or SIGNAL of a client; false when it broke the protocol. */
bool control_start(struct sandbox *sandbox, struct control_client *client);
bool control_signal(struct sandbox *sandbox, const struct control_client *client);

/* What is due of commands; true when `event` is to be reported. */
bool control_commands_tick(struct sandbox *sandbox, struct event *event);

/* The client has gone: its commands end at the next tick. */
void control_orphan(struct sandbox *sandbox, uint32_t client);

#endif
