#include "caps.h"

#include "util.h"

#include <errno.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>

int caps_from_name(const char *name)
{
    char full[64];
    cap_value_t value;
    snprintf(full, sizeof full, "cap_%s", name);
    return cap_from_name(full, &value) == 0 ? (int)value : -1;
}

static int drop_bounding(uint64_t keep, struct err *err)
{
    for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
        if (!(keep >> cap & 1) && cap_drop_bound(cap) < 0)
            return err_sys(err, "drop capability %d from the bounding set", (int)cap);
    return 0;
}

static int add_flag(cap_t caps, cap_flag_t flag, uint64_t set)
{
    for (cap_value_t cap = 0; cap < 64; cap++)
        if (set >> cap & 1 && cap_set_flag(caps, flag, 1, &cap, CAP_SET) < 0)
            return -1;
    return 0;
}

static int set_three(uint64_t permitted, uint64_t inheritable, struct err *err)
{
    cap_t caps = cap_init();
    int bad = !caps || add_flag(caps, CAP_PERMITTED, permitted) < 0 || add_flag(caps, CAP_EFFECTIVE, permitted) < 0 ||
              add_flag(caps, CAP_INHERITABLE, inheritable) < 0 || cap_set_proc(caps) < 0;
    int result = bad ? err_sys(err, "set the capabilities") : 0;
    if (caps)
        cap_free(caps);
    return result;
}

static int set_ambient(uint64_t keep, struct err *err)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return err_sys(err, "empty the ambient capabilities");
    for (int cap = 0; cap < 64; cap++)
        if (keep >> cap & 1 && cap_set_ambient(cap, CAP_SET) < 0)
            return err_sys(err, "raise ambient capability %d", cap);
    return 0;
}

int caps_keep_only(uint64_t keep, struct err *err)
{
    const unsigned long locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                                 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (drop_bounding(keep, err) < 0)
        return -1;
    /* CAP_SETPCAP goes last: locking the securebits needs it. */
    const uint64_t setpcap = 1ull << CAP_SETPCAP;
    if (set_three(keep | setpcap, keep, err) < 0 || set_ambient(keep, err) < 0)
        return -1;
    if (prctl(PR_SET_SECUREBITS, locked, 0, 0, 0) < 0)
        return err_sys(err, "lock the securebits");
    return set_three(keep, keep, err);
}
