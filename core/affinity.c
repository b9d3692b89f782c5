#include "affinity.h"

#include "util.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int affinity_pin(int processors, unsigned spread, struct err *err)
{
    cpu_set_t allowed, chosen;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return err_sys(err, "read the processors that may be used");
    CPU_ZERO(&chosen);
    for (int i = 0, taken = 0; i < CPU_SETSIZE && taken < processors; i++) {
        int cpu = (int)((spread + (unsigned)i) % CPU_SETSIZE);
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_SET(cpu, &chosen);
            taken++;
        }
    }
    if (sched_setaffinity(0, sizeof chosen, &chosen) < 0)
        return err_sys(err, "pin to %d processors", processors);
    return 0;
}

int affinity_lock(struct err *err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return err_sys(err, "keep the sandbox on its processors");
    return 0;
}
