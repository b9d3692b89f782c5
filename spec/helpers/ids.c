/* ids - prints who it is, and what it may become: its effective ids, no_new_privs and capabilities after an exec of
 * itself with setuid, setgid or file capabilities.  `ids become` tries other ids and groups. */
#include "answer.h"

#include <grp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void become(void)
{
    gid_t groups[] = {0, 4, 27};
    answer("setresuid:0", setresuid(0, 0, 0));
    answer("setresuid:1", setresuid(1, 1, 1));
    answer("setresuid:65534", setresuid(65534, 65534, 65534));
    answer("setresuid:range", setresuid(1001, 1001, 1001));
    answer("setresgid:0", setresgid(0, 0, 0));
    answer("setresgid:1", setresgid(1, 1, 1));
    answer("setgroups:none", setgroups(0, NULL));
    answer("setgroups:some", setgroups(3, groups));
    answer("securebits", prctl(PR_SET_SECUREBITS, 0));
    answer("nnp-off", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    answer("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
}

int main(int argc, char **argv)
{
    char line[256];
    if (argc > 1 && strcmp(argv[1], "become") == 0) {
        become();
        return 0;
    }
    printf("euid %d\negid %d\n", (int)geteuid(), (int)getegid());
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "NoNewPrivs:", 11) == 0) {
            *strchr(line, ':') = ' ';
            char *tab = strchr(line, '\t');
            memmove(tab, tab + 1, strlen(tab));
            fputs(line, stdout);
        }
    return 0;
}
