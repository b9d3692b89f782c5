#include "identity.h"

#include <stdio.h>
#include <sys/stat.h>

int identity_of(const char *path, char text[IDENTITY_BYTES], time_t *changed)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -1;
    snprintf(text, IDENTITY_BYTES, "%llx:%llx:%llx:%lld.%09ld:%lld.%09ld", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino, (unsigned long long)st.st_size, (long long)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    if (changed)
        *changed = st.st_mtim.tv_sec > st.st_ctim.tv_sec ? st.st_mtim.tv_sec : st.st_ctim.tv_sec;
    return 0;
}
