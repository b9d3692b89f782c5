/* conn_end.h - how a connection ends, and the flow that the log gets of it. */
#ifndef MOONBOX_GATEWAY_CONN_END_H
#define MOONBOX_GATEWAY_CONN_END_H

#include <stdbool.h>

struct conn;
struct gateway;

/* Seconds that looking up, dialling and accepting may take together, and a ClientHello or HTTP head to be whole. A
 * connection that says nothing may stay: that is what pooled and long-polled ones do. */
#define CONN_PATIENCE 30.0

enum refusal { REFUSE_DENIED, REFUSE_REFUSED, REFUSE_UNREACHABLE, REFUSE_TIMEOUT };

/* Ends a connection that was not to be or could not be made: the client sees ECONNREFUSED or EHOSTUNREACH while its SYN is
 * held, else a reset. DENIED is the policy's doing, the others the far end's. */
void conn_refuse(struct conn *conn, enum refusal how, const char *rule, const char *reason);

/* Notes what the policy's hook has to say about a connection that it lets be. */
void conn_warn(struct conn *conn, const char *rule, const char *reason);

/* Ends one that was. `outcome`: "closed", "reset", "cut" and the like; `reset`: both ends see a RST. */
void conn_end(struct conn *conn, const char *outcome, const char *reason, bool reset);

/* Frees what ended in this batch. */
void conn_bury(struct gateway *gateway);

/* Ends what has been waiting too long. Milliseconds until the next could, -1 never. */
int conn_expire(struct gateway *gateway);

#endif
