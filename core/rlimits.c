#include "rlimits.h"

#include "util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    int resource;
} names[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},         {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},     {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},       {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},     {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},   {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

int rlimits_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].resource;
    return -1;
}

int rlimits_apply(const struct rlimit_row *rows, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct rlimit now, want = {rows[i].soft, rows[i].hard};
        if (getrlimit((__rlimit_resource_t)rows[i].resource, &now) < 0)
            return err_sys(err, "read resource limit %d", rows[i].resource);
        if (want.rlim_max > now.rlim_max)
            want.rlim_max = now.rlim_max;
        if (want.rlim_cur > want.rlim_max)
            want.rlim_cur = want.rlim_max;
        if (setrlimit((__rlimit_resource_t)rows[i].resource, &want) < 0)
            return err_sys(err, "set resource limit %d", rows[i].resource);
    }
    return 0;
}

void rlimits_bound_memory(uint64_t more)
{
    char text[128];
    if (util_read_file(AT_FDCWD, "/proc/self/statm", text, sizeof text) <= 0)
        return;
    rlim_t now = strtoull(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
    struct rlimit limit = {now + more, now + more};
    setrlimit(RLIMIT_AS, &limit);
}
