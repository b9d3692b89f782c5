/* The first bytes of a connection: once something is said of them it stays said, whatever follows, and the same however
 * they came. */
#include "../../core/gateway/hello.h"

#include "fuzz.h"

#include <string.h>

static enum hello_result scan(const uint8_t *data, size_t size, char name[NAME_SIZE])
{
    char canonical[NAME_SIZE];
    uint8_t *copy = malloc(size ? size : 1);
    MUST(copy);
    memcpy(copy, data, size);
    enum hello_result result = hello_scan(copy, size, name);
    free(copy);
    if (result == HELLO_NAMED)
        MUST(name_canonical(name, strlen(name), canonical) && strcmp(name, canonical) == 0);
    else
        MUST(name[0] == 0);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t longer[1 << 17];
    char whole_name[NAME_SIZE], name[NAME_SIZE];
    enum hello_result whole = scan(data, size, whole_name), part;
    MUST(whole != HELLO_MORE || size < HELLO_MAX);
    uint64_t state = size + 1;
    for (int i = 0; i < 24 && size; i++) {
        size_t cut = i < 8 && (size_t)i < size ? (i < 4 ? (size_t)i : size - (size_t)i + 3) : fuzz_next(&state) % size;
        part = scan(data, cut < size ? cut : size - 1, name);
        MUST(part == HELLO_MORE || (part == whole && strcmp(name, whole_name) == 0));
    }
    if (whole != HELLO_MORE && size < sizeof longer / 2) {
        memcpy(longer, data, size);
        memset(longer + size, 22, sizeof longer - size);
        part = scan(longer, sizeof longer, name);
        MUST(part == whole && strcmp(name, whole_name) == 0);
    }
    return 0;
}
