-- The golden posture: what proc(5) and prctl(2) say of init and of commands, compared whole, so that a field that
-- nobody thought of fails the spec (probes 27 and 28).
local box = require "support.box"
local compile = require "support.compile"
local mode = require "support.mode"

local core = require "moonbox.core"

local sys = core.sys

-- Fields of /proc/PID/status that say nothing about confinement and change from run to run.
local VARIES = { Name = true, State = true, Tgid = true, Ngid = true, Pid = true, PPid = true, FDSize = true, SigQ = true,
  Threads = true, voluntary_ctxt_switches = true, nonvoluntary_ctxt_switches = true, Kthread = true }

-- Fields of the machine: the same for everybody on it.
local OF_THE_HOST = { "THP_enabled", "untag_mask", "Speculation_Store_Bypass", "SpeculationIndirectBranch",
  "Mems_allowed", "Mems_allowed_list", "x86_Thread_features", "x86_Thread_features_locked" }

local NO_CAPS = "0000000000000000"

local function fields(text)
  local out = {}
  for name, value in text:gmatch("([%w_]+):[\t ]*([^\n]*)") do
    if not VARIES[name] and not name:match("^Vm") and not name:match("^Rss") and not name:match("^Hugetlb") then
      out[name] = value:gsub("%s+$", ""):gsub("\t", " ")
    end
  end
  return out
end

local function host_fields()
  return fields(box.read("/proc/self/status"))
end

