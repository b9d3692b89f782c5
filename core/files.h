/* files.h - what a sandbox is asked about its files: run inside it, as the agent, by a child of init.
 *
 * It sees what a command of the agent's sees and may do what that may, so no path, link or race leads further than the
 * agent could go by itself.  Only bytes come back, through pipes: no descriptor of the sandbox is ever used outside. */
#ifndef MOONBOX_FILES_H
#define MOONBOX_FILES_H

/* Runs one request: argv[0] is its word, paths are absolute.
 *
 *   get PATH MOST          the bytes of a file to stdout; one of more than MOST bytes is refused
 *   set PATH MODE          stdin becomes the file, whole or not at all; missing directories are made. MODE is octal
 *   list PATH              "KIND MODE SIZE CHANGED NAME\0" of each entry, unsorted: f, d, l or o (other), octal mode,
 *                          bytes, seconds of the epoch
 *   pack PATH              core/transfer's stream of PATH to stdout
 *   unpack PATH NAME       core/transfer's stream on stdin becomes PATH, or NAME in it where PATH is a directory
 *
 * Returns an exit code: 0; 1 with a sentence on stderr; 2 for a request that makes no sense. */
int files_main(char *const *argv);

#endif
