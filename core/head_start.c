#include "head_start.h"

#include "cgroup.h"
#include "failpoint.h"
#include "launch.h"
#include "plan_bytes.h"
#include "state_path.h"
#include "util.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* A file: a line of text that tells the terms, padded with NULs to HEAD bytes, then the plan's bytes. */
enum { NAME_BYTES = 8, HEAD = 80, LARGEST = 1 << 20 };

static struct {
    char path[PATH_MAX]; /* where the plan of these arguments is kept; "" nowhere */
    bool pending;        /* some of what follows is ours to end */
    bool running;
    char name[2 * NAME_BYTES + 1];
    char *bytes; /* of the file */
    size_t length;
    struct plan *plan;
    struct keeper keeper;
    struct sandbox sandbox;
    sigset_t signals; /* blocked before, and what SIGPIPE did: a launch changes both */
    struct sigaction pipe;
} begun;

#define FORMAT "moonbox head start 1 "

static void head_of(const struct head_start_terms *terms, char head[HEAD])
{
    memset(head, 0, HEAD);
    snprintf(head, HEAD, FORMAT MOONBOX_VERSION " pin %d keeper %d late %d\n", terms->pin, terms->keeper,
             terms->groups_late);
}

/* False when they are not exactly as head_of writes them. */
static bool terms_of(const char *bytes, struct head_start_terms *terms)
{
    char head[HEAD], expected[HEAD];
    int keeper, late;
    memcpy(head, bytes, HEAD);
    head[HEAD - 1] = '\0';
    if (sscanf(head, FORMAT "%*s pin %d keeper %d late %d", &terms->pin, &keeper, &late) != 3)
        return false;
    terms->keeper = keeper != 0;
    terms->groups_late = late != 0;
    head_of(terms, expected);
    return memcmp(bytes, expected, HEAD) == 0;
}

/* The value of --policy, "" without one; NULL when the arguments are not of `exec` with a fresh sandbox, or change the
 * plan. Options of the same meaning are read by moonbox.cli.exec, which refuses what is wrong with them. */
static const char *policy_of(int argc, char **argv)
{
    static const char *const with_value[] = {"--env", "--cwd", "--time"};
    static const char *const flags[] = {"--json", "--tty", "--no-tty"};
    const char *policy = "";
    if (argc < 3 || strcmp(argv[1], "exec") != 0 || argv[2][0] != '-')
        return NULL;
    for (int i = 2; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
        bool known = false;
        for (size_t j = 0; j < ARRAY_LEN(flags); j++)
            known = known || strcmp(argv[i], flags[j]) == 0;
        for (size_t j = 0; j < ARRAY_LEN(with_value) && !known; j++)
            if (strcmp(argv[i], with_value[j]) == 0)
                known = true, i++;
        if (!known && strcmp(argv[i], "--policy") == 0 && argv[i + 1])
            known = true, policy = argv[++i];
        if (!known)
            return NULL;
    }
    return policy;
}

/* FNV-1a: names a file; what it holds is compared in full. */
static bool find_path(const char *policy)
{
    uint64_t hash = 0xcbf29ce484222325;
    char below[64];
    for (const char *c = policy; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
    snprintf(below, sizeof below, "cache/start-%016llx", (unsigned long long)hash);
    return state_path(begun.path, sizeof begun.path, below);
}

/* Another's file, or one that others may write, is not believed, not even for a head start. */
static bool read_kept(void)
{
    struct stat st;
    cleanup_fd int fd = open(begun.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) ||
        st.st_size <= HEAD || st.st_size > LARGEST)
        return false;
    begun.length = (size_t)st.st_size;
    begun.bytes = malloc(begun.length);
    return begun.bytes && read(fd, begun.bytes, begun.length) == (ssize_t)begun.length;
}

static bool make_name(void)
{
    unsigned char random[NAME_BYTES];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(begun.name + 2 * i, 3, "%02x", random[i]);
    return true;
}

