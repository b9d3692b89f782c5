/* A text or 16 bytes as an address: reading and writing agree, with the C library and the policy language too, and an address
 * is as internal as what is dialled for it. */
#include "../../core/gateway/address.h"

#include "fuzz.h"
#include "reference.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* The IPv4 blocks once more, as numbers. */
static bool internal4(uint32_t a)
{
    return a >> 24 == 0 || a >> 24 == 10 || a >> 22 == 0x64400000U >> 22 || a >> 24 == 127 || a >> 16 == 0xa9fe ||
           a >> 20 == 0xac1 || a >> 8 == 0xc00000 || a >> 8 == 0xc05863 || a >> 16 == 0xc0a8 ||
           a >> 17 == 0xc612 >> 1 || a >= 0xe0000000U;
}

/* What the policy language makes of a text that C has read, or not read (NULL). */
static void compare(const char *text, const struct address *address)
{
    char formatted[ADDRESS_TEXT] = "";
    lua_State *L = reference("address");
    lua_pushstring(L, text);
    reference_call(L, 1, 2);
    MUST(!address || address_internal(address) == lua_toboolean(L, -1));
    lua_pop(L, 1);
    if (address)
        address_format(address, formatted);
    MUST_BE_SAME(L, formatted);
}

static void check(const struct address *address)
{
    char text[ADDRESS_TEXT], again[ADDRESS_TEXT];
    struct address parsed, back, plain = *address, inner;
    struct sockaddr_storage socket;
    uint16_t port;
    address_format(address, text);
    MUST(address_parse(text, &parsed) && address_equal(address, &parsed));
    address_format(&parsed, again);
    MUST(strcmp(text, again) == 0);
    compare(text, address);
    MUST(address_to_socket(address, 443, &socket) > 0);
    address_from_socket(&socket, &back, &port);
    MUST(address_equal(address, &back) && port == 443);
    address_unmap(&plain);
    MUST(address_internal(address) == address_internal(&plain));
    if (address_inner(address, &inner))
        MUST(address_internal(address) == address_internal(&inner));
    if (plain.length == 4) {
        uint32_t number;
        memcpy(&number, plain.bytes, 4);
        MUST(address_internal(&plain) == internal4(ntohl(number)));
    }
    for (unsigned bits = 0; bits <= address->length * 8U; bits++)
        MUST(address_in(address, &parsed, bits));
    parsed.bytes[0] ^= 0x80;
    MUST(address_in(address, &parsed, 0) && !address_in(address, &parsed, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[128] = "";
    struct address address = {0};
    uint8_t bytes[16];
    if (size == 16) {
        address.length = 16;
        memcpy(address.bytes, data, 16);
        check(&address);
    }
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    bool read = address_parse(text, &address);
    compare(text, read ? &address : NULL);
    if (read) {
        MUST(inet_pton(address.length == 4 ? AF_INET : AF_INET6, text, bytes) == 1);
        check(&address);
    }
    return 0;
}
