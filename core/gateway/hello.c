#include "hello.h"

#include <string.h>

enum { HANDSHAKE = 22, CLIENT_HELLO = 1, RECORD_HEADER = 5, RECORD_MAX = 16384, SERVER_NAME = 0, HOST_NAME = 0 };

/* A part of the message; reading past its end makes it bad, and empty from then on. */
struct part {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static const uint8_t *take(struct part *part, size_t count)
{
    if (count > part->left) {
        part->bad = true;
        part->left = 0;
    }
    if (part->bad)
        return NULL;
    const uint8_t *taken = part->at;
    part->at += count;
    part->left -= count;
    return taken;
}

static size_t number(struct part *part, unsigned size)
{
    const uint8_t *bytes = take(part, size);
    size_t value = 0;
    for (unsigned i = 0; bytes && i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* A vector with its length, of at least `least` bytes, in front. */
static struct part vector(struct part *part, unsigned size, size_t least)
{
    size_t length = number(part, size);
    const uint8_t *bytes = take(part, length);
    if (!bytes || length < least) {
        part->bad = true;
        return (struct part){.bad = true};
    }
    return (struct part){.at = bytes, .left = length};
}

/* The one name of a server_name extension. More than one, or of another kind, is what servers disagree about. */
static bool read_server_name(struct part extension, char name[NAME_SIZE])
{
    struct part list = vector(&extension, 2, 1);
    size_t kind = number(&list, 1);
    struct part host = vector(&list, 2, 1);
    if (host.bad || kind != HOST_NAME || list.left || extension.left)
        return false;
    return name_canonical((const char *)host.at, host.left, name);
}

static enum hello_result read_hello(struct part hello, char name[NAME_SIZE])
{
    bool named = false;
    size_t version = number(&hello, 2);
    take(&hello, 32);
    struct part session = vector(&hello, 1, 0);
    struct part suites = vector(&hello, 2, 2);
    vector(&hello, 1, 1);
    if (hello.bad || version >> 8 != 3 || session.left > 32 || suites.left % 2)
        return HELLO_BAD;
    if (hello.left == 0)
        return HELLO_NAMELESS;
    struct part extensions = vector(&hello, 2, 0);
    while (!extensions.bad && extensions.left) {
        size_t type = number(&extensions, 2);
        struct part extension = vector(&extensions, 2, 0);
        if (extension.bad || type != SERVER_NAME)
            continue;
        if (named || !read_server_name(extension, name))
            return HELLO_BAD;
        named = true;
    }
    if (hello.left || extensions.bad)
        return HELLO_BAD;
    return named ? HELLO_NAMED : HELLO_NAMELESS;
}

/* A TLS record that no connection begins with: some server might pass over it, to the ClientHello behind. */
static bool is_odd_record(uint8_t type)
{
    enum { CHANGE_CIPHER_SPEC = 20, HEARTBEAT = 24 };
    return type >= CHANGE_CIPHER_SPEC && type <= HEARTBEAT && type != HANDSHAKE;
}

/* An SSLv2 record of two bytes with a CLIENT-HELLO, which servers of old take for the start of TLS as well. */
static enum hello_result scan_other(const uint8_t *bytes, size_t length)
{
    if (is_odd_record(bytes[0]))
        return length == 1 ? HELLO_MORE : bytes[1] == 3 ? HELLO_BAD : HELLO_NOT_TLS;
    if (!(bytes[0] & 0x80) || (length > 2 && bytes[2] != CLIENT_HELLO))
        return HELLO_NOT_TLS;
    if (length > 3 && bytes[3] != 3 && bytes[3] != 0)
        return HELLO_NOT_TLS;
    if (length < 5)
        return HELLO_MORE;
    return bytes[3] == 3 || bytes[4] == 2 ? HELLO_BAD : HELLO_NOT_TLS;
}

/* Joins the handshake bytes of the records at the start. *whole is the length of the ClientHello with its header once that
 * is known, else 0. HELLO_MORE: so far so good, *have bytes are there. */
static enum hello_result join(const uint8_t *bytes, size_t length, uint8_t *joined, size_t *have, size_t *whole)
{
    *have = *whole = 0;
    for (size_t at = 0; at < length && (*whole == 0 || *have < *whole);) {
        size_t left = length - at;
        if (bytes[at] != HANDSHAKE || (left > 1 && bytes[at + 1] != 3))
            return at == 0 ? HELLO_NOT_TLS : HELLO_BAD;
        if (left < RECORD_HEADER)
            return at + RECORD_HEADER > HELLO_MAX ? HELLO_BAD : HELLO_MORE;
        size_t record = (size_t)bytes[at + 3] << 8 | bytes[at + 4];
        at += RECORD_HEADER;
        if (record == 0 || record > RECORD_MAX || at + record > HELLO_MAX)
            return HELLO_BAD;
        size_t here = record < length - at ? record : length - at;
        memcpy(joined + *have, bytes + at, here);
        size_t end = *have + record; /* of the joined bytes, once the record is whole */
        *have += here;
        at += here;
        if (*have > 0 && joined[0] != CLIENT_HELLO)
            return HELLO_BAD;
        if (*have >= 4)
            *whole = 4 + ((size_t)joined[1] << 16 | (size_t)joined[2] << 8 | joined[3]);
        if (*whole > HELLO_MAX || (*whole && end > *whole))
            return HELLO_BAD; /* a record that ends behind the message holds a second one */
    }
    return HELLO_MORE;
}

enum hello_result hello_scan(const uint8_t *bytes, size_t length, char name[NAME_SIZE])
{
    uint8_t joined[HELLO_MAX];
    size_t have, whole;
    name[0] = 0;
    if (length == 0)
        return HELLO_MORE;
    if (bytes[0] != HANDSHAKE)
        return scan_other(bytes, length);
    enum hello_result result = join(bytes, length, joined, &have, &whole);
    if (result != HELLO_MORE || whole == 0 || have < whole)
        return result;
    result = read_hello((struct part){.at = joined + 4, .left = whole - 4}, name);
    if (result != HELLO_NAMED)
        name[0] = 0;
    return result;
}