static bool launch_kept(void)
{
    char lock_dir[PATH_MAX];
    struct head_start_terms terms;
    struct err ignored;
    if (!terms_of(begun.bytes, &terms) || !state_path(lock_dir, sizeof lock_dir, "ids") || !make_name() ||
        !(begun.plan = plan_decode(begun.bytes + HEAD, begun.length - HEAD)))
        return false;
    const struct keeper_request request = {.lock_dir = lock_dir};
    if (terms.keeper && keeper_start(&begun.keeper, begun.plan, &request, &ignored) < 0)
        return false;
    const struct launch_options options = {.lock_dir = lock_dir,
                                           .name = begun.name,
                                           .keeper = terms.keeper ? &begun.keeper : NULL,
                                           .groups = cgroup_found,
                                           .groups_late = terms.groups_late,
                                           .pin = terms.pin,
                                           .flows = -1,
                                           .signals = true};
    begun.running = launch(begun.plan, &options, &begun.sandbox, &ignored) == 0;
    return begun.running;
}

void head_start_begin(int argc, char **argv)
{
    const char *policy = policy_of(argc, argv);
    if (!policy || !find_path(policy)) {
        begun.path[0] = '\0';
        return;
    }
    begun.keeper = KEEPER_NONE;
    begun.pending = true;
    sigprocmask(SIG_BLOCK, NULL, &begun.signals);
    sigaction(SIGPIPE, NULL, &begun.pipe);
    if (!read_kept() || !launch_kept())
        head_start_drop();
}

static bool is_kept(const struct plan *plan, const struct head_start_terms *terms)
{
    char head[HEAD];
    size_t length = 0;
    head_of(terms, head);
    cleanup_free char *bytes = plan_encode(plan, &length);
    return bytes && begun.bytes && begun.length == HEAD + length && memcmp(begun.bytes, head, HEAD) == 0 &&
           memcmp(begun.bytes + HEAD, bytes, length) == 0;
}

bool head_start_take(const struct plan *plan, const struct head_start_terms *terms, struct sandbox *sandbox,
                     struct keeper *keeper, char *name)
{
    struct err ignored;
    if (!begun.pending || !begun.running || !is_kept(plan, terms)) {
        head_start_drop();
        return false;
    }
    if (failpoint("head start", "take", &ignored) < 0) {
        head_start_drop();
        return false;
    }
    *sandbox = begun.sandbox;
    *keeper = begun.keeper;
    sandbox->plan = plan;
    sandbox->keeper = sandbox->keeper ? keeper : NULL;
    memcpy(name, begun.name, sizeof begun.name);
    begun.pending = false;
    return true;
}

void head_start_keep(const struct plan *plan, const struct head_start_terms *terms)
{
    char head[HEAD];
    char new_path[PATH_MAX + 16];
    size_t length = 0;
    if (!begun.path[0] || is_kept(plan, terms))
        return;
    cleanup_free char *bytes = plan_encode(plan, &length);
    head_of(terms, head);
    char *slash = strrchr(begun.path, '/');
    *slash = '\0';
    mkdir(begun.path, 0700);
    *slash = '/';
    snprintf(new_path, sizeof new_path, "%s.%d", begun.path, getpid());
    unlink(new_path); /* of an earlier process of this pid that was killed */
    cleanup_fd int fd = bytes ? open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (util_write_all(fd, head, HEAD) < 0 || util_write_all(fd, bytes, length) < 0 || rename(new_path, begun.path) < 0)
        unlink(new_path);
}

void head_start_drop(void)
{
    struct err ignored;
    if (!begun.pending)
        return;
    if (begun.running)
        sandbox_close(&begun.sandbox, &ignored);
    keeper_stop(&begun.keeper, &ignored);
    plan_free(steal_ptr(&begun.plan));
    sigaction(SIGPIPE, &begun.pipe, NULL);
    sigprocmask(SIG_SETMASK, &begun.signals, NULL);
    begun.pending = begun.running = false;
}
