--- The posture of a sandbox that runs: what proc(5) says of its processes, against what its plan asks for.
--
-- Every thread of every process is looked at. Init, which no tenant reaches, has exactly what the plan gives, and so
-- has a command when it starts: a fresh one is started for that. A tenant may take rights away from its own processes,
-- add filters, and change what is no matter of safety (umask, signals, its descriptors), so a command that runs has at
-- most what the plan gives. The supervisor asks M.init before anything of a tenant runs. What can't be read is a
-- difference, but for what init, its copies and the gateway hide from an ordinary user by intent: that is unread.
local checks = require "moonbox.posture_checks"
local core = require "moonbox.core"
local process = require "moonbox.process"

local sys = core.sys

local M = {}

-- Numbers of <linux/capability.h> that a plan or the gateway may have.
local CAPABILITY = { net_bind_service = 10, net_admin = 12 }

-- Signal masks as in status. All that can be blocked but two of the C library's own; what a gateway ignores: PIPE and
-- XFSZ; and what a keeper ignores: HUP, INT, QUIT, PIPE, TERM and XFSZ.
local NONE, ALL, GATEWAY_IGNORES = "0000000000000000", "fffffffe7ffbfeff", "0000000001001000"
local KEEPER_IGNORES = "0000000001005007"

-- The filters of a sandbox (core/seccomp). One that may write to the host has another (core/setid), and one that is
-- pinned to processors (core/affinity), and so has a command in a leaf, whose init may call clone3.
local FILTERS = 2

local SCORE = 200 -- of core/child, first_to_go

-- Seconds that a fresh command has to be there.
local FRESH = 10

local function mask(names)
  local value = 0
  for _, name in ipairs(names) do value = value + 2 ^ CAPABILITY[name] end
  return ("%016x"):format(value)
end

local function has_leaves(init, context)
  return context.grouped and select(2, checks.place(init.groups or "", context.box)) ~= nil
end

-- Whether this host has control groups that sandboxes are put into.
local function grouped()
  for _, controller in pairs(core.cgroups()) do
    if type(controller) == "table" and (controller.version or 0) > 0 then return true end
  end
  return false
end

-- A copy of init that has not executed a command, or named itself a subreaper, yet. Who else calls itself so gets no
-- more by it than that it may be where init is.
local function is_copy(look) return look.status.Name == "moonbox-init" end

local function filters_of(plan, pin, outside, more)
  local count = (tonumber(outside.status.Seccomp_filters) or 0) + FILTERS + (pin > 0 and 1 or 0) + (more and 1 or 0)
  for _, row in ipairs(plan.mounts) do
    if row.kind == "bind" and not row.read_only then return count + 1 end
  end
  return count
end

-- A copy of init that a command with a time of its own is below (core/subreaper). Who else calls itself so gets no more
-- by it than that what an ordinary user can't read of it is named as unread.
local function is_reaper(look, init)
  return look.status.Name == "moonbox-reaper" and look.status.PPid == tostring(init.pid)
end

local function kind_of(look, context)
  if not context.init then return "init" end
  if look.pid == context.fresh then return "fresh" end
  return is_reaper(look, context.init) and "reaper" or "command"
end

local EXACT = { init = true, fresh = true }

local function umask_of(plan) return ("%04o"):format(plan.process.umask or 18) end

local function check_groups(out, look, context)
  local box, init = context.box, context.init
  local trunk, leaf = checks.place(look.groups or "", box)
  out:expect("control groups", "those of " .. box, look.groups,
    trunk:find("/" .. box, 1, true) and (not init or trunk == checks.place(init.groups or "", box)))
  if not has_leaves(init or look, context) then return end
  local own = out.kind == "command" or out.kind == "fresh"
  out:expect("leaf", own and "a command's" or "init's", leaf or "none",
    own and (leaf or ""):match("^c%d+$") or leaf == "init" and (not own or is_copy(look)))
end

local function check_init(out, look, plan, leaves)
  checks.descriptors(out, look, leaves and { "/proc/1/oom_score_adj" } or {})
  checks.undumpable(out, look, look.status.Uid:match("^%d+"))
  checks.settings(out, look, { Umask = umask_of(plan), SigBlk = ALL, SigIgn = NONE, SigCgt = NONE })
  checks.environment(out, look, {})
  out:expect("directory", "/", look.directory)
end

-- A command that has only just started, of moonbox's own.
local function check_fresh(out, look, plan)
  checks.standard_descriptors(out, look)
  checks.settings(out, look, { Umask = umask_of(plan), SigBlk = NONE, SigIgn = NONE, SigCgt = NONE })
  checks.environment(out, look, plan.env)
  out:expect("directory", plan.cwd, look.directory)
  out:expect("session", look.status.NSpid, look.status.NSsid)
  out:expect("process group", look.status.NSpid, look.status.NSpgid)
