/* transfer.h - a file or a tree as one stream of bytes, and back: how files enter and leave a sandbox.
 *
 * Both ends work below a directory that they hold open, one name at a time, and never follow a link (openat(2),
 * O_NOFOLLOW), so that whoever moves things about meanwhile moves nobody out of that directory.  The end that takes is
 * given names by the other: a name that is more than one name is refused.  What is neither file, directory nor link is
 * left out and told.  Set-user-id, set-group-id and sticky bits and owners do not travel; holes do. */
#ifndef MOONBOX_TRANSFER_H
#define MOONBOX_TRANSFER_H

#include "err.h"

#include <stdint.h>

struct transfer_limits {
    uint64_t bytes;   /* of data; 0 none */
    uint64_t entries; /* 0 none */
};

/* Writes `name` in `directory` and what is below it to `out`. What was left out goes to `notices`, a line each. */
int transfer_pack(int directory, const char *name, int out, int notices, struct err *err);

/* Reads a stream from `in` and makes it `name` in `directory`. A file or link that is there is replaced at once, whole
 * (rename(2)); a directory is added to. err->code is EFBIG beyond a limit, EPROTO for a stream that makes no sense. */
int transfer_unpack(int in, int directory, const char *name, const struct transfer_limits *limits, struct err *err);

/* Splits a path where something is to be put: the directory, held open, and the name in it. When the path is a directory
 * itself, that is `name_inside` in it. Writes the name to `name`. Returns the descriptor, or -1. */
int transfer_place(const char *path, const char *name_inside, char name[256], struct err *err);

#endif
