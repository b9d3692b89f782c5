/* setid.h - for sandboxes that may write to a directory of the host: no file in it becomes set-user-id or
 * set-group-id.  `nosuid` keeps such a file from mattering inside; on the host it would run with its owner's rights, and
 * the owner may be root. */
#ifndef MOONBOX_SETID_H
#define MOONBOX_SETID_H

#include "err.h"

/* From here on chmod(2), open(2), mknod(2) and their relatives refuse those two mode bits with EPERM, and openat2(2),
 * whose mode a filter can't see, is not there (ENOSYS; callers fall back to openat). Needs no_new_privs. */
int setid_forbid(struct err *err);

#endif