end

--- Init, a copy of it, or a command of a sandbox. `context`: plan, box (its name in control groups), grouped (there are
-- such groups), pin (processors that it is pinned to, or 0), outside (a look at the supervisor), init (a look at init;
-- nil for init itself), sockets (of the host, moonbox.process.sockets), fresh (the pid of a command that has only just
-- started).
function M.check_inside(look, context)
  local init, plan, outside = context.init, context.plan, context.outside
  local kind = kind_of(look, context)
  local out = checks.report(look, kind, kind == "init" or kind == "reaper")
  local base, pin = init or look, context.pin or 0
  local uid, gid = base.status.Uid:match("^%d+"), base.status.Gid:match("^%d+")
  local _, depth = outside.status.NSpid:gsub("%d+", "")
  local leaves = has_leaves(base, context)
  local more = leaves and kind ~= "init" and kind ~= "reaper" and not is_copy(look)
  checks.threads(out, look, { filters = filters_of(plan, pin, outside, more), exact = EXACT[kind], uid = uid, gid = gid,
    capabilities = mask(plan.process.capabilities), depth = depth + 1, processors = pin > 0 and pin or nil,
    groups = outside.status.Uid:match("^0 ") and "" or outside.status.Groups })
  if uid == "0" or gid == "0" then out:expect("Uid", "not root's", uid .. ":" .. gid) end
  checks.limits(out, look, plan, outside, EXACT[kind])
  checks.mounts(out, look, plan)
  checks.namespaces(out, look, outside, init)
  if kind == "init" then check_init(out, look, plan, leaves) end
  if kind == "reaper" then
    checks.descriptors(out, look, {})
    checks.undumpable(out, look, uid)
  end
  if kind == "fresh" then check_fresh(out, look, plan) end
  if kind == "command" then checks.descriptors_inside(out, look, context.sockets or {}) end
  out:expect("uid_map", ("%d %s 1 "):format(plan.user.uid, uid), look.maps)
  out:expect("setgroups", "deny", look.setgroups)
  out:expect("oom_score_adj", ("%d or more"):format(SCORE), look.score, look.score and look.score >= SCORE)
  if context.grouped then check_groups(out, look, context) end
  return out
end

local function pin_of(plan) return require("moonbox.holding").pin(plan, core.cgroups()) end

--- Init, looked at by its own supervisor: one report, or nil when it has gone. `box`: its name in control groups.
function M.init(pid, plan, box)
  local look, outside = process.look(pid), process.look(sys.pid())
  if not look or not outside then return nil end
  return M.check_inside(look, { plan = plan, box = box, outside = outside, grouped = grouped(), pin = pin_of(plan) })
end

-- What every process beside the sandbox has: nobody traces it, and it has none of the sandbox's terminals.
local function check_beside(look, kind, hides)
  local out = checks.report(look, kind, hides)
  for _, t in ipairs(look.threads) do out:expect("TracerPid", "0", t.TracerPid) end
  return out
end

--- The gateway: confined, without the host's ids, and without files but its log.
function M.check_gateway(look, context)
  local out, outside = check_beside(look, "gateway", true), context.outside
  local root, uid = outside.status.Uid:match("^0 "), look.status.Uid:match("^%d+")
  local filters = (tonumber(outside.status.Seccomp_filters) or 0) + 1
  checks.threads(out, look, { filters = filters, capabilities = mask { "net_admin" }, uid = uid,
    gid = look.status.Gid:match("^%d+"), groups = root and "" or outside.status.Groups })
  out:expect("Seccomp_filters", tostring(filters), look.status.Seccomp_filters)
  if uid == "0" then out:expect("Uid", "not root's", look.status.Uid) end
  checks.undumpable(out, look, uid)
  out:expect("SigIgn", GATEWAY_IGNORES, look.status.SigIgn)
  out:expect("limit core", "0", look.limits and ("%.0f"):format(look.limits.core))
  local user = look.namespaces and look.namespaces.user
  out:expect("namespace user", "not the host's", user, user ~= outside.namespaces.user)
  local net = look.namespaces and look.namespaces.net
  out:expect("namespace net", outside.namespaces.net, net)
  checks.descriptors(out, look, { context.folder .. "/flows.jsonl" })
  return out
end

--- The keeper: its owner's, and nothing but the folder that it will remove.
function M.check_keeper(look, context)
  local out = check_beside(look, "keeper")
  out:expect("Uid", checks.four_times(context.owner), look.status.Uid)
  out:expect("SigIgn", KEEPER_IGNORES, look.status.SigIgn)
  out:expect("directory", "/", look.directory)
  checks.descriptors(out, look, { context.state .. "/boxes" })
  return out
