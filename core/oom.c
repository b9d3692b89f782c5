#include "oom.h"

#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "total-vm:10kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB": the three that are resident. */
static uint64_t resident(const char *line)
{
    static const char *const kinds[] = {"anon-rss:", "file-rss:", "shmem-rss:"};
    uint64_t bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *at = strstr(line, kinds[i]);
        bytes += at ? strtoull(at + strlen(kinds[i]), NULL, 10) * 1024 : 0;
    }
    return bytes;
}

static void take_kill(const char *line, struct oom *oom)
{
    char name[16] = "";
    const char *at = strstr(line, "Killed process ");
    if (!at || sscanf(at, "Killed process %*d (%15[^)]", name) != 1)
        return;
    uint64_t bytes = resident(at);
    if (oom->killed++ > 0 && bytes <= oom->bytes)
        return;
    oom->bytes = bytes;
    memcpy(oom->name, name, sizeof name);
}

/* Whether the line has `group` as the end of a path: c1 is not c12. */
static bool names(const char *line, const char *group)
{
    size_t length = strlen(group);
    for (const char *at = line; (at = strstr(at, group)); at += length)
        if (!isalnum((unsigned char)at[length]))
            return true;
    return false;
}

int oom_find(const char *group, struct oom *oom)
{
    char line[2048];
    bool ours = false;
    memset(oom, 0, sizeof *oom);
    cleanup_fd int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    for (;;) {
        ssize_t got = log < 0 ? -1 : read(log, line, sizeof line - 1);
        if (got < 0 && (errno == EPIPE || errno == EINVAL) && log >= 0)
            continue; /* a line was overwritten before it was read, or is longer than ours ever are */
        if (got <= 0)
            break;
        line[got] = '\0';
        if (strstr(line, "oom-kill:") || strstr(line, "Tasks in "))
            ours = names(line, group);
        else if (ours)
            take_kill(line, oom);
    }
    return oom->killed > 0 ? 0 : -1;
}
