/* Bytes as a plan: refused, or a plan whose own bytes stay the same from then on. */
#include "../../core/plan_bytes.h"

#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length = 0, again_length = 0;
    struct plan *plan = plan_decode(data, size);
    if (!plan)
        return 0;
    void *bytes = plan_encode(plan, &length);
    struct plan *copy = bytes ? plan_decode(bytes, length) : NULL;
    MUST(copy);
    void *again = plan_encode(copy, &again_length);
    MUST(again && again_length == length && memcmp(again, bytes, length) == 0);
    free(again);
    free(bytes);
    plan_free(copy);
    plan_free(plan);
    return 0;
}
