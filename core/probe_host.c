#include "probe_parts.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Looks through PATH (or the usual places without it). 0 with the program's path, or -1. */
static int find_program(const char *name, char *path, size_t size)
{
    const char *at = getenv("PATH");
    if (!at || !*at)
        at = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        size_t length = strcspn(at, ":");
        if (length > 0 && snprintf(path, size, "%.*s/%s", (int)length, at, name) < (int)size && access(path, X_OK) == 0)
            return 0;
        if (!at[length])
            break;
        at += length + 1;
    }
    errno = ENOENT;
    return -1;
}

void probe_program(const struct probe_case *with, struct probe_fact *fact)
{
    char path[PATH_MAX];
    if (find_program(with->name, path, sizeof path) < 0)
        probe_no(fact, "no %s in PATH", with->name);
    else
        probe_yes(fact, "%.200s", path);
}

/* newuidmap(1) and newgidmap(1) work only setuid root or with a file capability. */
void probe_id_helper(const struct probe_case *with, struct probe_fact *fact)
{
    char path[PATH_MAX];
    struct stat st;
    if (find_program(with->name, path, sizeof path) < 0 || stat(path, &st) < 0) {
        probe_no(fact, "no %s in PATH", with->name);
    } else if (!(st.st_uid == 0 && (st.st_mode & S_ISUID)) && getxattr(path, "security.capability", NULL, 0) <= 0) {
        errno = EPERM;
        probe_no(fact, "%.150s is neither setuid root nor has a capability", path);
    } else {
        probe_yes(fact, "%.200s", path);
    }
}

/* subuid(5): "NAME-OR-ID:FIRST:COUNT". The caller's own range of at least 65,536 ids. */
void probe_subordinate(const struct probe_case *with, struct probe_fact *fact)
{
    char line[256], owner[128], number[32];
    unsigned long first, count;
    const struct passwd *user = getpwuid(geteuid());
    snprintf(number, sizeof number, "%u", (unsigned)geteuid());
    FILE *file = fopen(with->name, "re");
    if (!file) {
        probe_no(fact, "open %s", with->name);
        return;
    }
    errno = 0;
    probe_no(fact, "no range of 65536 ids for %.64s in %s", user ? user->pw_name : number, with->name);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%127[^:]:%lu:%lu", owner, &first, &count) == 3 && count >= 65536 &&
            ((user && strcmp(owner, user->pw_name) == 0) || strcmp(owner, number) == 0)) {
            probe_yes(fact, "%lu ids from %lu on", count, first);
            break;
        }
    fclose(file);
}

void probe_fuse(const struct probe_case *with, struct probe_fact *fact)
{
    (void)with;
    cleanup_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        probe_no(fact, "open /dev/fuse");
    else
        probe_yes(fact, "/dev/fuse opens");
}

enum { LOOPS = 100000, GUEST_BYTES = 4096, ENOUGH_MILLIONS = 100 };

/* Real mode: mov ecx, LOOPS; again: dec ecx; jnz again; hlt. */
static const unsigned char guest_code[] = {
    0x66, 0xb9, LOOPS & 0xff, LOOPS >> 8 & 0xff, LOOPS >> 16 & 0xff, 0, 0x66, 0x49, 0x75, 0xfc, 0xf4};

/* Prepares the one processor at the start of the code. Its descriptor, or -1 with errno. */
static int make_processor(int machine)
{
    void *memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    memcpy(memory, guest_code, sizeof guest_code);
    struct kvm_userspace_memory_region region = {
        .memory_size = GUEST_BYTES, .guest_phys_addr = 0x1000, .userspace_addr = (unsigned long)memory};
    if (ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return -1;
    cleanup_fd int cpu = ioctl(machine, KVM_CREATE_VCPU, 0);
#if defined(__x86_64__)
    struct kvm_sregs segments;
    struct kvm_regs registers = {.rip = 0x1000, .rflags = 2};
    if (cpu < 0 || ioctl(cpu, KVM_GET_SREGS, &segments) < 0)
        return -1;
    segments.cs.base = segments.cs.selector = 0;
    if (ioctl(cpu, KVM_SET_SREGS, &segments) < 0 || ioctl(cpu, KVM_SET_REGS, &registers) < 0)
        return -1;
#endif
    return steal_fd(&cpu);
}

/* Runs the loop. Millions of instructions a second, or -1 with errno. */
static double guest_speed(int kvm)
{
    cleanup_fd int machine = ioctl(kvm, KVM_CREATE_VM, 0);
    cleanup_fd int cpu = machine < 0 ? -1 : make_processor(machine);
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (cpu < 0 || size < (int)sizeof(struct kvm_run))
        return -1;
    const struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
    if (run == MAP_FAILED)
        return -1;
    double start = util_monotonic();
    if (ioctl(cpu, KVM_RUN, 0) < 0)
        return -1;
    errno = EPROTO;
    return run->exit_reason == KVM_EXIT_HLT ? 2.0 * LOOPS / 1e6 / (util_monotonic() - start) : -1;
}

/* The device node proves nothing: some kernels emulate each instruction behind it. So a guest must run at
 * speed. */
void probe_kvm(const struct probe_case *with, struct probe_fact *fact)
{
    enum { VERSION = 12 };
    (void)with;
    cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        probe_no(fact, "open /dev/kvm");
        return;
    }
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != VERSION) {
        probe_no(fact, "/dev/kvm doesn't speak version %d", VERSION);
        return;
    }
    double millions = guest_speed(kvm);
    if (millions < 0) {
        probe_no(fact, "/dev/kvm is there, and a guest doesn't run on it");
    } else if (millions < ENOUGH_MILLIONS) {
        errno = 0;
        probe_no(fact, "/dev/kvm is there, and emulates: %.1f million instructions a second", millions);
    } else {
        probe_yes(fact, "a guest runs at %.0f million instructions a second", millions);
    }
}
