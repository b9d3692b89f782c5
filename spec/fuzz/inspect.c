/* A byte, and what a client says to "a.example" or to an address until it ends: it is refused or not however it is cut, what
 * passes of it is its beginning, and never a ClientHello for another name. */
#include "../../core/gateway/inspect.h"
#include "../../core/gateway/hello.h"

#include "fuzz.h"

#include <string.h>

enum { TO_ADDRESS = 1, SERVER_FIRST = 2, SWITCHED = 4 };

static const char asked[] = "a.example";

struct outcome {
    bool refused;
    size_t passed;
};

struct
try {
    struct inspect *inspect;
    const uint8_t *data; /* all that the client says */
    struct outcome out;
};

static void take(struct try *try, const struct inspect_result *result)
{
    MUST(result->length == 0 || memcmp(result->pass, try->data + try->out.passed, result->length) == 0);
    MUST(result->verdict != INSPECT_REFUSE || result->reason[0]);
    try->out.passed += result->length;
    try->out.refused = result->verdict == INSPECT_REFUSE;
}

static void answer(struct try *try, const char *text)
{
    struct inspect_result result;
    if (!inspect_wants_server(try->inspect)) {
        inspect_server_spoke(try->inspect);
        return;
    }
    inspect_server(try->inspect, (const uint8_t *)text, strlen(text), &result);
    take(try, &result);
}

/* In pieces of random sizes up to `most`. Whoever is asked to answers at once. */
static struct outcome say(const uint8_t *data, size_t size, size_t most, uint8_t how)
{
    struct try try = {inspect_new(how & TO_ADDRESS ? NULL : asked), data, {false, 0}};
    struct inspect_result result = {.verdict = INSPECT_MORE};
    uint64_t state = size + most;
    MUST(try.inspect);
    if (how & SERVER_FIRST)
        answer(&try, "220 ready\r\n");
    for (size_t at = 0, piece; !try.out.refused && result.verdict != INSPECT_DONE; at += piece) {
        piece = 1 + fuzz_next(&state) % most;
        piece = piece < size - at ? piece : size - at;
        inspect_client(try.inspect, data + at, piece, at == size, &result);
        take(&try, &result);
        for (int i = 0; i < 4 && !try.out.refused && inspect_wants_server(try.inspect); i++)
            answer(&try, how & SWITCHED ? "HTTP/1.1 101 Go\r\n" : "HTTP/1.1 200 OK\r\n");
        MUST(result.verdict != INSPECT_DONE || !inspect_holds(try.inspect) || try.out.refused);
        if (at == size)
            break;
    }
    MUST(try.out.passed <= size);
    inspect_free(try.inspect);
    return try.out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t most[] = {1, 3, 40, 1 << 20};
    char name[NAME_SIZE];
    if (size < 2)
        return 0;
    uint8_t how = *data++;
    struct outcome first = say(data, --size, most[0], how);
    for (size_t i = 1; i < sizeof most / sizeof most[0]; i++)
        MUST(say(data, size, most[i], how).refused == first.refused);
    if (first.passed == 0 || how & TO_ADDRESS)
        return 0;
    switch (hello_scan(data, first.passed, name)) {
    case HELLO_NAMED:
        MUST(strcmp(name, asked) == 0);
        break;
    case HELLO_NAMELESS:
    case HELLO_BAD:
        MUST(!"it passed without a name");
    case HELLO_MORE:
    case HELLO_NOT_TLS:
        break;
    }
    return 0;
}
