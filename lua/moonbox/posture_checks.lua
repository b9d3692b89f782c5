--- What moonbox.posture compares of any process: one function for a kind of fact. Each adds to a report what is not as
-- it should be.
local process = require "moonbox.process"

local sys = require("moonbox.core").sys

local M = {}

local CAPABILITIES = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" }

-- What an ordinary user can't read of processes that hide from him by intent (they are not dumpable).
local HIDDEN = { descriptors = true, mounts = true, environment = true, directory = true }
for _, name in ipairs(process.NAMESPACES) do HIDDEN["namespace " .. name] = true end

local Report = {}
Report.__index = Report

-- Reports on processes that hide.
local hiding = setmetatable({}, { __mode = "k" })

--- The report on a process that was looked at: { pid, kind, name, differences, unread }. `hides`: from an ordinary
-- user, by intent.
function M.report(look, kind, hides)
  local json = require "moonbox.json"
  local out = setmetatable({ pid = tonumber(look.pid), kind = kind, name = look.status.Name,
    differences = json.array {}, unread = json.array {} }, Report)
  hiding[out] = hides
  return out
end

--- Notes a difference, unless `fine` or `wanted` is what was found. What can't be read is one too, but of HIDDEN.
function Report:expect(field, wanted, found, fine)
  if found == nil and HIDDEN[field] and hiding[self] and sys.euid() ~= 0 then
    self.unread[#self.unread + 1] = field
  elseif found == nil then
    self.differences[#self.differences + 1] = { field = field, expected = tostring(wanted), found = "not to be read" }
  elseif not fine and wanted ~= found then
    self.differences[#self.differences + 1] = { field = field, expected = tostring(wanted), found = tostring(found) }
  end
end

-- Whether no bit of `found` is missing in `most`, both hexadecimal.
local function within(found, most)
  local bit = require "bit"
  for i = 1, 16, 8 do
    local a, b = tonumber(found:sub(i, i + 7), 16), tonumber(most:sub(i, i + 7), 16)
    if bit.band(a, bit.bnot(b)) ~= 0 then return false end
  end
  return true
end

--- An id as status shows it: real, effective, saved, of the filesystem.
function M.four_times(id) return ("%s %s %s %s"):format(id, id, id, id) end

-- How many processors a list such as "0-3,7" has.
local function processors(list)
  local count = 0
  for first, last in (list or ""):gmatch("(%d+)%-?(%d*)") do
    count = count + (tonumber(last) or tonumber(first)) - tonumber(first) + 1
  end
  return count
end

local function check_thread(out, t, want)
  out:expect("NoNewPrivs", "1", t.NoNewPrivs)
  out:expect("Seccomp", "2", t.Seccomp)
  local filters = tonumber(t.Seccomp_filters) or 0
  out:expect("Seccomp_filters", (want.exact and "%d" or "at least %d"):format(want.filters), t.Seccomp_filters,
    filters == want.filters or not want.exact and filters > want.filters)
  for _, name in ipairs(CAPABILITIES) do
    out:expect(name, want.capabilities, t[name], not want.exact and within(t[name], want.capabilities))
  end
  out:expect("Uid", M.four_times(want.uid), t.Uid)
  out:expect("Gid", M.four_times(want.gid), t.Gid)
  out:expect("Groups", want.groups, t.Groups)
  if want.depth then
    local _, spaces = t.NSpid:gsub("%d+", "")
    out:expect("NSpid", ("%d numbers"):format(want.depth), t.NSpid, spaces == want.depth)
  end
  if want.exact then out:expect("TracerPid", "0", t.TracerPid) end
  if want.processors then
    out:expect("Cpus_allowed_list", ("at most %d"):format(want.processors), t.Cpus_allowed_list,
      processors(t.Cpus_allowed_list) <= want.processors)
  end
end

--- Ids, privileges and filters of each thread: uid, gid, groups, filters, capabilities (a mask), depth of pid
-- namespaces, processors that it is pinned to. `exact`: what it has and no less, and nobody traces it.
function M.threads(out, look, want)
  for _, t in ipairs(look.threads) do check_thread(out, t, want) end
end

--- What a tenant may change of its own process and of nothing else: umask, signals, tracers.
function M.settings(out, look, want)
  for _, t in ipairs(look.threads) do
    for _, name in ipairs { "Umask", "SigBlk", "SigIgn", "SigCgt" } do out:expect(name, want[name], t[name]) end
  end
end

--- The hard limits of a plan; a caller's own that are lower hold as well. `exact`: these, not lower ones.
function M.limits(out, look, plan, outside, exact)
  for _, row in ipairs(plan.rlimits) do
    local most = outside.limits and math.min(row.hard, outside.limits[row.name] or math.huge) or row.hard
    local found = look.limits and look.limits[row.name]
    out:expect("limit " .. row.name, (exact and "%.0f" or "at most %.0f"):format(most), found,
      found and (found == most or not exact and found < most))
  end
end

-- Flags that must be there, by target; those that may be there besides stand for what the host has or not.
local function expected_mounts(plan)
  local required, possible = { ["/"] = "ro,nosuid,nodev", ["/proc"] = "nosuid,nodev,noexec" }, {}
  for _, row in ipairs(plan.mounts) do
    if row.kind == "bind" then
      possible[row.target] = (row.read_only and "ro," or "") .. "nosuid,nodev"
      if not row.optional then required[row.target] = possible[row.target] end
    elseif row.kind == "mask" or row.kind == "read_only" then
      possible[row.target] = "ro,nosuid,nodev,noexec"
    elseif row.kind == "writable" or row.kind == "tmpfs" then
      required[row.target] = "nosuid,nodev"
    end
  end
  return required, possible
end

local function has_flags(found, wanted)
  for flag in wanted:gmatch("[^,]+") do
    if not ("," .. found .. ","):find("," .. flag .. ",", 1, true) then return false end
  end
  return true
end

--- The mounts of a plan, each with its flags, no other, none shared with the host.
function M.mounts(out, look, plan)
  if not look.mounts then return out:expect("mounts", "readable", nil) end
  local required, possible = expected_mounts(plan)
  for target, flags in pairs(required) do
    local found = look.mounts[target]
    out:expect("mount " .. target, flags, found and found.flags or "not mounted",
      found and has_flags(found.flags, flags))
  end
  for target, found in pairs(look.mounts) do
    local flags = required[target] or possible[target]
    for outer, its in pairs(possible) do
      if not flags and target:sub(1, #outer + 1) == outer .. "/" then flags = its end
    end
    if target:match("^/dev/") and not flags then flags = target == "/dev/pts" and "nosuid,noexec" or "" end
    if not flags and target:match("^/proc/") then flags = "ro,nosuid,nodev,noexec" end
    out:expect("mount " .. target, flags or "not mounted", found.flags, flags and has_flags(found.flags, flags))
    out:expect("mount " .. target .. " propagation", "private", found.shared and "shared" or "private")
  end
end

--- Namespaces: those of `like`, a look at another process of the sandbox, and none of the host's.
function M.namespaces(out, look, outside, like)
  for _, name in ipairs(process.NAMESPACES) do
    local found = look.namespaces and look.namespaces[name]
    local other = like and like.namespaces and like.namespaces[name]
    if other then
      out:expect("namespace " .. name, other, found)
    else
      out:expect("namespace " .. name, "not the host's", found, found ~= outside.namespaces[name])
    end
  end
end

--- The control groups of a process without the leaf (core/leaves), and the leaf: "init", "c1", … or nil.
function M.place(groups, box)
  return (groups:gsub("(/" .. box .. ")/%w+", "%1")), groups:match("/" .. box .. "/(%w+)")
end

--- That nobody of its own id may look into it (proc(5): its files belong to another).
function M.undumpable(out, look, uid)
  out:expect("dumpable", "no", look.owner and (look.owner == tonumber(uid) and "yes" or "no"))
end

--- Exactly these variables; which others there are is not told, as they may be secrets.
function M.environment(out, look, variables)
  local found, seen, more = look.environment, {}, 0
  for variable in (found or ""):gmatch("[^%z]+") do seen[variable] = true end
  for _, variable in ipairs(variables) do
    more = more + (seen[variable] and 0 or 1)
    seen[variable] = nil
  end
  for _ in pairs(seen) do more = more + 1 end
  out:expect("environment", "the plan's", found and (more == 0 and "the plan's" or more .. " other variables"))
end

-- Whether a descriptor is on a mount of its process's own; nil when that can't be told.
local function is_mounted(look, number)
  local id = (look.descriptor_mounts or {})[number]
  if id and look.mount_ids then return look.mount_ids[id] == true end
end

--- What descriptors of the host's processes may lead to, beside sockets, pipes and the kernel's anonymous files: what
-- is below a path of `allowed`.
function M.descriptors(out, look, allowed)
  if not look.descriptors then return out:expect("descriptors", "readable", nil) end
  for number, target in pairs(look.descriptors) do
    -- The sandbox's own image is mounted nowhere: the path of what it is held by is "/".
    local fine = target == "/dev/null" or target:match("^socket:") or target:match("^pipe:")
      or target:match("^anon_inode:") or target == "/" and is_mounted(look, number) == false
    for _, prefix in ipairs(allowed) do fine = fine or target:sub(1, #prefix) == prefix end
    out:expect("descriptor " .. number, "a socket, a pipe or what is its own", target, fine)
  end
end

--- What descriptors of a command may lead to: files on mounts of its own, pipes, anonymous files, and sockets that are
-- not the host's. `sockets`: inode -> true of those.
function M.descriptors_inside(out, look, sockets)
  if not look.descriptors then return out:expect("descriptors", "readable", nil) end
  for number, target in pairs(look.descriptors) do
    local socket = target:match("^socket:%[(%d+)%]$")
    local fine = target:match("^pipe:%[%d+%]$") or target:match("^anon_inode:")
      or target:match("^/memfd:.* %(deleted%)$") or socket and not sockets[socket] or is_mounted(look, number)
    out:expect("descriptor " .. number, "the sandbox's own", target, fine)
  end
end

--- Exactly 0, 1 and 2, each a pipe or /dev/null.
function M.standard_descriptors(out, look)
  if not look.descriptors then return out:expect("descriptors", "readable", nil) end
  for number, target in pairs(look.descriptors) do
    local fine = tonumber(number) <= 2 and (target:match("^pipe:") or target == "/dev/null")
    out:expect("descriptor " .. number, tonumber(number) <= 2 and "a pipe or /dev/null" or "closed", target, fine)
  end
  for number = 0, 2 do
    if not look.descriptors[tostring(number)] then out:expect("descriptor " .. number, "open", "closed") end
  end
end

return M
