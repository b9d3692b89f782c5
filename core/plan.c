#include "plan.h"

#include <stdlib.h>

static void free_list(char **list)
{
    for (char **item = list; item && *item; item++)
        free(*item);
    free(list);
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->n_mounts; i++) {
        free(plan->mounts[i].target);
        free(plan->mounts[i].source);
        free(plan->mounts[i].text);
        free(plan->mounts[i].from);
    }
    free(plan->mounts);
    free(plan->rlimits);
    free(plan->rules);
    free_list(plan->env);
    free(plan->policy);
    free(plan->hostname);
    free(plan->cwd);
    free(plan);
}
