#include "name.h"

#include <string.h>

enum { LABEL_MAX = 63 };

/* Whether inet_aton(3), or a URL parser, would read a name as an address because of its last label: decimal digits, or
 * hexadecimal ones behind 0x. */
static bool is_number(const char *label, size_t length)
{
    bool hexadecimal = length >= 2 && label[0] == '0' && label[1] == 'x';
    for (size_t i = hexadecimal ? 2 : 0; i < length; i++) {
        bool digit = label[i] >= '0' && label[i] <= '9';
        if (!digit && !(hexadecimal && label[i] >= 'a' && label[i] <= 'f'))
            return false;
    }
    return true;
}

static bool good_label(const char *label, size_t length)
{
    return length >= 1 && length <= LABEL_MAX && label[0] != '-' && label[length - 1] != '-';
}

bool name_canonical(const char *text, size_t length, char out[NAME_SIZE])
{
    out[0] = 0;
    if (length > 0 && text[length - 1] == '.')
        length--;
    if (length == 0 || length >= NAME_SIZE)
        return false;
    char name[NAME_SIZE];
    size_t label = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c == '.') {
            if (!good_label(name + label, i - label))
                return false;
            label = i + 1;
        } else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
            return false;
        }
        name[i] = c;
    }
    if (!good_label(name + label, length - label) || is_number(name + label, length - label))
        return false;
    memcpy(out, name, length);
    out[length] = 0;
    return true;
}

bool name_matches(const char *name, const char *pattern, bool below)
{
    if (!below)
        return strcmp(name, pattern) == 0;
    size_t long_one = strlen(name), short_one = strlen(pattern);
    return long_one > short_one + 1 && name[long_one - short_one - 1] == '.' &&
           strcmp(name + long_one - short_one, pattern) == 0;
}
