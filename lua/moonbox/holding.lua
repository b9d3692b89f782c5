--- How hard each limit of a plan is held on this host (DESIGN words: `hard` by the kernel, `watched` by the supervisor,
-- which samples and acts), and what follows: processors to pin to, sampling intervals, or a refusal.
local M = {}

--- Seconds between samples of what is only watched.
M.MEMORY_PERIOD, M.DISK_PERIOD = 0.5, 1

--- Limits that a policy may leave out, and then are none.
M.OPTIONAL = { "cpu_time", "disk_read", "disk_write", "disk_read_ops", "disk_write_ops" }

--- A limit's value as a policy would write it.
function M.show(name, value)
  local units = require "moonbox.units"
  local type = (require("moonbox.vocabulary").keys("limits")[name] or {}).type
  return units.show(units.example[type] and type or "", value)
end

local function by_group(groups, controller)
  local version = groups[controller].version
  return version > 0 and ("hard: control group v%d"):format(version)
end

local function disk_level(plan)
  local kind, why = require("moonbox.disk").kind(plan)
  if kind == "memory" then return "hard: size of its tmpfs" end
  if kind == "image" then return "hard: an ext4 image of its own" end
  if kind == "none" then
    return ("refused: the state directory's filesystem carries neither an image nor an overlay (%s); set MOONBOX_STATE "
      .. 'to a folder on ext4, XFS or btrfs, or write storage = "memory"'):format(why)
  end
  return ("watched: every %g s or more; a sandbox over its limit is killed (%s)"):format(M.DISK_PERIOD, why)
end

-- Who is killed for want of memory (core/leaves).
local function memory_level(plan, groups)
  local held = by_group(groups, "memory")
  if not held then return ("watched: every %g s; a sandbox over its limit is killed"):format(M.MEMORY_PERIOD) end
  if groups.memory.version == 2 and (plan.ids ~= "subordinate" or require("moonbox.core").sys.euid() == 0) then
    return held .. "; a sandbox at it ends, of one by id only the command"
  end
  return held .. "; a sandbox at it ends"
end

-- What is read from and written to the disk that the writable files are on. Of what a group of version 1 does not see,
-- and of what lies on no disk, nothing would be held.
local function io_level(plan, name)
  local disk = require "moonbox.disk"
  local kind = disk.kind(plan)
  if kind == "memory" then return 'refused: the writable files are in memory (storage = "memory"), on no disk' end
  local version = require("moonbox.core").cgroup_io()
  if version == 0 then
    return "refused: no control group limits disks here; it takes the io controller of version 2, delegated together "
      .. "with memory (for a session of systemd: Delegate=cpu memory pids io)"
  elseif version == 1 and name:match("^disk_write") then
    return "refused: control groups of version 1 do not see delayed writes; boot with version 2 "
      .. "(systemd.unified_cgroup_hierarchy=1)"
  end
  if kind == "image" then return ("hard: control group v%d, on its own loop device"):format(version) end
  local device, why = disk.device()
  return device and ("hard: control group v%d, on disk %s"):format(version, device) or "refused: " .. why
end

--- { cpus=, memory=, disk=, time=, processes=, and what of OPTIONAL is given } -> text that starts with "hard" or
-- "watched", or "refused" with why.
function M.levels(plan, groups)
  groups = groups or require("moonbox.core").cgroups()
  local out = {}
  out.cpus = by_group(groups, "cpu")
  if not out.cpus then
    out.cpus = plan.limits.cpus == math.floor(plan.limits.cpus) and "hard: pinned to that many processors"
      or "refused: without a cpu control group only whole processors can be held; write a whole number"
  end
  out.memory = memory_level(plan, groups)
  out.disk = disk_level(plan)
  out.time = "hard: monotonic clock of the supervisor, without which the sandbox ends"
  out.processes = by_group(groups, "pids") or "hard: RLIMIT_NPROC in the sandbox's user namespace"
  if plan.limits.cpu_time then
    out.cpu_time = "watched: every few seconds; a sandbox over it is ended (the kernel holds no sum of processes)"
  end
  for _, name in ipairs { "disk_read", "disk_write", "disk_read_ops", "disk_write_ops" } do
    if plan.limits[name] then out[name] = io_level(plan, name) end
  end
  return out
end

--- Sentences about limits that this host can't hold as the plan wants; empty when all is well.
function M.refusals(plan, levels)
  local out = {}
  for _, name in ipairs { "cpus", "memory", "disk", "time", "processes", unpack(M.OPTIONAL) } do
    local level = levels[name] or "hard: not asked for"
    if level:match("^refused") then
      out[#out + 1] = ("limit %s = %s %s"):format(name, M.show(name, plan.limits[name]), level)
    elseif plan.limits.hold[name] == "hard" and not level:match("^hard") then
      local sentence = "the policy wants %s held hard, and here it would be %s (moonbox doctor says what is missing)"
      out[#out + 1] = sentence:format(name, level)
    end
  end
  return out
end

--- The number of processors that a sandbox must be pinned to, or 0 where a control group holds them.
function M.pin(plan, groups)
  return groups.cpu.version == 0 and plan.limits.cpus or 0
end

return M
