-- doctor: each thing that a host may lack gives a row with the exact fix, and decides which policies can run.
local doctor = require "moonbox.doctor"
local report = require "moonbox.cli.doctor"
local json = require "moonbox.json"

local GOOD = {
  user_namespace = "made and used", mount_namespace = "made and used", network_namespace = "made",
  other_namespaces = "made", proc = "mounted", mount_api = "works", seccomp = "installed", clone3 = "works",
  pidfd = "works", openat2 = "works", close_range = "works", confined = "no filter", overlay = "works",
  user_xattr = "works", overlay_tmpfs = "works", idmapped_mount = "works", id_range = "65536", subuid = "65536 ids",
  subgid = "65536 ids", newuidmap = "/usr/bin/newuidmap", newgidmap = "/usr/bin/newgidmap",
  ["cgroup.version"] = "version 2", ["cgroup.cpu"] = "version 2", ["cgroup.memory"] = "version 2",
  ["cgroup.pids"] = "version 2", ["cgroup.io"] = "version 2", ["cgroup.kill"] = "yes", memory_peak = "yes", landlock = "version 4",
  nftables = "works", nft_tproxy = "works", nft_log = "works", nft_queue = "works",
  capture = "exact", git = "/usr/bin/git", fuse = "opens", kvm = "runs", loop = "opened",
}

local USER = { root = false, user = "sam", executable = "/opt/moonbox",
  state = "/home/sam/.local/state/moonbox" }
local ROOT = { root = true, user = "root", executable = "/opt/moonbox", state = "/var/lib/moonbox" }

