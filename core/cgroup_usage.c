#include "cgroup_usage.h"

#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number_in(int fd, const char *file)
{
    char text[64];
    return util_read_file(fd, file, text, sizeof text) > 0 ? strtoull(text, NULL, 10) : 0;
}

uint64_t cgroup_keyed(int fd, const char *file, const char *key)
{
    char text[4096];
    if (util_read_file(fd, file, text, sizeof text) <= 0)
        return 0;
    size_t length = strlen(key);
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, length) == 0 && at[length] == ' ')
            return strtoull(at + length, NULL, 10);
    }
    return 0;
}

static void read_memory(int fd, int version, struct cgroup_usage *usage)
{
    usage->has_memory = true;
    usage->memory = number_in(fd, version == 2 ? "memory.current" : "memory.usage_in_bytes");
    usage->memory_peak = number_in(fd, version == 2 ? "memory.peak" : "memory.max_usage_in_bytes");
    usage->oom_kills = cgroup_keyed(fd, version == 2 ? "memory.events" : "memory.oom_control", "oom_kill");
}

/* "some avg10=1.25 avg60=…": kernel Documentation/accounting/psi. */
static bool read_pressure(int fd, double pressure[CGROUP_PRESSURES])
{
    static const char *const files[CGROUP_PRESSURES] = {"cpu.pressure", "memory.pressure", "io.pressure"};
    char text[256];
    for (int i = 0; i < CGROUP_PRESSURES; i++)
        if (util_read_file(fd, files[i], text, sizeof text) <= 0 || sscanf(text, "some avg10=%lf", &pressure[i]) != 1)
            return false;
    return true;
}

void cgroup_read_usage(const struct cgroup *group, struct cgroup_usage *usage)
{
    memset(usage, 0, sizeof *usage);
    for (int i = 0; i < group->n; i++) {
        int fd = group->groups[i].fd, version = group->groups[i].version;
        if (group->groups[i].has[CGROUP_MEMORY])
            read_memory(fd, version, usage);
        if (group->groups[i].has[CGROUP_PIDS]) {
            usage->processes = number_in(fd, "pids.current");
            usage->refused = cgroup_keyed(fd, "pids.events", "max");
        }
        if (version == 2 && !usage->has_cpu) {
            usage->cpu_us = cgroup_keyed(fd, "cpu.stat", "usage_usec");
            usage->has_cpu = true;
            usage->has_pressure = read_pressure(fd, usage->pressure);
        }
    }
}
