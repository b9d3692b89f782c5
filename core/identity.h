/* identity.h - which file it is, and in which state: two looks that find the same identity found the same bytes. */
#ifndef MOONBOX_IDENTITY_H
#define MOONBOX_IDENTITY_H

#include <stddef.h>
#include <time.h>

enum { IDENTITY_BYTES = 160 };

/* Writes "device:inode:size:mtime:ctime", times in nanoseconds, of the file that `path` leads to. The last can't be set
 * by hand (utimensat(2)), so a file whose identity is the same has the same content - unless it changed within one
 * tick of the clock that stamps files: `changed`, the later of the two times in whole seconds, may be NULL. 0, or -1
 * with errno. */
int identity_of(const char *path, char text[IDENTITY_BYTES], time_t *changed);

#endif
