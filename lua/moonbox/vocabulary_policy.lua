--- The words of policy files and of groups (moonbox.vocabulary).
local KB, MB = 2 ^ 10, 2 ^ 20
local both, policy = { "policy", "pipeline" }, { "policy" }

--- Makes the entries: `word` and `key` as in moonbox.vocabulary.
return function(word, key)
  -- Containers: each is called with a name and a table.
  word("container", policy, "file", "policy", "Names a policy and holds its rows; a policy file returns one.")
  word("container", { "group" }, "file", "group",
    "Names a list of network names that policies use as one word.")

  key("group", "about", "text", "Says in a sentence what the names of the group are for.")
  key("group", "bare", "flag",
    "Adds to each `*.name` of the group the name itself, which the wildcard does not cover.")

  -- Policy
  key("policy", "about", "text", "Says in a sentence what the policy is for.")
  key("policy", "extends", "text",
    "Names the one policy whose rows this one builds on; that one must not extend another.")
  key("policy", "files", "section",
    "What the sandbox sees of files, as rows; later rows lie over earlier ones.")
  key("policy", "network", "network",
    [[Which names may be reached: "none", "open" (all but internal), or rows, of which the first that matches wins.]]
    .. " The rows of the policy that `extends` names come after.",
    { default = "none" })
  key("policy", "limits", "section", "How much the sandbox may use, and how strictly each limit must be held.")
  key("policy", "process", "section", "As whom and with which rights commands run.")
  key("policy", "env", "env",
    "Environment variables of every command, by name; nothing is inherited from the host.")
  key("policy", "receivers", "receivers",
    "Commands of the host that `notify` runs with an event as input, by name, each a list with the program's full"
    .. " path.")
  key("policy", "on", "hooks", "Lua functions that are called when something happens in the sandbox.")

  -- Files
  word("row", policy, "files", "read_only",
    "Shows files or directories of the host at the same path, not writable.")
  word("row", policy, "files", "read_write",
    "Makes directories that are writable and private to the task, empty at first.")
  word("row", policy, "files", "scratch", "Makes directories in memory, gone with each sandbox, up to `size`.")
  word("row", policy, "files", "bind",
    "Shows one host file or directory at another path, read-only unless `mode` says otherwise.")
  word("row", policy, "files", "file", "Makes one read-only file with the given text.")
  word("row", policy, "files", "hidden", "Covers files or directories with an empty read-only one.")
  key("files", "storage", "choice", "Where writable directories are kept: on the host's disk or in memory.",
    { choices = { "disk", "memory" }, default = "disk" })
  key("read_only", "optional", "flag",
    "Leaves out what the host lacks, where the sandbox would not start otherwise.")
  key("scratch", "size", "size", "How much the directory holds at most.",
    { min = 4096, max = 2 ^ 40, default = 64 * MB })
  key("bind", "at", "path", "The path inside the sandbox; the host's own path when left out.")
  key("bind", "mode", "choice", "Whether commands may change the host's files.",
    { choices = { "read_only", "read_write" }, default = "read_only" })
  key("bind", "optional", "flag",
    "Leaves out what the host lacks, where the sandbox would not start otherwise.")
  key("file", "text", "text", "The content of the file, at most 64 KB.", { max = 65536 })

  -- Network
  word("row", policy, "network", "allow", "Lets the sandbox reach these names or addresses.")
  word("row", policy, "network", "allow_internal",
    "Lets the sandbox reach these internal addresses, each with or without a port; the row needs a `why`.")
  word("row", policy, "network", "publish",
    "Makes TCP ports of the sandbox reachable on the host's loopback address.")
  word("row", policy, "network", "deny",
    "Keeps the sandbox from these names; in a hook, refuses the connection with a reason.")
  key("network", "otherwise", "choice", "What holds for names that no row mentions.",
    { choices = { "deny", "allow" }, default = "deny" })
  key("network", "dns", "choice",
    [[Whether a name is looked up when it is used ("lazy") or when it is asked ("verify").]],
    { choices = { "lazy", "verify" }, default = "lazy" })
  key("network", "resolver", "address",
    "The DNS server that the gateway asks, as address or address:port; the host's own when left out.",
    { port = 53 })
  key("network", "hosts", "hosts", "Fixed addresses of names, which are then not looked up.")
  key("network", "inspect", "later",
    "Opens TLS with a certificate authority of the sandbox's own, so that methods can be seen.", { later = true })
  for _, place in ipairs { "allow", "deny", "allow_internal", "only" } do
    key(place, "ports", "ports", "The ports that the row is about; all of them when left out.")
  end
  for _, place in ipairs { "allow", "deny", "allow_internal", "publish" } do
    key(place, "why", "text", "The reason, shown to whoever meets the row.")
  end
  for _, place in ipairs { "network", "allow", "allow_internal" } do
    local what = place == "network" and "" or ", for this row beside the whole network's"
    key(place, "requests", "rate",
      "How many connections may be opened in a time, such as 100 / minute" .. what .. ".", { min = 1, max = 1e6 })
    key(place, "bandwidth", "bandwidth", "How many bits per second may flow in each direction" .. what .. ".",
      { min = 1e3, max = 1e12 })
  end
  for _, place in ipairs { "allow", "allow_internal" } do
    key(place, "bytes", "size",
      "How much one sandbox may move by this row, both ways together; then its connections are cut.",
      { min = 1024, max = 2 ^ 50 })
    key(place, "watch", "flag",
      "Also writes an event when a connection of the row opens; every one is written when it ends.")
  end
  key("allow", "methods", "later", "The HTTP methods that are allowed, which `inspect` can tell apart.",
    { later = true })
  key("publish", "on", "address", "The loopback address and port of the host; port 0 is any free one.",
    { port = 0, default = "127.0.0.1:0" })

  -- Limits
  key("limits", "cpus", "number", "How many processors' worth of time the sandbox gets, such as 4 or 0.5.",
    { min = 0.01, max = 4096, default = 1 })
  key("limits", "memory", "size", "How much memory all commands together may use.",
    { min = 4 * MB, max = 2 ^ 50, default = 512 * MB })
  key("limits", "disk", "size", "How much all writable directories together may hold.",
    { min = MB, max = 2 ^ 50, default = 256 * MB })
  key("limits", "disk_floor", "size",
    "How much of the host's disk must stay free; 1 GB, or a twentieth of a smaller disk, when left out. Of its files, "
      .. "65536 or a twentieth.",
    { min = 0, max = 2 ^ 50 })
  for _, way in ipairs { { "disk_read", "read from" }, { "disk_write", "write to" } } do
    local disk = way[2] .. " the disk that its writable files are on; no limit when left out."
    key("limits", way[1], "throughput", "How many bytes a second the sandbox may " .. disk,
      { min = 64 * KB, max = 2 ^ 40 })
    key("limits", way[1] .. "_ops", "ops", "How many times a second the sandbox may " .. disk, { min = 10, max = 1e9 })
  end
  key("limits", "time", "time", "How long the sandbox or the whole task may run.",
    { min = 1, max = 366 * 86400, default = 600 })
  key("limits", "cpu_time", "time",
    "How much processor time all commands of a sandbox (of a step) together may take; no limit when left out.",
    { min = 1, max = 366 * 86400 * 1024 })
  key("limits", "grace", "time", "How long a command that has to end has between SIGTERM and SIGKILL.",
    { min = 0, max = 86400, default = 10 })
  key("limits", "processes", "count", "How many processes and threads there may be at once.",
    { min = 1, max = 4194304, default = 256 })
  key("limits", "open_files", "count", "How many files one process may have open.",
    { min = 64, max = 1048576, default = 65536 })
  key("limits", "hold", "hold",
    [[With "hard", refuses to run where limits would only be watched: all, or by name.]],
    { choices = { "any", "hard" }, default = "any" })

  -- Process
  key("process", "user", "choice", "The user that commands run as.",
    { choices = { "agent" }, default = "agent" })
  key("process", "capabilities", "capabilities", "Kernel capabilities that commands keep; none when left out.")
  key("process", "syscalls", "choice", [[Which system calls pass: "strict" also refuses debuggers.]],
    { choices = { "default", "strict" }, default = "default" })
  key("process", "ids", "choice",
    "Whether an ordinary caller's sandbox uses only the caller's own id or a subordinate range.",
    { choices = { "own", "subordinate" }, default = "own" })

  -- Reactions and the events they answer
  key("on", "connect", "function",
    "Called with each connection that the rows allow, before it is opened; may return deny or warn with a text.")
  key("on", "usage", "function", "Called when usage is measured; may return any of the reactions.")
  key("on", "violation", "function", "Called when a limit or rule was broken; may return any of the reactions.")
  word("reaction", policy, "on", "log", "A hook's answer: writes an event with this text.")
  word("reaction", policy, "on", "warn", "A hook's answer: writes a warning event with this text, and shows it.")
  word("reaction", policy, "on", "throttle",
    "A hook's answer: gives the sandbox only `cpus` processors' worth of time.")
  word("reaction", policy, "on", "freeze",
    "A hook's answer: stops every process of the sandbox, for `time` or for good.")
  word("reaction", policy, "on", "kill", "A hook's answer: ends the sandbox.")
  word("reaction", policy, "on", "notify", "A hook's answer: tells the named receiver.")

  -- Groups of names, each a table read from the policies directory when first used
  word("module", both, "network", "ecosystem",
    "Groups of package registries: ecosystem.npm, ecosystem.pypi and others.")
  word("module", both, "network", "forge", "Groups of code hosts: forge.github, forge.gitlab.")
  word("module", both, "network", "docs", "Groups of documentation sites: docs.python, docs.web and others.")
end
