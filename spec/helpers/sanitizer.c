/* sanitizer.c - linked into the program of `make asan`: the sanitizers' settings where no environment brings them. */

const char *__asan_default_options(void);

/* As in spec/run/suite.sh, which says why. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0:quarantine_size_mb=4:allocator_may_return_null=1:abort_on_error=1:handle_abort=0";
}
