/* plan_bytes.c - one walk over the fields serves both ways, so that none can be written and not read. */
#include "plan_bytes.h"

#include "seccomp.h"
#include "util.h"

#include <errno.h>
#include <string.h>

/* Rows of one list, and bytes of one string: beyond what any plan has. */
enum { MOST_ROWS = 1 << 16, MOST_BYTES = 16 << 20 };

struct walk {
    bool writing, failed;
    char *bytes; /* owned by a writer */
    size_t length, at;
};

static void raw(struct walk *w, void *value, size_t size)
{
    if (w->failed)
        return;
    if (w->writing && w->length - w->at < size) {
        size_t room = (w->length + size) * 2;
        char *grown = realloc(w->bytes, room);
        if (!grown) {
            w->failed = true;
            return;
        }
        w->bytes = grown;
        w->length = room;
    }
    if (w->length - w->at < size) {
        w->failed = true;
        return;
    }
    if (w->writing)
        memcpy(w->bytes + w->at, value, size);
    else
        memcpy(value, w->bytes + w->at, size);
    w->at += size;
}

/* Bytes with their length in front. A reader gets a copy with a NUL behind it. */
static void block(struct walk *w, void **value, uint64_t *size)
{
    raw(w, size, sizeof *size);
    if (w->failed)
        return;
    if (!w->writing && (*size > MOST_BYTES || *size > w->length - w->at || !(*value = calloc(1, *size + 1)))) {
        w->failed = true;
        return;
    }
    raw(w, *value, *size);
}

static void text(struct walk *w, char **value)
{
    uint8_t present = *value != NULL;
    raw(w, &present, sizeof present);
    if (!present || w->failed)
        return;
    uint64_t size = w->writing && *value ? strlen(*value) : 0;
    void *bytes = *value;
    block(w, &bytes, &size);
    *value = bytes;
    if (!bytes || strlen(bytes) != size)
        w->failed = true;
}

#define NUMBER(w, field)                                                                                               \
    do {                                                                                                               \
        uint64_t number_ = (uint64_t)(field);                                                                          \
        raw(w, &number_, sizeof number_);                                                                              \
        (field) = (__typeof__(field))number_;                                                                          \
    } while (0)

/* The number of a list's rows; a reader makes room for them and a NULL row behind. */
static void *rows(struct walk *w, void *list, size_t *n, size_t size)
{
    uint64_t count = *n;
    raw(w, &count, sizeof count);
    if (w->writing)
        return list;
    if (w->failed || count > MOST_ROWS || !(list = calloc(count + 1, size))) {
        w->failed = true;
        return NULL;
    }
    *n = (size_t)count;
    return list;
}

static void walk_mount(struct walk *w, struct mount_row *row)
{
    NUMBER(w, row->kind);
    text(w, &row->target);
    text(w, &row->source);
    text(w, &row->text);
    text(w, &row->from);
    NUMBER(w, row->size);
    NUMBER(w, row->inodes);
    NUMBER(w, row->mode);
    NUMBER(w, row->read_only);
    NUMBER(w, row->optional);
    NUMBER(w, row->as_agent);
}

static void walk_lists(struct walk *w, struct plan *plan)
{
    size_t n_env = 0;
    while (plan->env && plan->env[n_env])
        n_env++;
    plan->mounts = rows(w, plan->mounts, &plan->n_mounts, sizeof *plan->mounts);
    for (size_t i = 0; i < plan->n_mounts && !w->failed; i++)
        walk_mount(w, &plan->mounts[i]);
    plan->rlimits = rows(w, plan->rlimits, &plan->n_rlimits, sizeof *plan->rlimits);
    for (size_t i = 0; i < plan->n_rlimits && !w->failed; i++) {
        NUMBER(w, plan->rlimits[i].resource);
        NUMBER(w, plan->rlimits[i].soft);
        NUMBER(w, plan->rlimits[i].hard);
    }
    plan->env = rows(w, plan->env, &n_env, sizeof *plan->env);
    for (size_t i = 0; i < n_env && !w->failed; i++) {
        text(w, &plan->env[i]);
        w->failed = w->failed || !plan->env[i];
    }
}

static void walk_rules(struct walk *w, struct plan *plan)
{
    uint8_t present = plan->rules != NULL;
    raw(w, &present, sizeof present);
    uint64_t size = plan->rules_length;
    if (present && !w->failed)
        block(w, &plan->rules, &size);
    plan->rules_length = w->failed ? 0 : (size_t)size;
    NUMBER(w, plan->publishes);
}

/* A field that is left out here would let two plans that differ pass for the same. */
_Static_assert(sizeof(void *) != 8 || sizeof(struct plan) == 208, "walk over the plan's new fields, too");
_Static_assert(sizeof(void *) != 8 || sizeof(struct mount_row) == 64, "walk over the rows' new fields, too");

static void walk(struct walk *w, struct plan *plan)
{
    text(w, &plan->policy);
    text(w, &plan->hostname);
    text(w, &plan->cwd);
    NUMBER(w, plan->ids);
    NUMBER(w, plan->uid);
    NUMBER(w, plan->gid);
    walk_lists(w, plan);
    NUMBER(w, plan->storage);
    NUMBER(w, plan->storage_size);
    NUMBER(w, plan->storage_inodes);
    NUMBER(w, plan->low_ports);
    NUMBER(w, plan->capabilities);
    NUMBER(w, plan->seccomp_profile);
    NUMBER(w, plan->umask);
    raw(w, &plan->cpus, sizeof plan->cpus);
    NUMBER(w, plan->memory);
    NUMBER(w, plan->processes);
    NUMBER(w, plan->disk_read);
    NUMBER(w, plan->disk_write);
    NUMBER(w, plan->disk_read_ops);
    NUMBER(w, plan->disk_write_ops);
    walk_rules(w, plan);
}

void *plan_encode(const struct plan *plan, size_t *length)
{
    struct walk w = {.writing = true};
    struct plan read_only = *plan;
    walk(&w, &read_only);
    if (w.failed) {
        free(w.bytes);
        errno = ENOMEM;
        return NULL;
    }
    *length = w.at;
    return w.bytes;
}

/* What the core takes for granted of a plan that moonbox.plan made. */
static bool is_whole(const struct plan *plan)
{
    bool whole = plan->policy && plan->hostname && plan->cwd && plan->ids <= IDS_SUBORDINATE &&
                 plan->storage <= STORAGE_DISK && plan->seccomp_profile >= 0 &&
                 plan->seccomp_profile < SECCOMP_PROFILES;
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct mount_row *row = &plan->mounts[i];
        whole = whole && row->kind <= MOUNT_MASK && row->target && (row->source || row->kind != MOUNT_BIND) &&
                (row->text || (row->kind != MOUNT_FILE && row->kind != MOUNT_SYMLINK));
    }
    return whole;
}

struct plan *plan_decode(const void *bytes, size_t length)
{
    struct plan *plan = calloc(1, sizeof *plan);
    struct walk w = {.bytes = (char *)bytes, .length = length};
    if (!plan)
        return NULL;
    walk(&w, plan);
    if (!w.failed && w.at == length && is_whole(plan))
        return plan;
    plan_free(plan);
    return NULL;
}
