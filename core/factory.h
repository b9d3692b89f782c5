/* factory.h - sockets of the sandbox's own network for its gateway, which connects them to published ports
 * (gateway/inbound.h). Runs in init, confined as every command is: what it makes is charged to the sandbox. */
#ifndef MOONBOX_FACTORY_H
#define MOONBOX_FACTORY_H

/* Answers one question that waits on `socket` with an unconnected TCP socket. 0, or -1 when the gateway is gone. */
int factory_answer(int socket);

#endif
