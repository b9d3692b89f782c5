#include "head_start.h"

#include "cgroup_find.h"
#include "failpoint.h"
#include "launch.h"
#include "plan_bytes.h"
#include "state_path.h"
#include "util.h"
#include "version.h"
#include "warrant.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* A file: a line of text that tells the terms and the length of the warrant, padded with NULs to HEAD bytes, the warrant,
 * and the plan's bytes. */
enum { NAME_BYTES = 8, HEAD = 80, LARGEST = 1 << 20 };

static struct {
    char path[PATH_MAX]; /* where the plan of these arguments is kept; "" nowhere */
    const char *policy;  /* of these arguments, as policy_of */
    bool pending;        /* some of what follows is ours to end */
    bool running;
    char name[2 * NAME_BYTES + 1];
    char *bytes; /* of the file */
    size_t length;
    size_t warrant; /* of these, after the head */
    struct plan *plan;
    struct keeper keeper;
    struct sandbox sandbox;
    uint32_t command; /* that was started already, 0 none; and when */
    double began;
    sigset_t signals; /* blocked before, and what SIGPIPE did: a launch changes both */
    struct sigaction pipe;
} begun;

#define FORMAT "moonbox head start 2 "

static void head_of(const struct head_start_terms *terms, size_t warrant, char head[HEAD])
{
    memset(head, 0, HEAD);
    snprintf(head, HEAD, FORMAT MOONBOX_VERSION " pin %d keeper %d late %d warrant %zu\n", terms->pin, terms->keeper,
             terms->groups_late, warrant);
}

/* False when they are not exactly as head_of writes them. */
static bool terms_of(const char *bytes, struct head_start_terms *terms, size_t *warrant)
{
    char head[HEAD], expected[HEAD];
    int keeper, late;
    memcpy(head, bytes, HEAD);
    head[HEAD - 1] = '\0';
    if (sscanf(head, FORMAT "%*s pin %d keeper %d late %d warrant %zu", &terms->pin, &keeper, &late, warrant) != 4)
        return false;
    terms->keeper = keeper != 0;
    terms->groups_late = late != 0;
    head_of(terms, *warrant, expected);
    return memcmp(bytes, expected, HEAD) == 0;
}

/* The value of --policy, which is not empty, "" without one; NULL when the arguments are not of `exec` with a fresh sandbox, or change the
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
        if (!known && strcmp(argv[i], "--policy") == 0 && argv[i + 1] && *argv[i + 1])
            known = true, policy = argv[++i];
        if (!known)
            return NULL;
    }
    return policy;
}

/* What a file of such a name holds is compared in full, or names its policy (core/warrant). */
static bool find_path(const char *policy)
{
    char below[64];
    snprintf(below, sizeof below, "cache/start-%016llx", (unsigned long long)util_hash(policy, strlen(policy)));
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
    if (!terms_of(begun.bytes, &terms, &begun.warrant) || begun.warrant > begun.length - HEAD ||
        !state_path(lock_dir, sizeof lock_dir, "ids") || !make_name())
        return false;
    size_t before = HEAD + begun.warrant;
    begun.plan = plan_decode(begun.bytes + before, begun.length - before);
    if (!begun.plan)
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
    begun.policy = policy;
    begun.keeper = KEEPER_NONE;
    begun.pending = true;
    sigprocmask(SIG_BLOCK, NULL, &begun.signals);
    sigaction(SIGPIPE, NULL, &begun.pipe);
    if (!read_kept() || !launch_kept())
        head_start_drop();
}

bool head_start_look(struct head_start_view *view)
{
    if (!begun.pending || !begun.running)
        return false;
    *view = (struct head_start_view){&begun.sandbox, begun.policy, begun.bytes + HEAD, begun.warrant};
    return true;
}

void head_start_started(uint32_t id, double began)
{
    begun.command = id;
    begun.began = began;
}

/* `bytes` are the plan's. */
static bool is_kept(const struct head_start_terms *terms, const char *bytes, size_t length)
{
    char head[HEAD];
    if (!begun.plan)
        return false;
    head_of(terms, begun.warrant, head);
    return begun.length == HEAD + begun.warrant + length && memcmp(begun.bytes, head, HEAD) == 0 &&
           memcmp(begun.bytes + HEAD + begun.warrant, bytes, length) == 0;
}

static bool fits(const struct plan *plan, const struct head_start_terms *terms)
{
    size_t length = 0;
    struct err ignored;
    cleanup_free char *bytes = plan_encode(plan, &length);
    return bytes && begun.running && is_kept(terms, bytes, length) && failpoint("head start", "take", &ignored) == 0;
}

int head_start_take(const struct plan *plan, const struct head_start_terms *terms, struct sandbox *sandbox,
                    struct keeper *keeper, struct head_start_taken *taken)
{
    if (!begun.pending || !fits(plan, terms)) {
        bool ran = begun.pending && begun.command != 0;
        head_start_drop();
        if (ran)
            unlink(begun.path);
        return ran ? -1 : 0;
    }
    *sandbox = begun.sandbox;
    *keeper = begun.keeper;
    sandbox->plan = plan;
    sandbox->keeper = sandbox->keeper ? keeper : NULL;
    *taken = (struct head_start_taken){.command = begun.command, .began = begun.began};
    memcpy(taken->name, begun.name, sizeof begun.name);
    begun.pending = false;
    return 1;
}

static void write_kept(const char *head, const char *warrant, size_t warrant_length, const char *bytes, size_t length)
{
    char new_path[PATH_MAX + 16];
    char *slash = strrchr(begun.path, '/');
    *slash = '\0';
    mkdir(begun.path, 0700);
    *slash = '/';
    snprintf(new_path, sizeof new_path, "%s.%d", begun.path, getpid());
    unlink(new_path); /* of an earlier process of this pid that was killed */
    cleanup_fd int fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (util_write_all(fd, head, HEAD) < 0 || util_write_all(fd, warrant, warrant_length) < 0 ||
        util_write_all(fd, bytes, length) < 0 || rename(new_path, begun.path) < 0)
        unlink(new_path);
}

void head_start_keep(const struct plan *plan, const struct head_start_terms *terms, const char *files,
                     size_t files_length)
{
    char head[HEAD];
    size_t length = 0, warrant_length = 0;
    cleanup_free char *bytes = plan_encode(plan, &length);
    if (!begun.path[0] || !bytes)
        return;
    cleanup_free char *warrant = warrant_write(plan, begun.policy, files, files_length, &warrant_length);
    if (!warrant)
        warrant_length = 0;
    if (is_kept(terms, bytes, length) && warrant_length == begun.warrant &&
        (!warrant || memcmp(warrant, begun.bytes + HEAD, warrant_length) == 0))
        return;
    head_of(terms, warrant_length, head);
    write_kept(head, warrant, warrant_length, bytes, length);
}

/* Trouble in err, and what was before the beginning is again. */
static int end(struct err *err)
{
    struct err ignored;
    int result = begun.running ? sandbox_close(&begun.sandbox, err) : 0;
    if (keeper_stop(&begun.keeper, result < 0 ? &ignored : err) < 0)
        result = -1;
    sigaction(SIGPIPE, &begun.pipe, NULL);
    sigprocmask(SIG_SETMASK, &begun.signals, NULL);
    begun.pending = begun.running = false;
    return result;
}

void head_start_drop(void)
{
    struct err ignored;
    if (begun.pending)
        end(&ignored);
}

int head_start_end(struct err *err)
{
    return begun.pending ? end(err) : 0;
}
