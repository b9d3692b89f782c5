--- From a policy's data to a plan: plain, complete, printable. The C core executes plans and nothing else, so
-- everything that is decided is decided here. Nothing here changes the host.
local paths = require "moonbox.paths"

local M = {}

local MERGED = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" }

local USER = { name = "agent", uid = 1000, gid = 1000, home = "/home/agent" }
local HOSTNAME = "moonbox"

-- What Docker masks and makes read-only in /proc (moby, oci/defaults.go), as proc(5) describes it: hardware,
-- kernel memory, keys and timers of the host.
local MASKED = { "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi" }
local READ_ONLY = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" }

--- Facts of this host that a plan depends on: whether the caller is root, where /bin and the like lead (a
-- link's target, or true for a real directory), and a function that resolves symbolic links.
function M.host()
  local sys = require("moonbox.core").sys
  local links = {}
  for _, name in ipairs(MERGED) do
    local stat = sys.lstat("/" .. name)
    if stat and stat.kind == "symlink" then links[name] = sys.readlink("/" .. name) end
    if stat and stat.kind == "directory" then links[name] = true end
  end
  return { root = sys.euid() == 0, links = links, realpath = sys.realpath }
end

local function synthesized(network)
  local u = USER
  local resolver = network == "none" and "# this sandbox has no network\n"
    or "# the gateway answers\nnameserver 127.0.0.1\n"
  return {
    { "/etc/passwd", ("root:x:0:0:root:/root:/usr/sbin/nologin\n%s:x:%d:%d:%s:%s:/bin/sh\n"
      .. "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
        :format(u.name, u.uid, u.gid, u.name, u.home) },
    { "/etc/group", ("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n"):format(u.name, u.gid) },
    { "/etc/hosts", ("127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback\n"):format(HOSTNAME) },
    { "/etc/hostname", HOSTNAME .. "\n" },
    { "/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n"
      .. "protocols: files\n" },
    { "/etc/resolv.conf", resolver },
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
    for _, merged in ipairs(MERGED) do
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

local function mounts_of(data, host)
  local mounts = { { kind = "proc", target = "/proc" }, { kind = "dev", target = "/dev" } }
  for _, file in ipairs(synthesized(data.network.mode)) do
    mounts[#mounts + 1] = { kind = "file", target = file[1], text = file[2], mode = 420 }
  end
  for _, row in ipairs(data.files.rows) do emit[row.word](row, host, mounts) end
  mounts = without_repeats(mounts)
  for _, path in ipairs(READ_ONLY) do mounts[#mounts + 1] = { kind = "read_only", target = path } end
  for _, path in ipairs(MASKED) do mounts[#mounts + 1] = { kind = "mask", target = path } end
  return mounts
end

local function limits_of(given, from_lines)
  local out = { hold = {} }
  out.disk_floor, out.grace = given.disk_floor, given.grace or require("moonbox.vocabulary").default("limits", "grace")
  out.from = from_lines or {}
  for _, name in ipairs { "cpus", "memory", "disk", "time", "processes" } do
    out[name] = given[name] or require("moonbox.vocabulary").default("limits", name)
    out.hold[name] = given.hold and given.hold[name] or "any"
  end
  return out
end

-- getrlimit(2). Core dumps would copy memory to disk; memlock and msgqueue are kernel memory that no control
-- group of an ordinary user counts; the rest of the host's limits stay.
local function rlimits_of(limits, open_files)
  local files = open_files or require("moonbox.vocabulary").default("limits", "open_files")
  local rows = { { "core", 0 }, { "memlock", 65536 }, { "msgqueue", 819200 }, { "nice", 0 },
    { "nofile", files },
    { "nproc", limits.processes }, { "rtprio", 0 } }
  local out = {}
  for i, row in ipairs(rows) do out[i] = { name = row[1], soft = row[2], hard = row[2] } end
  return out
end

local function network_of(data)
  local n, out = data.network, {}
  for name, value in pairs(n) do out[name] = value end
  out.rows, out.rules = nil, {}
  for _, row in ipairs(n.rows) do
    out.rules[#out.rules + 1] = { word = row.word, names = row.names, ports = row.ports, watch = row.watch,
      why = row.why, requests = row.requests, bandwidth = row.bandwidth, bytes = row.bytes, on = row.on,
      from = from(row) }
  end
  return out
end

local function env_of(env)
  local out = {}
  for name, value in pairs(env) do out[#out + 1] = name .. "=" .. value end
  table.sort(out)
  return out
end

local function has(list, value)
  for _, item in ipairs(list or {}) do
    if item == value then return true end
  end
  return false
end

local function start_of(mounts)
  for _, path in ipairs { "/workspace", USER.home } do
    for _, mount in ipairs(mounts) do
      if mount.target == path then return path end
    end
  end
  return "/"
end

-- What the host's links make of sources: text alone can't tell that /var/run is /run.
local function misled(data, host)
  local out = {}
  for _, row in ipairs(host.realpath and data.files.rows or {}) do
    if row.word == "read_only" or row.word == "bind" then
      for _, path in ipairs(row.paths) do
        local real = host.realpath(path)
        local wrong = real and real ~= path and paths.source(real)
        if wrong then
          out[#out + 1] = { file = row.file, line = row.line,
            text = ('"%s" leads to "%s" on this host, which %s'):format(path, real, wrong) }
        end
      end
    end
  end
  return out
end

--- The plan for a policy's data on a host (default: this one), or nil and diagnostics as policy.load gives
-- them.
function M.compile(data, host)
  host = host or M.host()
  local wrong = misled(data, host)
  if #wrong > 0 then return nil, wrong end
  local mounts, limits = mounts_of(data, host), limits_of(data.limits, data.limits_from)
  local process = data.process
  return {
    version = 1, policy = data.name, hostname = HOSTNAME, ids = process.ids or "own",
    user = { name = USER.name, uid = USER.uid, gid = USER.gid, home = USER.home },
    mounts = mounts,
    storage = { kind = data.files.storage or "disk", size = limits.disk,
      inodes = math.max(8192, math.min(2 ^ 31, math.floor(limits.disk / 8192))) },
    network = network_of(data),
    process = { capabilities = process.capabilities or {}, syscalls = process.syscalls or "default",
      umask = 18,
      low_ports = has(process.capabilities, "net_bind_service") },
    rlimits = rlimits_of(limits, data.limits.open_files),
    limits = limits,
    env = env_of(data.env), cwd = start_of(mounts),
    hooks = data.hooks, receivers = data.receivers,
  }
end

--- Begins to load a policy argument, beside this process. Returns a function that returns its plan, or nil and
-- diagnostics.
function M.begin(argument)
  local finish = require("moonbox.policy").begin(argument, { cached = true })
  return function()
    local data, diagnostics = finish()
    if not data then return nil, diagnostics end
    return M.compile(data)
  end
end

--- The same, waited for: what most callers want.
function M.load(argument)
  return M.begin(argument)()
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = setmetatable({}, getmetatable(value))
  for k, v in pairs(value) do out[k] = copy(v) end
  return out
end

-- The comment that the files of a box without network carry.
local function close_network(plan, row_from)
  plan.network = { mode = "none", otherwise = "deny", rules = {}, from = row_from or plan.network.from }
  for _, mount in ipairs(plan.mounts) do
    if mount.kind == "file" and mount.target == "/etc/resolv.conf" and not mount.from then
      mount.text = synthesized("none")[6][2]
    end
  end
end

local function allows(rules)
  for _, rule in ipairs(rules) do
    if rule.word ~= "deny" then return true end
  end
  return false
end

--- The plan of one pipeline step: a copy of `plan` with the step's network and limits, which are only ever
-- tighter (limits that would be wider are cut to the plan's). `env` and `cwd` are arguments of a command, not
-- of a plan.
function M.narrow(plan, step)
  local out = copy(plan)
  if step.network == "none" then
    close_network(out, step.file and from(step))
  elseif step.network then
    out.network.rules = require("moonbox.narrow").rules(plan.network, step.network)
    out.network.mode, out.network.otherwise = "list", "deny"
    if #step.network > 0 then out.network.from = from(step.network[1]) end
    if not allows(out.network.rules) then close_network(out, out.network.from) end
  end
  for name, value in pairs(step.limits or {}) do
    if type(value) == "number" and out.limits[name] then
      if value < out.limits[name] and step.file then out.limits.from[name] = from(step) end
      out.limits[name] = math.min(out.limits[name], value)
    end
  end
  if step.time then out.limits.time = math.min(out.limits.time, step.time) end
  for _, row in ipairs(out.rlimits) do
    if row.name == "nproc" then row.soft, row.hard = out.limits.processes, out.limits.processes end
  end
  -- The steps of a task share one filesystem, which is as large as the policy gives.
  out.storage.total = plan.storage.total or plan.storage.size
  out.storage.size = math.min(out.storage.size, out.limits.disk)
  return out
end

return M
