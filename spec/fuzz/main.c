/* main.c - TARGET SECONDS DIRECTORY...: mutates the files of the directories for a while. It learns nothing on its way, as
 * libFuzzer does, so a good corpus counts for all. The input that ended a run is left in TARGET.crash. */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SEEDS_MAX = 4096, INPUT_MAX = 65536 };

static struct {
    uint8_t *bytes;
    size_t size;
} seeds[SEEDS_MAX];
static size_t n_seeds;
static uint8_t *input;
static size_t input_size;
static char crash_path[4096];

static void leave_input(void)
{
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t written = fd >= 0 ? write(fd, input, input_size) : -1;
    fprintf(stderr, "input: %s (%zd bytes)\n", crash_path, written);
    if (fd >= 0)
        close(fd);
}

static void on_signal(int number)
{
    leave_input();
    signal(number, SIG_DFL);
    raise(number);
}

/* Of the sanitizers' own interface; absent without them. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void load(const char *directory)
{
    char path[4096];
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir)) && n_seeds < SEEDS_MAX;) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file)
            continue;
        seeds[n_seeds].bytes = malloc(INPUT_MAX);
        MUST(seeds[n_seeds].bytes);
        seeds[n_seeds].size = fread(seeds[n_seeds].bytes, 1, INPUT_MAX, file);
        n_seeds++;
        fclose(file);
    }
    if (dir)
        closedir(dir);
}

/* One change of `bytes`, of `size` bytes in room for INPUT_MAX. Returns the new size. */
static size_t mutate(uint8_t *bytes, size_t size, uint64_t *state)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '.', ':', '/', ' ', '\r', '\n', '0', '9', 'a', 0xc0, 22};
    size_t at = size ? fuzz_next(state) % size : 0, count = 1 + fuzz_next(state) % 8;
    size_t from = size ? fuzz_next(state) % size : 0;
    uint8_t piece[8];
    switch (fuzz_next(state) % 6) {
    case 0:
        if (size)
            bytes[at] ^= (uint8_t)(1U << fuzz_next(state) % 8);
        return size;
    case 1:
        if (size)
            bytes[at] = odd[fuzz_next(state) % sizeof odd];
        return size;
    case 2: /* out */
        count = count < size - at ? count : size - at;
        memmove(bytes + at, bytes + at + count, size - at - count);
        return size - count;
    case 3: /* in */
        if (size + 1 > INPUT_MAX)
            return size;
        memmove(bytes + at + 1, bytes + at, size - at);
        bytes[at] = odd[fuzz_next(state) % sizeof odd];
        return size + 1;
    case 4: /* again */
        count = count < size - from ? count : size - from;
        if (size + count > INPUT_MAX)
            return size;
        memcpy(piece, bytes + from, count);
        memmove(bytes + at + count, bytes + at, size - at);
        memcpy(bytes + at, piece, count);
        return size + count;
    default: { /* with the end of another */
        size_t other = fuzz_next(state) % n_seeds, cut = seeds[other].size ? fuzz_next(state) % seeds[other].size : 0;
        count = seeds[other].size - cut;
        count = count < INPUT_MAX - at ? count : INPUT_MAX - at;
        memcpy(bytes + at, seeds[other].bytes + cut, count);
        return at + count;
    }
    }
}

static void run(const uint8_t *bytes, size_t size)
{
    /* A copy of its own size: a sanitizer sees what is read behind it. */
    input = malloc(size ? size : 1);
    MUST(input);
    memcpy(input, bytes, size);
    input_size = size;
    LLVMFuzzerTestOneInput(input, size);
    free(input);
}

int main(int argc, char **argv)
{
    static uint8_t work[2 * INPUT_MAX];
    if (argc < 3)
        return 64;
    long seconds = strtol(argv[1], NULL, 10);
    uint64_t state = 0x9e3779b97f4a7c15, runs = 0;
    snprintf(crash_path, sizeof crash_path, "%s.crash", argv[0]);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(leave_input);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
    for (int i = 2; i < argc; i++)
        load(argv[i]);
    MUST(n_seeds);
    for (size_t i = 0; i < n_seeds; i++)
        run(seeds[i].bytes, seeds[i].size);
    for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
        alarm(30);
        for (int i = 0; i < 100; i++, runs++) {
            size_t seed = fuzz_next(&state) % n_seeds, size = seeds[seed].size;
            memcpy(work, seeds[seed].bytes, size);
            for (size_t changes = 1 + fuzz_next(&state) % 6; changes > 0; changes--)
                size = mutate(work, size, &state);
            run(work, size);
        }
    }
    printf("%llu inputs\n", (unsigned long long)runs);
    return 0;
}