describe("the posture", function()
  local helpers, plan

  setup(function()
    box.enter()
    helpers = compile.helpers("posture")
    plan = box.plan(function(p) table.insert(p.mounts, compile.row(helpers)) end)
  end)
  teardown(box.leave)

  -- A user namespace in which setgroups(2) is denied keeps the caller's supplementary groups: user_namespaces(7).
  local function groups_inside(list)
    if mode.name() == "root" then return "" end
    local own, out = box.shell("id -g").stdout:match("%d+"), {}
    for group in list:gmatch("%d+") do out[#out + 1] = group == own and "1000" or "65534" end
    return table.concat(out, " ")
  end

  -- The record that every process of a box must show, seen from inside.
  local function golden(change)
    local host = host_fields()
    local own = core.cgroups()
    local pinned = require("moonbox.holding").pin(plan, own) > 0
    local out = {
      Umask = "0022", TracerPid = "0", Uid = "1000 1000 1000 1000", Gid = "1000 1000 1000 1000",
      Groups = groups_inside(host.Groups), CoreDumping = "0",
      SigPnd = NO_CAPS, ShdPnd = NO_CAPS,
      SigBlk = NO_CAPS, SigIgn = NO_CAPS, SigCgt = NO_CAPS,
      CapInh = NO_CAPS, CapPrm = NO_CAPS, CapEff = NO_CAPS, CapBnd = NO_CAPS, CapAmb = NO_CAPS, NoNewPrivs = "1",
      Seccomp = "2", Seccomp_filters = tostring((tonumber(host.Seccomp_filters) or 0) + (pinned and 3 or 2)),
      Cpus_allowed = host.Cpus_allowed, Cpus_allowed_list = host.Cpus_allowed_list,
    }
    for _, name in ipairs(OF_THE_HOST) do out[name] = host[name] end
    for name, value in pairs(change or {}) do out[name] = value end
    return out
  end

  local function compare(text, want, context)
    local got = fields(text)
    for _, name in ipairs { "NStgid", "NSpid", "NSpgid", "NSsid" } do got[name] = nil end
    -- Where processors are pinned, which ones is chosen by the run.
    if require("moonbox.holding").pin(plan, core.cgroups()) > 0 then
      got.Cpus_allowed, want.Cpus_allowed, got.Cpus_allowed_list, want.Cpus_allowed_list = nil, nil, nil, nil
    end
    assert.same(want, got, context)
  end

  it("27: 28: of a command equals the record, first and late, and in every thread", function()
    local opened = box.open(plan)
    compare(opened:exec({ run = { "cat", "/proc/self/status" } }).stdout, golden(), "first")
    box.inside(opened, "cd /workspace && for i in 1 2 3; do (sleep 0.01 &); done; umask 077; ulimit -n 100")
    compare(opened:exec({ run = { "cat", "/proc/self/status" } }).stdout, golden(), "late")
    local threads, seen = opened:exec({ run = { "/opt/spec/posture", "threads" } }).stdout, 0
    for text in threads:gmatch("(.-)END\n") do
      seen = seen + 1
      -- glibc's own signals for cancelling threads and changing ids
      compare(text, golden { SigCgt = fields(text).SigCgt }, "thread")
      assert.is_true(tonumber(fields(text).SigCgt:sub(-8), 16) % 2 ^ 31 == 0)
    end
    assert.equal(4, seen)
    assert.is_true(opened:close())
  end)

  it("27: 28: control: outside, the same record differs in what matters", function()
    local got = fields(box.shell("cat /proc/self/status").stdout)
    assert.is_not.equal("2", got.Seccomp)
    assert.equal("0", got.NoNewPrivs)
    assert.is_not.equal(NO_CAPS, got.CapBnd)
  end)

  it("28: of init, for every thread, equals the record", function()
    local opened = box.open(plan)
    assert.equal(0, opened:exec({ run = { "true" } }).code)
    local pid = opened.running:pid()
    local host, seen = {}, 0
    for name in pairs { Uid = true, Gid = true } do
      host[name] = fields(box.read(("/proc/%d/status"):format(pid)))[name]
    end
    for _, name in ipairs { "Uid", "Gid" } do
      local first, rest = host[name]:match("^(%d+)( .*)$")
      assert.equal((" " .. first):rep(3), rest, name)
      if mode.name() == "root" then
        assert.is_true(tonumber(first) >= 1610612736, "an id of root's range")
      else
        assert.equal(name == "Uid" and tostring(sys.euid()) or first, first)
      end
    end
    for _, task in ipairs(sys.list(("/proc/%d/task"):format(pid))) do
      seen = seen + 1
      local text = box.read(("/proc/%d/task/%s/status"):format(pid, task))
      local blocked = fields(text).SigBlk
      assert.equal("fffffffe7ffbfeff", blocked) -- all that can be blocked
      local want = golden { Uid = host.Uid, Gid = host.Gid, SigBlk = blocked,
        Groups = mode.name() == "user" and host_fields().Groups or "" }
      compare(text, want, "init")
      assert.matches("NSpid:\t%d+\t1\n", text)
      assert.matches("NSsid:\t%d+\t1\n", text)
      assert.matches("Threads:\t1\n", text)
    end
    assert.equal(1, seen)
    assert.is_true(opened:close())
  end)

  it("28: of init's descriptors: /dev/null three times, its socket, its signals", function()
    mode.need("root", "init hides its descriptors from its own user")
    local opened = box.open(plan)
    assert.equal(0, opened:exec({ run = { "true" } }).code)
    local pid, kinds = opened.running:pid(), {}
    for _, fd in ipairs(sys.list(("/proc/%d/fd"):format(pid))) do
      kinds[tonumber(fd)] = sys.readlink(("/proc/%d/fd/%s"):format(pid, fd)):gsub("%[%d+%]", "")
    end
    assert.same({ [0] = "/dev/null", "/dev/null", "/dev/null", "socket:", "anon_inode:[signalfd]" }, kinds)
    assert.equal("", (box.read(("/proc/%d/environ"):format(pid)) or ""):gsub("%z", ""))
    assert.is_true(opened:close())
  end)

  it("28: init hides from its own user", function()
    mode.need("user", "root looks into everything")
    local opened = box.open(plan)
    local pid = opened.running:pid()
    for _, name in ipairs { "environ", "mem", "maps", "auxv" } do
      assert.is_nil(box.read(("/proc/%d/%s"):format(pid, name)))
    end
    assert.is_nil(sys.list(("/proc/%d/fd"):format(pid)))
    assert.is_true(opened:close())
  end)

  it("27: of a command beyond proc(5) equals the record", function()
    local want = { securebits = "239", dumpable = "1", keepcaps = "0", subreaper = "0", pdeathsig = "0",
      timerslack = "50000", personality = "0", policy = "0", priority = "0", nice = "0", ioprio = "0", leader = "1",
      terminal = "0", root = mode.name() == "root" and "nobody's" or "own", fd0 = "device", fd1 = "pipe", fd2 = "pipe", more = "0" }
    local opened = box.open(plan)
    for _ = 1, 2 do
      assert.same(want, box.answers(opened:exec({ run = { "/opt/spec/posture" } }).stdout))
    end
    assert.is_true(opened:close())
  end)

  it("27: ids, groups, limits, score, groups of control, environment", function()
    local hard = tonumber(box.shell("ulimit -Hn").stdout)
    local files = math.min(65536, hard or 65536)
    local opened = box.open(plan)
    local text = box.inside(opened, [[for f in uid_map gid_map setgroups oom_score_adj sessionid loginuid; do
      echo "$f $(cat /proc/self/$f | tr -s ' ' | sed 's/^ //')"; done; env | sort | tr '\n' '|'; echo
      cut -d: -f3 /proc/self/cgroup | sort -u; cat /proc/sys/kernel/hostname; hostname; cat /proc/self/cpuset 2>/dev/null
      grep -e core -e processes -e 'open files' -e locked -e msgqueue -e nice -e 'realtime priority' /proc/self/limits]])
      .stdout
    assert.matches("^uid_map 1000 1000 1\ngid_map 1000 1000 1\nsetgroups deny\noom_score_adj (%d+)\n", text)
    assert.is_true(tonumber(text:match("oom_score_adj (%d+)")) >= 200)
    assert.matches("\nHOME=/home/agent|LANG=C.UTF%-8|LOGNAME=agent|PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin|"
      .. "PWD=/workspace|SHELL=/bin/sh|TMPDIR=/tmp|USER=agent|\n/\nmoonbox\n", text)
    for name, value in pairs { ["core file size"] = 0, processes = 512, ["open files"] = files,
      ["locked memory"] = 65536, ["msgqueue size"] = 819200, ["nice priority"] = 0, ["realtime priority"] = 0 } do
      assert.matches(("Max %s%%s+%d%%s+%d%%s"):format(name, value, value), text)
    end
    assert.is_true(opened:close())
  end)

  it("27: every namespace is the box's own", function()
    local result = box.sh("for n in user mnt pid net ipc uts cgroup; do echo $n $(readlink /proc/self/ns/$n); done")
    local seen = 0
    for name, link in result.stdout:gmatch("(%a+) (%S+)") do
      seen = seen + 1
      assert.is_not.equal(sys.readlink("/proc/self/ns/" .. name), link)
    end
    assert.equal(7, seen)
  end)

  local FIXED = {
    ["/"] = "ro,nosuid,nodev", ["/proc"] = "rw,nosuid,nodev,noexec", ["/dev/pts"] = "rw,nosuid,noexec",
    ["/dev/null"] = "rw", ["/dev/zero"] = "rw", ["/dev/full"] = "rw", ["/dev/random"] = "rw", ["/dev/urandom"] = "rw",
    ["/dev/tty"] = "rw", ["/workspace"] = "rw,nosuid,nodev", ["/home/agent"] = "rw,nosuid,nodev",
    ["/tmp"] = "rw,nosuid,nodev", ["/dev/shm"] = "rw,nosuid,nodev",
  }

  -- Where each mount of the plan must be and with which flags; a bind's and a mask's only where the host has it.
  local function expected()
    local required, possible = {}, {}
    for target, flags in pairs(FIXED) do required[target] = flags end
    for _, row in ipairs(plan.mounts) do
      if row.kind == "bind" then
        if sys.stat(row.source) then required[row.target] = "ro,nosuid,nodev" end
      elseif row.kind == "mask" or row.kind == "read_only" then
        possible[row.target] = "ro,nosuid,nodev,noexec"
      end
    end
    return required, possible
  end

  it("27: the list of mounts equals the plan's, each with its flags, none shared with the host", function()
    local required, possible = expected()
    local outcome = box.once(plan, { "cat", "/proc/self/mountinfo" })
    local seen = {}
    for line in outcome.stdout:gmatch("[^\n]+") do
      local target, flags, optional = line:match("^%d+ %d+ %S+ %S+ (%S+) (%S+)(.-) %- ")
      flags = flags:gsub(",relatime", ""):gsub(",noatime", ""):gsub(",nodiratime", "")
        :gsub(",idmapped", "")
      assert.equal("", optional, target .. " has propagation")
      assert.is_nil(seen[target], target .. " is mounted twice")
      seen[target] = flags
      local want = required[target] or possible[target]
      -- what the host has mounted below a bind comes along with it, as restricted
      for bound, its in pairs(required) do
        if not want and bound ~= "/" and target:sub(1, #bound + 1) == bound .. "/" then want = its end
      end
      assert.equal(want, flags, target)
    end
    for target in pairs(required) do assert.is_truthy(seen[target], target .. " is not mounted") end
    assert.is_truthy(seen["/proc/sys"])
  end)
end)
