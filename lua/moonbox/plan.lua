--- From a policy's data to a plan: plain, complete, printable. The C core executes plans and nothing else, so
-- everything that is decided is decided here. Nothing here changes the host.
local paths = require "moonbox.paths"
local plan_mounts = require "moonbox.plan_mounts"

local M = {}

local USER = { name = "agent", uid = 1000, gid = 1000, home = "/home/agent" }
local HOSTNAME = "moonbox"

--- Facts of this host that a plan depends on: whether the caller is root, where /bin and the like lead (a
-- link's target, or true for a real directory), and a function that resolves symbolic links.
function M.host()
  local sys = require("moonbox.core").sys
  local links = {}
  for _, name in ipairs(plan_mounts.MERGED) do
    local stat = sys.lstat("/" .. name)
    if stat and stat.kind == "symlink" then links[name] = sys.readlink("/" .. name) end
    if stat and stat.kind == "directory" then links[name] = true end
  end
  return { root = sys.euid() == 0, links = links, realpath = sys.realpath }
end

local function from(row) return row.file .. ":" .. row.line end

local function limits_of(given, from_lines)
  local out = { hold = {} }
  out.disk_floor, out.grace = given.disk_floor, given.grace or require("moonbox.vocabulary").default("limits", "grace")
  for _, name in ipairs(require("moonbox.holding").OPTIONAL) do
    out[name] = given[name]
    out.hold[name] = given[name] and given.hold and given.hold[name] or nil
  end
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

local function parameters_of(data)
  local out
  for _, one in ipairs(data.parameters or {}) do
    out = out or {}
    out[one.name] = one.value
  end
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
  local mounts = plan_mounts.of(data, host, USER, HOSTNAME)
  local limits = limits_of(data.limits, data.limits_from)
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
    hooks = data.hooks, receivers = data.receivers, parameters = parameters_of(data),
  }
end

--- Begins to load a policy argument, beside this process. Options: `parameters` and `own`, as of moonbox.policy.begin.
-- Returns a function that returns its plan, or nil and diagnostics; and, behind a plan and nil, what is known of the
-- policy's files (moonbox.policy, begin).
function M.begin(argument, options)
  options = options or {}
  local finish = require("moonbox.policy").begin(argument, { cached = true, parameters = options.parameters,
    own = options.own })
  return function()
    local data, diagnostics, files = finish()
    if not data then return nil, diagnostics end
    local plan, wrong = M.compile(data)
    return plan, wrong, files
  end
end

--- The same, waited for: what most callers want.
function M.load(argument, options)
  return M.begin(argument, options)()
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
    if mount.kind == "file" and mount.target == plan_mounts.RESOLVER and not mount.from then
      mount.text = plan_mounts.resolver("none")
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
  local optional = {}
  for _, name in ipairs(require("moonbox.holding").OPTIONAL) do optional[name] = true end
  for name, value in pairs(step.limits or {}) do
    local most = out.limits[name] or optional[name] and math.huge
    if type(value) == "number" and most then
      if value < most and step.file then out.limits.from[name] = from(step) end
      out.limits[name] = math.min(most, value)
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
