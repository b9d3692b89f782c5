-- base: the tightest box in which ordinary programs of the host still start.
-- It exists to be built on: other policies extend it and add what their task needs, so that whatever they do not
-- mention stays closed.
return policy "base" {
  about = "The host's programs, read-only; an empty workspace; no network; small limits.",

  files = {
    storage = "disk",
    read_only { "/usr" },
    -- What programs look up to start, to check certificates and to tell the time. Hosts differ in which they have.
    read_only { "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl", "/etc/pki", optional = true },
    read_only { "/etc/localtime", "/etc/mime.types", "/etc/services", "/etc/protocols", optional = true },
    hidden { "/etc/ssl/private", "/etc/pki/tls/private" },
    read_write { "/workspace", "/home/agent" },
    scratch { "/tmp", size = 1 * GB },
    scratch { "/dev/shm", size = 64 * MB },
  },

  network = "none",

  limits = { cpus = 1, memory = 512 * MB, disk = 256 * MB, time = 10 * minutes, grace = 10 * seconds, processes = 256,
    open_files = 65536 },
  process = { user = "agent", capabilities = {}, syscalls = "default", ids = "own" },

  env = {
    PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    HOME = "/home/agent", USER = "agent", LOGNAME = "agent", SHELL = "/bin/sh",
    LANG = "C.UTF-8", TMPDIR = "/tmp",
  },
}
