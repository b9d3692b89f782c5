/* wire.h - the framed byte protocol between a supervisor, the init of its sandbox, its gateway and its clients.
 *
 * A frame is a fixed header and `length` bytes of payload.  It needs only a reliable byte stream, so that a
 * virtual machine can speak it over a serial line later; over the local socket, file descriptors ride beside the
 * header (SCM_RIGHTS, unix(7)).  The supervisor treats everything that init says as hostile: sizes are bounded,
 * unknown types end the sandbox, and a half frame never blocks it. */
#ifndef MOONBOX_WIRE_H
#define MOONBOX_WIRE_H

#include "err.h"
#include "wire_message.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WIRE_MAX_PAYLOAD = 4 << 20, WIRE_MAX_FDS = 8 };

struct wire_header {
    uint32_t length; /* of the payload */
    uint16_t type;
    uint16_t n_fds;
    uint32_t id; /* the command it is about */
};

/* Sends a frame whole (blocking). `fds` are borrowed. 0, or -1 with errno. */
int wire_send(int socket, enum wire_type type, uint32_t id, const void *payload, size_t length, const int *fds,
              size_t n_fds);

/* The same without waiting: a peer that does not take it whole at once gets -1, and is then of no use any more. */
int wire_offer(int socket, enum wire_type type, uint32_t id, const void *payload, size_t length, const int *fds,
               size_t n_fds);

/* Init's side: blocks until a frame has come. The payload is malloc'ed and the caller's, as are the fds (others
 * are -1). 1 = a frame, 0 = the peer is gone, -1 = broken. */
int wire_receive(int socket, struct wire_header *header, char **payload, int fds[WIRE_MAX_FDS]);

/* Receives what is there, at most `length` bytes; descriptors beside it go behind the *n_fds that `fds` has of `room`, more
 * are closed. As recvmsg(2) with `flags`. */
ssize_t wire_take(int socket, void *bytes, size_t length, int flags, int *fds, size_t room, size_t *n_fds);

/* Cuts `count` NUL-terminated strings off a payload: a NULL-terminated list that the caller frees, of pointers into it;
 * NULL when there are not that many, or no memory. */
char **wire_strings(char **next, const char *end, size_t count);

/* Supervisor's side: frames come in pieces and are never waited for. */
struct wire_reader {
    struct wire_header header;
    char payload[WIRE_MAX_REPLY];
    size_t have; /* bytes of header + payload */
    int fd;      /* at most one rides beside a reply; -1 none */
};

void wire_reader_init(struct wire_reader *reader);
void wire_reader_free(struct wire_reader *reader);

/* 1 = a whole frame is in *reader (call wire_reader_next before the next), 0 = not yet, -1 = the peer is gone or
 * spoke nonsense (errno EPROTO). */
int wire_read(int socket, struct wire_reader *reader);
void wire_reader_next(struct wire_reader *reader);

#endif
