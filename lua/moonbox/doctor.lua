--- What this host allows, as rows for a reader, and which shipped policies can run on it. core.probe tries
-- things and says what happened; here it is decided what that means, and moonbox.doctor_fixes knows the rest.
local fixes = require "moonbox.doctor_fixes"

local M = {}

-- `need`: "all" = no sandbox without it; "disk", "ids", "network" = policies that ask for it ("disk": where their files
-- are on no disk image); "git" = pipelines; else a note. `only`: a row for "user" (not for root) or for "root". Facts
-- that are not listed only explain others.
local ROWS = {
  { "user_namespace", "user namespaces", need = "all" },
  { "mount_namespace", "mount namespaces", need = "all" },
  { "network_namespace", "network namespaces", need = "all" },
  { "other_namespaces", "ipc, uts, cgroup namespaces", need = "all" },
  { "proc", "own /proc", need = "all" },
  { "mount_api", "mount calls", need = "all" },
  { "seccomp", "system call filters", need = "all" },
  { "clone3", "clone3", need = "all" },
  { "pidfd", "process descriptors", need = "all" },
  { "openat2", "openat2", need = "all" },
  { "close_range", "close_range", need = "all" },
  { "confined", "free of outer filters" },
  { "overlay", "overlay for the state folder", need = "disk" },
  { "user_xattr", "user attributes" },
  { "overlay_tmpfs", "overlay in memory" },
  { "idmapped_mount", "idmapped mounts" },
  { "id_range", "ranges of ids", need = "all", only = "root" },
  { "subuid", "subordinate user ids", need = "ids", only = "user" },
  { "subgid", "subordinate group ids", need = "ids", only = "user" },
  { "newuidmap", "newuidmap", need = "ids", only = "user" },
  { "newgidmap", "newgidmap", need = "ids", only = "user" },
  { "cgroup.version", "control groups" },
  { "cgroup.cpu", "  cpu limit" },
  { "cgroup.memory", "  memory limit" },
  { "cgroup.pids", "  process limit" },
  { "cgroup.io", "  disk use limit" },
  { "cgroup.kill", "  kill as one" },
  { "memory_peak", "  memory peak" },
  { "landlock", "Landlock" },
  { "capture", "network gateway", need = "network" },
  { "nftables", "  nftables", need = "network" },
  { "nft_tproxy", "  steering to it", need = "network" },
  { "nft_log", "  refusing and logging", need = "network" },
  { "nft_queue", "  held connections" },
  { "git", "git", need = "git" },
  { "fuse", "/dev/fuse" },
  { "kvm", "/dev/kvm" },
  { "loop", "loop devices" },
}

local SOME = { ids = true, network = true }

local function row_of(entry, fact, host)
  local row = { name = entry[1], title = entry[2], need = entry.need, state = "ok", text = fact.detail,
    code = fact.code }
  if fact.ok then return row end
  -- What only some policies ask for is said with those policies.
  local needed = entry.need and not SOME[entry.need] and not (entry.need == "disk" and host.images)
  row.state = needed and "missing" or "note"
  row.text = fact.code and ("%s: %s"):format(fact.detail, fact.code) or fact.detail
  local fix = fixes[entry[1]](fact, host)
  row.why, row.now, row.lasting = fix.why, fix.now, fix.lasting
  return row
end

local function by_name(facts)
  local out = {}
  for _, fact in ipairs(facts) do out[fact.name] = fact end
  return out
end

--- Facts (core.probe.all) to rows { name, title, state = "ok" | "missing" | "note", text, need, code, why,
-- now, lasting }. `host` is { root =, user =, executable =, state =, images = writable files lie on disk images }.
function M.rows(facts, host)
  local known = setmetatable({ facts = by_name(facts) }, { __index = host })
  local out = {}
  for _, entry in ipairs(ROWS) do
    local fact = known.facts[entry[1]]
    if fact and (not entry.only or (entry.only == "root") == host.root) then
      out[#out + 1] = row_of(entry, fact, known)
    end
  end
  return out
end

-- Why a plan can't run, by what its rows on this host say.
local function lacks(plan, rows, host)
  local out = {}
  local wanted = { all = true, disk = plan.storage.kind == "disk" and not host.images,
    ids = plan.ids == "subordinate" and not host.root, network = plan.network.mode ~= "none" }
  for _, row in ipairs(rows) do
    if row.state ~= "ok" and row.need and wanted[row.need] then
      out[#out + 1] = ("%s: %s"):format((row.title:gsub("^ +", "")), row.text)
    end
  end
  return out
end

--- Whether this host can run one policy: { name =, ok =, host = { sentences: what the host lacks }, version = {
-- sentences: what this version of moonbox can't read in it } }. `groups` is what core.cgroups() says.
function M.policy(name, rows, host, groups)
  local plan, diagnostics = require("moonbox.plan").load(name)
  if not plan then
    return { name = name, ok = false, host = {},
      version = { require("moonbox.policy").format(diagnostics[1]) } }
  end
  local holding = require "moonbox.holding"
  local missing = lacks(plan, rows, host)
  for _, sentence in ipairs(holding.refusals(plan, holding.levels(plan, groups))) do
    missing[#missing + 1] = sentence
  end
  return { name = name, ok = #missing == 0, host = missing, version = {} }
end

-- What the commands in the fixes call the user; nothing that a shell would read otherwise.
local function user_name(euid)
  local name = os.getenv("USER") or ""
  return name:match("^[%w_][%w_.-]*$") or tostring(euid)
end

--- Probes this host. Returns { ok =, kernel =, state =, root =, rows =, policies = }, or nil and a sentence.
function M.examine()
  local core = require "moonbox.core"
  local state, message = require("moonbox.task").root()
  if not state then return nil, message end
  local disk = require "moonbox.disk"
  local facts = core.probe.all(disk.trial(state))
  local host = { root = core.sys.euid() == 0, user = user_name(core.sys.euid()),
    executable = core.sys.executable() or "moonbox", state = state,
    images = disk.kind { storage = { kind = "disk" } } == "image" }
  local out = { ok = true, state = state, root = host.root, kernel = by_name(facts).kernel.detail,
    rows = M.rows(facts, host), policies = {} }
  local policies = require "moonbox.policies"
  local directory, why = policies.directory()
  if not directory then return nil, why end
  local groups = core.cgroups()
  for i, name in ipairs(policies.names()) do
    out.policies[i] = M.policy(name, out.rows, host, groups)
    out.ok = out.ok and out.policies[i].ok
  end
  return out
end

return M
