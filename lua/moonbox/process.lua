--- Processes of the host, as proc(5) tells of them to the caller.
local sys = require("moonbox.core").sys

local M = {}

--- Names of the namespaces that a sandbox has of its own, as in /proc/PID/ns.
M.NAMESPACES = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" }

local LIMITS = { core = "Max core file size", memlock = "Max locked memory", msgqueue = "Max msgqueue size",
  nice = "Max nice priority", nofile = "Max open files", nproc = "Max processes", rtprio = "Max realtime priority" }

--- The text of a file of a process, or nil.
function M.read(pid, name) return sys.read_file(("/proc/%s/%s"):format(pid, name), 2 ^ 20) end

local function fields(text)
  local out = {}
  for name, value in text:gmatch("([%w_]+):[\t ]*([^\n]*)") do out[name] = value:gsub("%s+$", ""):gsub("%s+", " ") end
  return out
end

-- Hard limits by the names of a plan; "unlimited" is math.huge.
local function hard_limits(text)
  local out = {}
  for name, title in pairs(LIMITS) do
    local value = text:match(title .. "%s+%S+%s+(%S+)")
    out[name] = value == "unlimited" and math.huge or tonumber(value)
  end
  return out
end

-- target -> flags; a target that is mounted twice has the last one's. And the set of the mounts' numbers.
local function mounts(text)
  local out, ids = {}, {}
  for line in text:gmatch("[^\n]+") do
    local id, target, flags, optional = line:match("^(%d+) %d+ %S+ %S+ (%S+) (%S+)(.-) %- ")
    if target then out[target], ids[id] = { flags = flags, shared = optional ~= "" }, true end
  end
  return out, ids
end

local function links(pid, names)
  local out = {}
  for _, name in ipairs(names) do out[name] = sys.readlink(("/proc/%s/ns/%s"):format(pid, name)) end
  return next(out) and out
end

local TRIES = 5

-- Where descriptors lead, and the number of the mount that each is on: of one moment, though others come and go.
local function descriptors(pid)
  local out, on = {}, {}
  for _, name in ipairs(sys.list(("/proc/%s/fd"):format(pid)) or {}) do
    local path = ("/proc/%s/fd/%s"):format(pid, name)
    local target, again = nil, sys.readlink(path)
    for _ = 1, TRIES do
      if not again or target == again then break end
      target, on[name] = again, (M.read(pid, "fdinfo/" .. name) or ""):match("mnt_id:%s*(%d+)")
      again = sys.readlink(path)
    end
    if again and target == again then out[name] = target end
  end
  if next(out) then return out, on end
end

--- What can be read of one process now: { pid, threads = array of status fields, limits, namespaces, mounts, mount_ids,
-- groups, descriptors, descriptor_mounts, maps, score, owner (of its files in /proc), directory, environment }; nil
-- when it has gone.
function M.look(pid)
  local out = { pid = pid, threads = {} }
  for _, task in ipairs(sys.list(("/proc/%s/task"):format(pid)) or {}) do
    local status = M.read(pid, "task/" .. task .. "/status")
    if status then out.threads[#out.threads + 1] = fields(status) end
  end
  if #out.threads == 0 then return nil end
  local function with(name, make)
    local text = M.read(pid, name)
    if text then return make(text) end
  end
  local function same(text) return text end
  out.status = out.threads[1]
  out.limits = with("limits", hard_limits)
  out.mounts, out.mount_ids = with("mountinfo", mounts)
  out.directory, out.environment = sys.readlink(("/proc/%s/cwd"):format(pid)), with("environ", same)
  out.owner = (sys.stat(("/proc/%s/status"):format(pid)) or {}).uid
  out.groups, out.score = with("cgroup", same), with("oom_score_adj", tonumber)
  out.maps = with("uid_map", function(text) return (text:gsub("%s+", " "):gsub("^ ", "")) end)
  out.setgroups = with("setgroups", function(text) return (text:gsub("%s", "")) end)
  out.namespaces = links(pid, M.NAMESPACES)
  out.descriptors, out.descriptor_mounts = descriptors(pid)
  -- One that has ended meanwhile was read in halves.
  local state = (M.read(pid, "status") or ""):match("State:%s*(%a)")
  return state and state ~= "Z" and state ~= "X" and out or nil
end

-- Where a socket's inode stands in the tables of proc(5), counted from 1.
local TABLES = { unix = 7, tcp = 10, tcp6 = 10, udp = 10, udp6 = 10, raw = 10, raw6 = 10, netlink = 10, packet = 9 }

--- The set of the inodes of all sockets of a process's network namespace that proc(5) lists.
function M.sockets(pid)
  local out = {}
  for name, column in pairs(TABLES) do
    for line in (sys.read_file(("/proc/%s/net/%s"):format(pid, name), 2 ^ 26) or ""):gmatch("[^\n]+") do
      local n = 0
      for word in line:gmatch("%S+") do
        n = n + 1
        if n == column then out[word] = true end
      end
    end
  end
  out["0"] = nil -- a connection that nobody holds any more
  return out
end

--- Whether a process sleeps and has but its standard descriptors open: one that has just been executed opens libraries
-- and more for a moment.
function M.is_settled(pid)
  for _, number in ipairs(sys.list(("/proc/%s/fd"):format(pid)) or {}) do
    if tonumber(number) > 2 then return false end
  end
  return (M.read(pid, "status") or ""):match("State:%s*S") ~= nil
end

--- pid -> array of its children, as texts, of the whole machine.
function M.children()
  local out = {}
  for _, pid in ipairs(sys.list("/proc") or {}) do
    local parent = pid:match("^%d+$") and (M.read(pid, "status") or ""):match("PPid:%s*(%d+)")
    if parent then
      out[parent] = out[parent] or {}
      table.insert(out[parent], pid)
    end
  end
  return out
end

local function below(tree, pid, into)
  for _, child in ipairs(tree[pid] or {}) do
    into[child] = true
    below(tree, child, into)
  end
  return into
end

--- The pids of all but init that are in a sandbox: what descends from init, and what else is in one of their pid
-- namespaces, whoever put it there.
function M.inside(tree, init)
  local set, spaces = below(tree, tostring(init), {}), {}
  set[tostring(init)] = true
  for pid in pairs(set) do spaces[sys.readlink("/proc/" .. pid .. "/ns/pid") or ""] = true end
  spaces[""] = nil
  for _, pid in ipairs(sys.list("/proc") or {}) do
    local space = pid:match("^%d+$") and sys.readlink("/proc/" .. pid .. "/ns/pid")
    if space and spaces[space] then set[pid] = true end
  end
  set[tostring(init)] = nil
  local out = {}
  for pid in pairs(set) do out[#out + 1] = tonumber(pid) end
  table.sort(out)
  return out
end

return M
