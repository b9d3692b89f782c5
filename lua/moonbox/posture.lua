--- The posture of a sandbox that runs: what proc(5) says of its processes, against what its plan asks for.
-- Every thread is looked at. A tenant may take rights away from itself, so a command has at most what the plan gives;
-- init, which no tenant reaches, has exactly that. A command's descriptors are its own affair. What can't be read is a
-- difference, but for what init and the gateway hide from an ordinary user by intent (HIDDEN): that is named as unread.
local core = require "moonbox.core"
local process = require "moonbox.process"

local sys = core.sys

local M = {}

local CAPABILITIES = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" }

-- Numbers of <linux/capability.h> that a plan or the gateway may have.
local CAPABILITY = { net_bind_service = 10, net_admin = 12 }

local HIDDEN = { descriptors = true, mounts = true }
for _, name in ipairs(process.NAMESPACES) do HIDDEN["namespace " .. name] = true end

-- All signals but those that can't be blocked and two of the C library's own.
local BLOCKED, NONE = "fffffffe7ffbfeff", "0000000000000000"

local function mask(names)
  local value = 0
  for _, name in ipairs(names) do value = value + 2 ^ CAPABILITY[name] end
  return ("%016x"):format(value)
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

local Report = {}
Report.__index = Report

local function report(look, kind)
  local json = require "moonbox.json"
  return setmetatable({ pid = tonumber(look.pid), kind = kind, name = look.status.Name, differences = json.array {},
    unread = json.array {} }, Report)
end

