/* term - a terminal for specs: runs a command on a new pty and plays a script.
 *
 *   term SCRIPT... -- COMMAND...
 *
 * SCRIPT words: expect=TEXT (waits until TEXT has come), send=TEXT (\r, \n, \3, \x03 and so on are understood),
 * resize=ROWSxCOLS, signal=NUMBER (to the command itself), wait (for its end), sleep=SECONDS.
 * Prints what came, then "\n--\n", "exit CODE", "settings same" or "settings changed", "queued N" (bytes that the
 * command left in the terminal's input queue). Ends with 1 when a text did not come within 30 s. */
#include "answer.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

static char seen[1 << 20];
static size_t length, matched;
static int master, slave, status, ended;
static pid_t child;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void take(int ms)
{
    struct pollfd polled = {.fd = master, .events = POLLIN};
    if (poll(&polled, 1, ms) <= 0 || length + 4096 > sizeof seen)
        return;
    ssize_t got = read(master, seen + length, 4096);
    length += got > 0 ? (size_t)got : 0;
    seen[length] = '\0';
}

static int expect(const char *text)
{
    double end = now() + 30;
    while (now() < end) {
        char *found = strstr(seen + matched, text);
        if (found) {
            matched = (size_t)(found - seen) + strlen(text);
            return 0;
        }
        take(50);
    }
    printf("%s\n--\nmissing %s\n", seen, text);
    return 1;
}

static void send_text(const char *text)
{
    for (const char *c = text; *c; c++) {
        char byte = *c;
        if (c[0] == '\\' && c[1] == 'x') {
            byte = (char)strtol((char[]){c[2], c[3], 0}, NULL, 16);
            c += 3;
        } else if (c[0] == '\\' && c[1]) {
            c++;
            byte = *c == 'r' ? '\r' : *c == 'n' ? '\n' : *c;
        }
        if (write(master, &byte, 1) != 1)
            return;
    }
}

static void wait_for_end(void)
{
    double end = now() + 30;
    while (!ended && now() < end) {
        take(20);
        ended = waitpid(child, &status, WNOHANG) == child;
    }
    for (int i = 0; i < 5; i++)
        take(10);
}

static int play(const char *word)
{
    const char *value = strchr(word, '=') ? strchr(word, '=') + 1 : "";
    if (strncmp(word, "expect=", 7) == 0)
        return expect(value);
    if (strncmp(word, "send=", 5) == 0)
        send_text(value);
    else if (strncmp(word, "resize=", 7) == 0) {
        struct winsize size = {0};
        size.ws_row = (unsigned short)atoi(value);
        size.ws_col = (unsigned short)atoi(strchr(value, 'x') + 1);
        ioctl(master, TIOCSWINSZ, &size);
    } else if (strncmp(word, "signal=", 7) == 0)
        kill(child, atoi(value));
    else if (strncmp(word, "sleep=", 6) == 0) {
        double end = now() + atof(value);
        while (now() < end)
            take(20);
    } else if (strcmp(word, "wait") == 0)
        wait_for_end();
    return 0;
}

int main(int argc, char **argv)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    struct termios before, after;
    int dashes = 1, queued = 0;
    while (dashes < argc && strcmp(argv[dashes], "--") != 0)
        dashes++;
    if (dashes >= argc - 1 || openpty(&master, &slave, NULL, NULL, &size) < 0)
        return 64;
    tcgetattr(slave, &before);
    child = fork();
    if (child == 0) {
        close(master);
        login_tty(slave);
        execvp(argv[dashes + 1], argv + dashes + 1);
        _exit(127);
    }
    for (int i = 1; i < dashes; i++)
        if (play(argv[i]) != 0) {
            kill(child, SIGKILL);
            return 1;
        }
    wait_for_end();
    tcgetattr(slave, &after);
    int same = before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag && before.c_oflag == after.c_oflag &&
               memcmp(before.c_cc, after.c_cc, sizeof before.c_cc) == 0;
    /* Without whole lines, the queue shows all that was typed, or pushed in. */
    after.c_lflag &= ~(tcflag_t)ICANON;
    tcsetattr(slave, TCSANOW, &after);
    ioctl(slave, FIONREAD, &queued);
    int code = !ended ? -1 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    printf("%s\n--\nexit %d\nsettings %s\nqueued %d\n", seen, code, same ? "same" : "changed", queued);
    if (!ended)
        kill(child, SIGKILL);
    return 0;
}
