#include "warrant.h"

#include "cgroup_find.h"
#include "identity.h"
#include "plan_bytes.h"
#include "util.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES "files\n"

/* What moonbox.policies, moonbox.paths and moonbox.task look at. */
static const char *const variables[] = {"HOME", "XDG_STATE_HOME", "MOONBOX_STATE", "MOONBOX_POLICIES"};

/* moonbox.plan_mounts: names that a distribution may have merged into /usr. */
static const char *const merged[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};

static bool one_line(const char *text)
{
    return !strchr(text, '\n');
}

static bool write_program(FILE *out)
{
    char path[PATH_MAX], identity[IDENTITY_BYTES];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    if (!one_line(path) || identity_of(path, identity, NULL) < 0)
        return false;
    fprintf(out, "program %s %s\n", identity, path);
    return true;
}

static bool write_policy(FILE *out, const char *policy)
{
    fprintf(out, "policy %s\n", policy);
    return one_line(policy);
}

/* A torn or rotten copy is not the plan that the rest is about. */
static bool write_plan(FILE *out, const struct plan *plan)
{
    size_t length = 0;
    cleanup_free void *bytes = plan_encode(plan, &length);
    if (bytes)
        fprintf(out, "plan %016llx\n", (unsigned long long)util_hash(bytes, length));
    return bytes != NULL;
}

static bool write_variables(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value && !one_line(value))
            return false;
        fprintf(out, "variable %s %s\n", variables[i], value ? value : "");
    }
    return true;
}

static void write_groups(FILE *out)
{
    const struct cgroup_support *found = cgroup_found();
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        fprintf(out, "group %d %d %s\n", c, found->controllers[c].version, found->controllers[c].parent);
    fprintf(out, "group unified %s\n", found->unified);
}

static void write_merged(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(merged); i++) {
        char to[PATH_MAX];
        struct stat st;
        ssize_t n = readlink(merged[i], to, sizeof to - 1);
        to[n > 0 ? n : 0] = '\0';
        fprintf(out, "link %s %d %s\n", merged[i], lstat(merged[i], &st) == 0, to);
    }
}

static bool write_sources(FILE *out, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct mount_row *row = &plan->mounts[i];
        if (row->kind != MOUNT_BIND)
            continue;
        cleanup_free char *real = realpath(row->source, NULL);
        if (!one_line(row->source) || (real && !one_line(real)))
            return false;
        fprintf(out, "source %s\t%s\n", row->source, real ? real : "");
    }
    return true;
}

/* False when one is not as its line says. */
static bool write_files(FILE *out, const char *files, size_t length)
{
    const char *end = files + length;
    while (files < end) {
        char path[PATH_MAX], identity[IDENTITY_BYTES] = "absent";
        const char *line_end = memchr(files, '\n', (size_t)(end - files));
        const char *space = line_end ? memchr(files, ' ', (size_t)(line_end - files)) : NULL;
        if (!space || line_end - space > PATH_MAX - 1)
            return false;
        size_t path_length = (size_t)(line_end - space) - 1, said = (size_t)(space - files);
        memcpy(path, space + 1, path_length);
        path[path_length] = '\0';
        if (identity_of(path, identity, NULL) < 0)
            strcpy(identity, "absent");
        if (strlen(path) != path_length || strlen(identity) != said || memcmp(identity, files, said) != 0)
            return false;
        fprintf(out, "%s %s\n", identity, path);
        files = line_end + 1;
    }
    return true;
}

char *warrant_write(const struct plan *plan, const char *policy, const char *files, size_t files_length, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out)
        return NULL;
    bool good = write_program(out) && write_policy(out, policy) && write_plan(out, plan) && write_variables(out) &&
                write_sources(out, plan);
    write_groups(out);
    write_merged(out);
    fputs(FILES, out);
    good = good && files_length > 0 && write_files(out, files, files_length);
    if (fclose(out) != 0 || !good) {
        free(text);
        return NULL;
    }
    return text;
}

bool warrant_holds(const struct plan *plan, const char *policy, const char *text, size_t length)
{
    static const char mark[] = "\n" FILES;
    size_t again_length = 0;
    const char *at = length > 0 ? memmem(text, length, mark, sizeof mark - 1) : NULL;
    if (!at)
        return false;
    const char *files = at + sizeof mark - 1;
    cleanup_free char *again = warrant_write(plan, policy, files, (size_t)(text + length - files), &again_length);
    return again && again_length == length && memcmp(again, text, length) == 0;
}
