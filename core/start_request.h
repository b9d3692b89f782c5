/* start_request.h - a command that is to run in a sandbox (sandbox_start): what, and where its streams lead. */
#ifndef MOONBOX_START_REQUEST_H
#define MOONBOX_START_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STREAM_STDIN, STREAM_STDOUT, STREAM_STDERR, STREAMS };

/* Where a command's stream goes or comes from. */
enum stdio_kind { STDIO_NULL, STDIO_PASS, STDIO_CAPTURE, STDIO_LOG, STDIO_FEED, STDIO_MERGE, STDIO_GIVEN };

struct stdio_request {
    enum stdio_kind kind;
    int fd;            /* STDIO_PASS: the caller's; STDIO_LOG: taken; STDIO_GIVEN: taken, the command's own */
    uint64_t keep;     /* STDIO_CAPTURE, STDIO_LOG: bytes */
    const char *bytes; /* STDIO_FEED */
    size_t length;
    bool observe;
};

struct start_request {
    const char *const *argv, *const *env; /* NULL-terminated */
    const char *cwd;
    struct stdio_request stdio[STREAMS];
    bool pty; /* stdin and stdout then pass through it; stderr is not used */
    int rows, cols;
    bool last;       /* the sandbox ends with it: its end then runs beside what the supervisor still does */
    bool files;      /* argv is a request about files (core/files), no program */
    bool tree;       /* all that it starts can be ended with it: sandbox_end */
    double seconds;  /* to a supervisor: the command's time; 0 no limit of its own */
    const char *log; /* the folder of core/command_log; NULL none. A pty's command has its beginning and end there */
};

#endif