end

--- The process that a policy's functions run in: its owner's, and two pipes.
function M.check_hooks(look, context)
  local out = check_beside(look, "hooks")
  out:expect("Uid", checks.four_times(context.owner), look.status.Uid)
  checks.descriptors(out, look, {})
  return out
end

--- The supervisor: its owner's, and with no descriptor that is not the sandbox's.
function M.check_supervisor(look, context)
  local out = check_beside(look, "supervisor")
  for _, t in ipairs(look.threads) do out:expect("Uid", checks.four_times(context.owner), t.Uid) end
  out:expect("directory", "/", look.directory)
  checks.descriptors(out, look, { context.folder, context.state, "/sys/fs/cgroup/", "/dev/loop" })
  return out
end

local BESIDE = { ["moonbox-gateway"] = M.check_gateway, ["moonbox-keeper"] = M.check_keeper,
  ["moonbox-hooks"] = M.check_hooks }

-- The supervisor's children: a look at init, the reports on those beside it, and the pids of any other.
local function children_of(sandbox, context)
  local init, beside, others = nil, {}, {}
  for _, pid in ipairs(process.children()[tostring(sandbox.pid)] or {}) do
    local look = process.look(pid)
    local check = look and BESIDE[look.status.Name]
    if check then
      beside[#beside + 1] = check(look, context)
      beside[beside[#beside].kind] = true
    elseif look and look.status.Name == "moonbox-init" then
      init = look
    elseif look then
      others[#others + 1] = pid
    end
  end
  return init, beside, others
end

-- Those that are there for a moment, to start a receiver (core/notify), are none.
local function add_others(pids, out)
  for _, pid in ipairs(pids) do
    local look = process.look(pid)
    if look then
      out[#out + 1] = check_beside(look, "other")
      out[#out]:expect("process", "one of a sandbox's", look.status.Name)
    end
  end
end

-- The pid of a fresh command, by the argument that nobody else has; it may take a moment to be there and to settle.
local function find_fresh(init, argument)
  local till, found = sys.monotonic() + FRESH, nil
  repeat
    for _, pid in ipairs(process.inside(process.children(), init)) do
      local arguments = process.read(pid, "cmdline")
      if arguments and arguments:find(argument, 1, true) then found = pid end
    end
    if found and process.is_settled(found) then return found end
    sys.sleep(0.005)
  until sys.monotonic() > till
  return found
end

-- Starts a command that waits, and looks at it among the others. Returns a function that ends it.
local function add_fresh(sandbox, context, out)
  local argument = "600." .. sys.random_hex(8):gsub("%a", "7")
  local stop = sandbox.start and sandbox.start { "/bin/sleep", argument }
  if not stop then
    out[1].unread[#out[1].unread + 1] = "a command when it starts"
    return function() end
  end
  context.fresh = find_fresh(context.init.pid, argument)
  if not context.fresh then out[1]:expect("a command when it starts", "there", "not found") end
  return stop
end

local function add_inside(sandbox, context, out)
  local stop = add_fresh(sandbox, context, out)
  context.sockets = process.sockets(sandbox.pid)
  for _, pid in ipairs(process.inside(process.children(), context.init.pid)) do
    local look = process.look(pid)
    if look then out[#out + 1] = M.check_inside(look, context) end
  end
  stop()
end

--- Every process of a sandbox that runs: an array of { pid, kind, name, differences = { { field, expected, found } },
-- unread = { field } }, init first. `sandbox`: pid (the supervisor's), plan, box, folder, state, owner, start (a
-- function of arguments that starts a command and returns one that ends it; nil when there can be none).
-- Returns nil and a sentence when there is nothing to look at.
function M.sandbox(sandbox)
  local outside = process.look(sandbox.pid)
  if not outside or not outside.namespaces then return nil, "the sandbox's supervisor can't be looked at" end
  local context = { plan = sandbox.plan, box = sandbox.box, outside = outside, folder = sandbox.folder,
    state = sandbox.state, owner = sandbox.owner, grouped = grouped(), pin = pin_of(sandbox.plan) }
  local init, beside, others = children_of(sandbox, context)
  if not init then return nil, "init of the sandbox can't be found" end
  if sandbox.plan.network.mode ~= "none" and not beside.gateway then
    return nil, "the sandbox's gateway can't be found"
  end
  local out = { M.check_inside(init, context) }
  context.init = init
  add_inside(sandbox, context, out)
  for _, report in ipairs(beside) do out[#out + 1] = report end
  add_others(others, out)
  out[#out + 1] = M.check_supervisor(outside, context)
  return out
end

return M
