--- The mounts of a plan: what a policy's rows of files come to on a host, and what every sandbox has beside them.
local M = {}

--- Names at the root that a distribution may have merged into /usr.
M.MERGED = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" }

M.RESOLVER = "/etc/resolv.conf"

-- What Docker masks and makes read-only in /proc (moby, oci/defaults.go), as proc(5) describes it: hardware,
-- kernel memory, keys and timers of the host.
local MASKED = { "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi" }
local READ_ONLY = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" }

--- The text of the sandbox's resolv.conf: what answers names, for a `network` of "none", "open" or "list".
function M.resolver(network)
  return network == "none" and "# this sandbox has no network\n"
    or "# the gateway answers\nnameserver 127.0.0.1\n"
end

local function synthesized(network, u, hostname)
  return {
    { "/etc/passwd", ("root:x:0:0:root:/root:/usr/sbin/nologin\n%s:x:%d:%d:%s:%s:/bin/sh\n"
      .. "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
        :format(u.name, u.uid, u.gid, u.name, u.home) },
    { "/etc/group", ("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n"):format(u.name, u.gid) },
    { "/etc/hosts", ("127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback\n"):format(hostname) },
    { "/etc/hostname", hostname .. "\n" },
    { "/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n"
      .. "protocols: files\n" },
    { M.RESOLVER, M.resolver(network) },
  }
end

local function from(row) return row.file .. ":" .. row.line end

-- A bind of the host's /bin and the like follows the host: a link stays a link.
local function bind_row(path, row, host, mounts)
  local name = path:match("^/(%w+)$")
  local link = name and host.links[name]
  if type(link) == "string" then
    mounts[#mounts + 1] = { kind = "symlink", target = path, to = link, from = from(row) }
    return
  end
  mounts[#mounts + 1] = { kind = "bind", source = path, target = path, read_only = true,
    optional = row.optional or false, from = from(row) }
  if path == "/usr" then
    for _, merged in ipairs(M.MERGED) do
      if host.links[merged] then bind_row("/" .. merged, row, host, mounts) end
    end
  end
end

local emit = {}

function emit.read_only(row, host, mounts)
  for _, path in ipairs(row.paths) do bind_row(path, row, host, mounts) end
end

function emit.read_write(row, _, mounts)
  for _, path in ipairs(row.paths) do
    mounts[#mounts + 1] = { kind = "writable", target = path, mode = 493, from = from(row) }
  end
end

function emit.scratch(row, _, mounts)
  for _, path in ipairs(row.paths) do
    local inodes = math.max(1024, math.min(2 ^ 20, math.floor(row.size / 4096)))
    mounts[#mounts + 1] = { kind = "tmpfs", target = path, size = row.size, inodes = inodes, mode = 1023,
      from = from(row) }
  end
end

function emit.bind(row, _, mounts)
  mounts[#mounts + 1] = { kind = "bind", source = row.paths[1], target = row.at,
    read_only = row.mode == "read_only", optional = row.optional or false, from = from(row) }
end

function emit.file(row, _, mounts)
  mounts[#mounts + 1] = { kind = "file", target = row.paths[1], text = row.text, mode = 420,
    from = from(row) }
end

function emit.hidden(row, _, mounts)
  for _, path in ipairs(row.paths) do
    mounts[#mounts + 1] = { kind = "mask", target = path, from = from(row) }
  end
end

local function same(a, b)
  return a.kind == b.kind and a.target == b.target and a.source == b.source and a.to == b.to
    and a.read_only == b.read_only and a.size == b.size and a.text == b.text
end

-- A policy often repeats a row of its base. A second mount of the same thing costs time and says nothing new,
-- unless something was laid over it in between.
local function without_repeats(mounts)
  local out = {}
  for _, mount in ipairs(mounts) do
    local earlier
    for i = #out, 1, -1 do
      local other = out[i]
      if same(other, mount) then earlier = other break end
      if other.target == mount.target or other.target:sub(1, #mount.target + 1) == mount.target .. "/"
        or mount.target:sub(1, #other.target + 1) == other.target .. "/" then
        if other.kind ~= "symlink" then break end
      end
    end
    if earlier then
      earlier.from = mount.from
      earlier.optional = earlier.optional and mount.optional
    else
      out[#out + 1] = mount
    end
  end
  return out
end

--- The mounts of a policy's data on a host (moonbox.plan, host), in order: `user` and `hostname` are who the sandbox
-- believes to be.
function M.of(data, host, user, hostname)
  local mounts = { { kind = "proc", target = "/proc" }, { kind = "dev", target = "/dev" } }
  for _, file in ipairs(synthesized(data.network.mode, user, hostname)) do
    mounts[#mounts + 1] = { kind = "file", target = file[1], text = file[2], mode = 420 }
  end
  for _, row in ipairs(data.files.rows) do emit[row.word](row, host, mounts) end
  mounts = without_repeats(mounts)
  for _, path in ipairs(READ_ONLY) do mounts[#mounts + 1] = { kind = "read_only", target = path } end
  for _, path in ipairs(MASKED) do mounts[#mounts + 1] = { kind = "mask", target = path } end
  return mounts
end

return M