-- `broken` maps names to { detail, code } for what fails, or to a text for what works and says that.
local function facts(broken)
  local out = {}
  for name, detail in pairs(GOOD) do
    if not broken[name] then out[#out + 1] = { name = name, ok = true, detail = detail } end
  end
  for name, what in pairs(broken) do
    if type(what) == "string" then
      out[#out + 1] = { name = name, ok = true, detail = what }
    else
      out[#out + 1] = { name = name, ok = false, detail = what[1], code = what[2] }
    end
  end
  return out
end

local function row(name, broken, host)
  for _, found in ipairs(doctor.rows(facts(broken), host or USER)) do
    if found.name == name then return found end
  end
end

local NO_USERNS = { "make a user namespace", "EPERM" }
local NO_MOUNT = { "mount a tmpfs in a user namespace", "EPERM" }
local NO_GROUP = { "no control group" }

-- { name, what is broken, state, host, now, lasting }: the last two are texts that the fix must contain.
local CASES = {
  { "user_namespace", { user_namespace = NO_USERNS, ["sysctl.unprivileged_userns_clone"] = "0" }, "missing",
    USER,
    "sudo sysctl -w kernel.unprivileged_userns_clone=1", "/etc/sysctl.d/60-moonbox.conf" },
  { "user_namespace", { user_namespace = NO_USERNS, ["sysctl.max_user_namespaces"] = "0" }, "missing", ROOT,
    "sudo sysctl -w user.max_user_namespaces=15000", "/etc/sysctl.d/60-moonbox.conf" },
  { "user_namespace", { user_namespace = { "make a user namespace", "ENOSPC" } }, "missing", USER,
    "user.max_user_namespaces=15000" },
  { "user_namespace", { user_namespace = { "make a user namespace", "EINVAL" } }, "missing", USER,
    "CONFIG_USER_NS" },
  { "user_namespace", { user_namespace = NO_USERNS, confined = { "filtered" } }, "missing", USER,
    "--security-opt seccomp=unconfined", "compose" },
  { "user_namespace", { user_namespace = NO_USERNS }, "missing", ROOT, "outside of the container" },
  { "mount_namespace", { mount_namespace = NO_MOUNT, ["sysctl.apparmor_restrict_unprivileged_userns"] = "1" },
    "missing", USER, "kernel.apparmor_restrict_unprivileged_userns=0", "profile moonbox /opt/moonbox" },
  { "network_namespace", { network_namespace = { "make", "ENOSYS" } }, "missing", USER, "CONFIG_USER_NS" },
  { "other_namespaces", { other_namespaces = { "make", "EINVAL" } }, "missing", USER, "other namespaces" },
  { "proc", { proc = { "mount /proc", "EPERM" } }, "missing", USER, "systempaths=unconfined", "compose" },
  { "proc", { proc = NO_USERNS, mount_namespace = NO_USERNS, ["sysctl.unprivileged_userns_clone"] = "0" },
    "missing",
    USER, "unprivileged_userns_clone=1" },
  { "mount_api", { mount_api = { "fsopen", "ENOSYS" } }, "missing", USER, "Linux 5.12" },
  { "clone3", { clone3 = { "clone3", "ENOSYS" }, confined = { "filtered" } }, "missing", USER,
    "--security-opt" },
  { "pidfd", { pidfd = { "pidfd_open", "ENOSYS" } }, "missing", USER, "Linux 5.12" },
  { "openat2", { openat2 = { "openat2", "ENOSYS" } }, "missing", USER, "Linux 5.12" },
  { "close_range", { close_range = { "close_range", "ENOSYS" } }, "missing", USER, "Linux 5.12" },
  { "seccomp", { seccomp = { "filter", "EINVAL" } }, "missing", USER, "CONFIG_SECCOMP_FILTER" },
  { "overlay", { overlay = { "mount an overlay", "ENODEV" } }, "missing", USER, "sudo modprobe overlay",
    "/etc/modules-load.d/overlay.conf" },
  { "overlay", { overlay = { "mount an overlay", "EPERM" }, overlay_tmpfs = { "mount an overlay", "EPERM" } },
    "missing", USER, "Linux 5.11" },
  { "overlay", { overlay = { "delete on an overlay", "EIO" } }, "missing", USER, "MOONBOX_STATE=",
    "~/.profile" },
  { "overlay", { overlay = { "make a folder in /mnt", "EROFS" } }, "missing", USER, "MOONBOX_STATE=" },
  { "user_xattr", { user_xattr = { "set", "EOPNOTSUPP" } }, "note", USER, "MOONBOX_STATE=" },
  { "overlay_tmpfs", { overlay_tmpfs = { "delete", "EIO" } }, "note", USER },
  { "idmapped_mount", { idmapped_mount = { "idmap", "EINVAL" } }, "note", ROOT },
  { "id_range", { id_range = { "map 65536 ids", "EPERM" } }, "missing", ROOT, "CAP_SETUID" },
  { "subuid", { subuid = { "no range" } }, "note", USER, "usermod --add-subuids 100000-165535 " },
  { "subgid", { subgid = { "no range" } }, "note", USER, "--add-subgids 100000-165535 sam" },
  { "newuidmap", { newuidmap = { "no newuidmap in PATH", "ENOENT" } }, "note", USER,
    "apt-get install uidmap" },
  { "newgidmap", { newgidmap = { "/usr/bin/newgidmap is neither setuid", "EPERM" } }, "note", USER,
    "chmod u+s /usr/bin/newgidmap", "reinstall uidmap" },
  { "cgroup.version", { ["cgroup.version"] = { "no control groups" } }, "note", ROOT, "cgroup", "unified" },
  { "cgroup.cpu", { ["cgroup.cpu"] = NO_GROUP }, "note", USER, "systemd-run --user --scope -p Delegate=yes",
    "user@.service.d/delegate.conf" },
  { "cgroup.memory", { ["cgroup.memory"] = NO_GROUP, ["cgroup.version"] = "version 1" }, "note", USER,
    "mkdir -p /sys/fs/cgroup/$c/moonbox && sudo chown -R sam", "unified_cgroup_hierarchy=1" },
  { "cgroup.pids", { ["cgroup.pids"] = NO_GROUP }, "note", ROOT, "/sys/fs/cgroup:rw" },
  { "cgroup.io", { ["cgroup.io"] = NO_GROUP }, "note", USER, "Delegate=yes", "Delegate=cpu cpuset io memory pids" },
  { "loop", { loop = { "try a disk image in /mnt: ext4: create", "EIO" } }, "note", ROOT, "MOONBOX_STATE=" },
  { "cgroup.kill", { ["cgroup.kill"] = { "no cgroup.kill", "ENOENT" } }, "note", USER },
  { "memory_peak", { memory_peak = { "no memory.peak", "ENOENT" } }, "note", USER },
  { "landlock", { landlock = { "landlock", "EOPNOTSUPP" } }, "note", USER, "Linux 5.13", "lsm=" },
  { "nftables", { nftables = { "add", "EOPNOTSUPP" } }, "note", USER, "modprobe -a nf_tables",
    "modules-load.d" },
  { "nftables", { nftables = NO_USERNS, network_namespace = NO_USERNS, ["sysctl.max_user_namespaces"] = "0" },
    "note", USER, "user.max_user_namespaces=15000" },
  { "nft_tproxy", { nft_tproxy = { "add", "ENOENT" } }, "note", USER, "sudo modprobe -a nft_tproxy",
    "printf '%s\\n' nft_tproxy | sudo tee -a /etc/modules-load.d/moonbox.conf" },
  { "nft_log", { nft_log = { "add", "ENOENT" } }, "note", USER, "modprobe -a nft_log nfnetlink_log" },
  { "nft_queue", { nft_queue = { "add", "ENOENT" } }, "note", ROOT, "modprobe -a nft_queue nfnetlink_queue" },
  { "capture", { capture = { "can't listen for logged packets (kernel module nfnetlink_log)", "EINVAL" } }, "note",
    USER, "sudo modprobe -a nfnetlink_log" },
  { "capture", { capture = { "can't add a rule (kernel modules nft_log, nft_reject_inet)", "ENOENT" } }, "note",
    USER, "sudo modprobe -a nft_log nft_reject_inet" },
  { "capture", { capture = { "IPv6 is switched off in the kernel; boot without ipv6.disable=1", "EAFNOSUPPORT" } },
    "note", USER, "without ipv6.disable=1" },
  { "capture", { capture = { "add an nftables table", "EOPNOTSUPP" } }, "note", ROOT, "CONFIG_NF_TABLES_INET" },
  { "capture", { capture = NO_USERNS, network_namespace = NO_USERNS, confined = { "filtered" } }, "note", USER,
    "--security-opt" },
  { "git", { git = { "no git in PATH", "ENOENT" } }, "missing", USER, "apt-get install git" },
  { "fuse", { fuse = { "open /dev/fuse", "ENOENT" } }, "note", USER, "modprobe fuse" },
  { "kvm", { kvm = { "open /dev/kvm", "EACCES" } }, "note", USER, "--groups kvm" },
  { "kvm", { kvm = { "/dev/kvm is there, and emulates: 2.3" } }, "note", USER },
  { "loop", { loop = { "open", "EACCES" } }, "note", USER },
  { "loop", { loop = { "open", "ENOENT" } }, "note", ROOT, "modprobe loop", "modules-load.d" },
  { "confined", { confined = { "a filter" } }, "note", USER },
}

local function contains(text, part)
  assert(text and (text:find(part, 1, true)), ("%s lacks %s"):format(tostring(text), part))
end

describe("doctor's rows", function()
  for _, case in ipairs(CASES) do
    local name, broken, state, host, now, lasting = unpack(case, 1, 6)
    it(("say how to get %s (%s)"):format(name, now or "a reason"), function()
      local found = row(name, broken, host)
      assert.equal(state, found.state)
      assert.is_string(found.why)
      if now then contains(found.now, now) end
      if lasting then contains(found.lasting, lasting) end
    end)
  end

  it("name no group that would not limit disks", function()
    local found = row("cgroup.io", { ["cgroup.io"] = NO_GROUP, ["cgroup.version"] = "version 1" }, USER)
    assert.is_nil(found.now)
    contains(found.lasting, "unified_cgroup_hierarchy=1")
  end)

  it("have a case here for everything that can be missing", function()
    local tested = {}
    for _, case in ipairs(CASES) do tested[case[1]] = true end
    for _, host in ipairs { USER, ROOT } do
      for _, found in ipairs(doctor.rows(facts {}, host)) do assert(tested[found.name], found.name) end
    end
  end)

  it("are all ok on a good host, and leave out what root doesn't need", function()
    local mine, roots = doctor.rows(facts {}, USER), doctor.rows(facts {}, ROOT)
    for _, found in ipairs(mine) do assert.equal("ok", found.state) end
    assert.equal(#mine - 4 + 1, #roots)
  end)
end)

describe("doctor's word on a policy", function()
  local function lacks(name, broken)
    local rows = doctor.rows(facts(broken), ROOT)
    local groups = {}
    for _, controller in ipairs { "cpu", "memory", "pids" } do groups[controller] = { version = 2 } end
    return table.concat(doctor.policy(name, rows, ROOT, groups).host, "\n")
  end

  it("refuses those with a network where it can't be captured, and no others", function()
    local broken = { capture = { "add a tproxy rule", "ENOENT" } }
    assert.equal("network gateway: add a tproxy rule: ENOENT", lacks("codex", broken))
    assert.equal("", lacks("offline", broken))
    assert.equal("", lacks("codex", {}))
    assert.equal("", lacks("codex", { nft_queue = { "add", "ENOENT" } }))
  end)
end)

describe("doctor's text", function()
  local sample = { ok = false, kernel = "Linux 6.1", root = false, state = "/s", rows = nil, policies = {
    { name = "one", ok = true, host = {}, version = {} },
    { name = "two", ok = false, host = { "git: none" }, version = { "x.lua:1: later" } } } }

  it("is aligned, says a fix once, and has no colour unless asked", function()
    sample.rows = doctor.rows(facts { ["cgroup.cpu"] = NO_GROUP, ["cgroup.memory"] = NO_GROUP }, USER)
    local text = report.text(sample, false)
    assert.is_nil(text:find("\27", 1, true))
    assert.equal(1, select(2, text:gsub("systemd%-run", "")))
    contains(text, "as above")
    contains(text, "  can run     one\n  cannot run  two\n")
    contains(text, "this host: git: none")
    contains(text, "this version: x.lua:1: later")
    assert.is_truthy(report.text(sample, true):find("\27[33mnote", 1, true))
  end)
end)

local function run(command)
  local pipe = io.popen(command .. ' 2>/dev/null; echo "code $?"')
  local text, code = pipe:read("*a"):match("^(.*)code (%d+)\n$")
  pipe:close()
  return text, tonumber(code)
end

-- The report of the built program, by `prefix` as another user.
local function live(prefix, state)
  -- By its full path: a program below a directory that is closed to that user could not find its policies.
  local text, code = run(('%s env MOONBOX_STATE=%s "$PWD/build/moonbox" doctor --json'):format(prefix, state))
  if code == 126 or code == 127 then return nil end
  local found, names = json.decode(text), {}
  for _, entry in ipairs(found.rows) do names[entry.name] = entry end
  return found, names, code
end

local function check_live(prefix)
  local state = run("d=$(mktemp -d) && chmod 0777 $d && echo $d"):match("%S+")
  local found, names, code = live(prefix, state)
  if not found then
    run("rmdir " .. state)
    return pending("another user can't run build/moonbox here")
  end
  local left = run("ls -A " .. state)
  run("rmdir " .. state)
  assert.equal("", left)
  assert.equal(found.ok and 0 or 69, code)
  assert.is_true(#found.policies >= 3)
  for _, policy in ipairs(found.policies) do
    assert.equal(policy.ok, #policy.host == 0)
  end
  for _, entry in pairs(names) do
    if entry.state ~= "ok" then assert.is_string(entry.why, entry.name) end
  end
  return found, names
end

describe("doctor on this host", function()
  it("probes as the caller, in bounded time, and leaves nothing", function()
    local before = os.time()
    check_live("")
    assert.is_true(os.time() - before < 30)
  end)

  -- As a rootless container's root has few ids, and another's root few capabilities.
  it("says what root lacks where its sandboxes are refused", function()
    local exec = 'env MOONBOX_STATE=$d build/moonbox exec --policy offline -- true 2>/dev/null; echo $?; rm -rf $d'
    local less = {}
    if select(2, run "unshare -Ur true") == 0 then less[1] = "unshare -Ur" end
    if run("id -u") == "0\n" then less[#less + 1] = "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin" end
    for _, prefix in ipairs(less) do
      local found, names = check_live(prefix)
      assert.equal("missing", names.id_range.state)
      assert.is_false(found.ok)
      assert.equal("125\n", (run("d=$(mktemp -d); " .. prefix .. " " .. exec)))
    end
    if run("id -u") == "0\n" then assert.equal("ok", select(2, check_live("")).id_range.state) end -- control
  end)

  it("probes as an ordinary user too", function()
    if run("id -u") ~= "0\n" then return pending("the caller is an ordinary user already") end
    local found = check_live("setpriv --reuid=65534 --regid=65534 --clear-groups")
    if found then assert.is_false(found.root) end
  end)
end)
