--- What this process and the sandboxes that it made have on the host, to be compared before and after: processes,
-- mounts, control groups, descriptors, folders, disks, memory. What loses its parent becomes this process's child, so
-- that nobody else's processes are counted, and none of ours is missed.
local box = require "support.box"

local core = require "moonbox.core"
local ffi = require "ffi"

local sys = core.sys

ffi.cdef [[
  int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
  int waitpid(int pid, int *status, int options);
]]

local M = {}

local PR_SET_CHILD_SUBREAPER, WNOHANG = 36, 1

--- From now on, or with false no longer, orphans below this process become its children.
function M.adopt(on) ffi.C.prctl(PR_SET_CHILD_SUBREAPER, on and 1 or 0, 0, 0, 0) end

--- Reaps children that have ended.
function M.reap()
  while ffi.C.waitpid(-1, nil, WNOHANG) > 0 do end -- luacheck: ignore 542
end

local function sorted(list)
  table.sort(list)
  return list
end

--- What descends from this process, but for a shell that asks: { "PID NAME", … }, sorted.
function M.processes()
  M.reap()
  local tree, out = require("moonbox.process").children(), {}
  local function below(pid)
    for _, child in ipairs(tree[pid] or {}) do
      local name = box.read("/proc/" .. child .. "/comm")
      if name then out[#out + 1] = child .. " " .. name:gsub("\n", "") end
      below(child)
    end
  end
  below(tostring(sys.pid()))
  return sorted(out)
end

-- Stay on purpose: compiled policies, and the locks of root's ranges of ids, of which there are 1,024.
local STAYS = { cache = true, ids = true }

-- Names below a folder, two levels deep.
local function names(path, depth, out)
  for _, name in ipairs(sys.list(path) or {}) do
    if not STAYS[name] then
      out[#out + 1] = path .. "/" .. name
      if depth > 1 then names(path .. "/" .. name, depth - 1, out) end
    end
  end
  return out
end

-- What a mount of moonbox's would be of, on or from. Others of this machine may mount other things meanwhile.
local OURS = { " overlay ", " tmpfs ", " proc ", " nsfs ", "/dev/loop", "moonbox" }

local function mounts()
  local out = {}
  for line in box.read("/proc/self/mountinfo"):gmatch("[^\n]+") do
    local ours = line:find(box.home, 1, true)
    for _, text in ipairs(OURS) do ours = ours or line:find(text, 1, true) end
    if ours then out[#out + 1] = line:match("^%d+ %d+ %S+ %S+ %S+") end
  end
  return sorted(out)
end

-- Loop devices on files of this spec's state folder.
local function disks()
  local out = {}
  for _, name in ipairs(sys.list("/sys/block") or {}) do
    local backing = name:match("^loop") and box.read("/sys/block/" .. name .. "/loop/backing_file")
    if backing and backing:find(box.state, 1, true) then out[#out + 1] = name end
  end
  return sorted(out)
end

--- Control groups named as in `boxes`, a set of names (`box` in a sandbox's record).
function M.groups(boxes)
  local out = {}
  for path in box.shell("find /sys/fs/cgroup -type d -path '*moonbox/*' 2>/dev/null; true").stdout:gmatch("[^\n]+") do
    if boxes[path:match("[^/]+$")] then out[#out + 1] = path end
  end
  return sorted(out)
end

--- All of it now. `boxes` as for M.groups.
function M.snapshot(boxes)
  collectgarbage()
  return { processes = M.processes(), mounts = mounts(), disks = disks(), state = sorted(names(box.state, 2, {})),
    groups = M.groups(boxes), descriptors = #sys.list("/proc/self/fd"), temporary = #(sys.list(os.getenv("TMPDIR")
    or "/tmp") or {}) }
end

--- kB of memory that are this process's.
function M.memory()
  collectgarbage()
  collectgarbage()
  return tonumber(box.read("/proc/self/status"):match("VmRSS:%s*(%d+)"))
end

--- Waits at most `seconds` until the snapshot equals `before`; returns the last one.
function M.settle(before, boxes, seconds)
  local same = require("luassert.util").deepcompare
  local now
  box.wait_for(function()
    now = M.snapshot(boxes)
    return same(before, now)
  end, seconds)
  return now
end

return M
