#include "err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
    va_list ap;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return -1;
}

/* Who reads the sentence can raise it. */
static const char *limit_of(int code)
{
    return code == EMFILE ? " (the limit is that of ulimit -n)" : "";
}

int err_sys(struct err *err, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    err->code = saved;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s%s", strerror(saved), limit_of(saved));
    return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char inner[ERR_TEXT_SIZE];
    memcpy(inner, err->text, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
    return -1;
}

const char *err_name(int code)
{
    const char *name = code > 0 ? strerrorname_np(code) : NULL;
    return name ? name : "EOTHER";
}
