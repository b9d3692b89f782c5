#include "authority.h"

#include "address.h"

#include <string.h>

/* Nothing, or a colon and one to five digits. */
static bool good_port(const char *text, size_t length)
{
    enum { LONGEST = 6 };
    if (length > 0 && (text[0] != ':' || length < 2 || length > LONGEST))
        return false;
    for (size_t i = 1; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

static bool read_address(const char *text, size_t length, struct address *address)
{
    char closed[ADDRESS_TEXT] = "";
    if (length == 0 || length >= sizeof closed || memchr(text, 0, length))
        return false;
    memcpy(closed, text, length);
    return address_parse(closed, address);
}

/* `text` begins with a bracket, in which only IPv6 stands. */
static bool in_brackets(const char *text, size_t length, char host[NAME_SIZE])
{
    struct address address;
    const char *end = memchr(text, ']', length);
    size_t behind = end ? (size_t)(end - text) + 1 : 0;
    if (!end || !good_port(text + behind, length - behind) || !read_address(text + 1, behind - 2, &address) ||
        address.length != 16)
        return false;
    address_format(&address, host);
    return true;
}

bool authority_host(const char *text, size_t length, char host[NAME_SIZE])
{
    struct address address;
    if (length > 0 && text[0] == '[')
        return in_brackets(text, length, host);
    const char *colon = memchr(text, ':', length);
    size_t end = colon ? (size_t)(colon - text) : length;
    if (!good_port(text + end, length - end))
        return false;
    if (!read_address(text, end, &address))
        return name_canonical(text, end, host);
    address_format(&address, host);
    return true;
}