function Report:expect(field, wanted, found, fine)
  if found == nil and HIDDEN[field] and self.kind ~= "command" and sys.euid() ~= 0 then
    self.unread[#self.unread + 1] = field
  elseif found == nil then
    self.differences[#self.differences + 1] = { field = field, expected = tostring(wanted), found = "not to be read" }
  elseif not fine and wanted ~= found then
    self.differences[#self.differences + 1] = { field = field, expected = tostring(wanted), found = tostring(found) }
  end
end

local function four_times(id) return ("%s %s %s %s"):format(id, id, id, id) end

-- Ids, privileges and filters of each thread. `most`: capabilities; `exact`: these and no fewer.
local function check_threads(out, look, want)
  for _, t in ipairs(look.threads) do
    out:expect("NoNewPrivs", "1", t.NoNewPrivs)
    out:expect("Seccomp", "2", t.Seccomp)
    out:expect("Seccomp_filters", ("at least %d"):format(want.filters), t.Seccomp_filters,
      (tonumber(t.Seccomp_filters) or 0) >= want.filters)
    for _, name in ipairs(CAPABILITIES) do
      out:expect(name, want.capabilities, t[name], not want.exact and within(t[name], want.capabilities))
    end
    out:expect("Uid", four_times(want.uid), t.Uid)
    out:expect("Gid", four_times(want.gid), t.Gid)
    out:expect("Groups", want.groups, t.Groups)
    if want.depth then
      local _, spaces = t.NSpid:gsub("%d+", "")
      out:expect("NSpid", ("%d numbers"):format(want.depth), t.NSpid, spaces == want.depth)
    end
    if want.exact then out:expect("TracerPid", "0", t.TracerPid) end
  end
end

local function check_limits(out, look, plan, outside)
  for _, row in ipairs(plan.rlimits) do
    local most = outside.limits and math.min(row.hard, outside.limits[row.name] or math.huge) or row.hard
    local found = look.limits and look.limits[row.name]
    out:expect("limit " .. row.name, ("at most %.0f"):format(most), found, found and found <= most)
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

local function check_mounts(out, look, plan)
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

local function check_namespaces(out, look, outside, like)
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

local function has_box(groups, box)
  return groups:find("/" .. box, 1, true) ~= nil
end

-- Whether a descriptor is of a filesystem that is mounted nowhere, as the sandbox's own image is: its path is then "/".
local function is_detached(look, number, target)
  local id = target == "/" and (process.read(look.pid, "fdinfo/" .. number) or ""):match("mnt_id:%s*(%d+)")
  return id and not ("\n" .. (process.read(look.pid, "mountinfo") or "")):find("\n" .. id .. " ", 1, true)
end

-- What descriptors of the host's processes may lead to, beside sockets, pipes and the kernel's anonymous files.
local function check_descriptors(out, look, allowed)
  if not look.descriptors then return out:expect("descriptors", "readable", nil) end
  for number, target in pairs(look.descriptors) do
    local fine = target == "/dev/null" or target:match("^socket:") or target:match("^pipe:")
      or target:match("^anon_inode:") or is_detached(look, number, target)
    for _, prefix in ipairs(allowed) do fine = fine or target:sub(1, #prefix) == prefix end
    out:expect("descriptor " .. number, "a socket, a pipe or what is its own", target, fine)
  end
end

-- Whether this host has control groups that sandboxes are put into.
local function grouped()
  for _, controller in pairs(core.cgroups()) do
    if type(controller) == "table" and (controller.version or 0) > 0 then return true end
  end
  return false
end

-- What no tenant can change of init: what it makes files with, and what it does with signals.
local function check_settings(out, look, plan)
  for _, t in ipairs(look.threads) do
    out:expect("Umask", ("%04o"):format(plan.process.umask or 18), t.Umask)
    out:expect("SigBlk", BLOCKED, t.SigBlk)
    out:expect("SigIgn", NONE, t.SigIgn)
    out:expect("SigCgt", NONE, t.SigCgt)
  end
end

-- A copy of init that a command with a time of its own is below (core/subreaper). Who else calls itself so gets no more
-- by it than that what an ordinary user can't read of it is named as unread.
local function is_reaper(look, init)
  return look.status.Name == "moonbox-reaper" and look.status.PPid == tostring(init.pid)
end

--- Init or a command of a sandbox. `context`: plan, box (its name in control groups), grouped (there are such groups),
-- outside (a look at the supervisor), init (a look at init; nil for init itself).
function M.check_inside(look, context)
  local init, plan, outside = context.init, context.plan, context.outside
  local out = report(look, not init and "init" or is_reaper(look, init) and "reaper" or "command")
  local base = init or look
  local uid, gid = base.status.Uid:match("^%d+"), base.status.Gid:match("^%d+")
  local _, depth = outside.status.NSpid:gsub("%d+", "")
  check_threads(out, look, { filters = (tonumber(outside.status.Seccomp_filters) or 0) + 2, exact = not init,
    capabilities = mask(plan.process.capabilities), uid = uid, gid = gid, depth = depth + 1,
    groups = outside.status.Uid:match("^0 ") and "" or outside.status.Groups })
  if uid == "0" or gid == "0" then out:expect("Uid", "not root's", uid .. ":" .. gid) end
  check_limits(out, look, plan, outside)
  check_mounts(out, look, plan)
  check_namespaces(out, look, outside, init)
  if not init then
    check_descriptors(out, look, {})
    check_settings(out, look, plan)
  end
  out:expect("uid_map", ("%d %s 1 "):format(plan.user.uid, uid), look.maps)
  out:expect("setgroups", "deny", look.setgroups)
  out:expect("oom_score_adj", "0 or more", look.score, look.score and look.score >= 0)
  if context.grouped then
    out:expect("control groups", "those of " .. context.box, look.groups,
      look.groups and has_box(look.groups, context.box) and (not init or look.groups == init.groups))
  end
  return out
end

--- Init, looked at by its own supervisor: one report, or nil when it has gone. `box`: its name in control groups.
function M.init(pid, plan, box)
  local look, outside = process.look(pid), process.look(sys.pid())
  if not look or not outside then return nil end
  return M.check_inside(look, { plan = plan, box = box, outside = outside, grouped = grouped() })
end

--- The gateway: confined, without the host's ids, and without files but its log.
function M.check_gateway(look, context)
  local out, outside = report(look, "gateway"), context.outside
  local root = outside.status.Uid:match("^0 ")
  check_threads(out, look, { filters = (tonumber(outside.status.Seccomp_filters) or 0) + 1,
    capabilities = mask { "net_admin" }, uid = look.status.Uid:match("^%d+"), gid = look.status.Gid:match("^%d+"),
    groups = root and "" or outside.status.Groups })
  if look.status.Uid:match("^0 ") then out:expect("Uid", "not root's", look.status.Uid) end
  local user = look.namespaces and look.namespaces.user
  out:expect("namespace user", "not the host's", user, user ~= outside.namespaces.user)
  check_descriptors(out, look, { context.folder .. "/flows.jsonl" })
  return out
end

--- The supervisor: its owner's, and with no descriptor that is not the sandbox's.
function M.check_supervisor(look, context)
  local out = report(look, "supervisor")
  for _, t in ipairs(look.threads) do out:expect("Uid", four_times(context.owner), t.Uid) end
  check_descriptors(out, look, { context.folder, context.state, "/sys/fs/cgroup/", "/dev/loop" })
  return out
end

--- Every process of a sandbox that runs: an array of { pid, kind, name, differences = { { field, expected, found } },
-- unread = { field } }, init first. `sandbox`: pid (the supervisor's), plan, box, folder, state, owner.
-- Returns nil and a sentence when there is nothing to look at.
function M.sandbox(sandbox)
  local outside = process.look(sandbox.pid)
  if not outside or not outside.namespaces then return nil, "the sandbox's supervisor can't be looked at" end
  local tree = process.children()
  local context = { plan = sandbox.plan, box = sandbox.box, outside = outside, folder = sandbox.folder,
    state = sandbox.state, owner = sandbox.owner, grouped = grouped() }
  local out, gateway = {}, nil
  for _, pid in ipairs(tree[tostring(sandbox.pid)] or {}) do
    local look = process.look(pid)
    if look and look.status.Name == "moonbox-init" then
      out[1] = M.check_inside(look, context)
      context.init = look
    elseif look and look.status.Name == "moonbox-gateway" then
      gateway = M.check_gateway(look, context)
    end
  end
  if not context.init then return nil, "init of the sandbox can't be found" end
  for _, pid in ipairs(process.inside(tree, context.init.pid)) do
    local look = process.look(pid)
    if look then out[#out + 1] = M.check_inside(look, context) end
  end
  out[#out + 1] = gateway
  if sandbox.plan.network.mode ~= "none" and not gateway then return nil, "the sandbox's gateway can't be found" end
  out[#out + 1] = M.check_supervisor(outside, context)
  return out
end

return M
