/* cgroup_usage.h - what the kernel counts of a sandbox's groups. */
#ifndef MOONBOX_CGROUP_USAGE_H
#define MOONBOX_CGROUP_USAGE_H

#include "cgroup.h"

#include <stdbool.h>
#include <stdint.h>

enum { CGROUP_PRESSURE_CPU, CGROUP_PRESSURE_MEMORY, CGROUP_PRESSURE_IO, CGROUP_PRESSURES };

struct cgroup_usage {
    uint64_t memory, memory_peak, cpu_us, processes;
    uint64_t oom_kills, refused;       /* processes killed for want of memory; forks refused */
    double pressure[CGROUP_PRESSURES]; /* percent of the last 10 s in which some process waited */
    bool has_memory, has_cpu, has_pressure;
};

/* The number behind `key` in a file of lines "KEY NUMBER"; 0 when it is not there. `fd`: of the group's directory. */
uint64_t cgroup_keyed(int fd, const char *file, const char *key);

void cgroup_read_usage(const struct cgroup *group, struct cgroup_usage *usage);

#endif
