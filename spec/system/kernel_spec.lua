-- The system calls that a box can reach, and what /proc and the control groups let it change (probes 39 to 47, 52, 53).
local box = require "support.box"
local compile = require "support.compile"
local mode = require "support.mode"
local syscalls = require "support.syscalls"

local core = require "moonbox.core"

-- Root of a user namespace, with the other namespaces of its own: all calls, and nothing of the machine in reach.
local CONTROL = "unshare --user --map-root-user --mount --pid --fork --net --ipc --uts --cgroup "

describe("the kernel", function()
  local helpers, show

  setup(function()
    box.enter()
    helpers = compile.helpers("trysyscall", "kernel", "files")
    show = compile.option(helpers)
  end)
  teardown(box.leave)

  local function try(...)
    return box.exec({ show }, { "/opt/spec/trysyscall", ... }).stdout:gsub("%s+$", "")
  end

  local function kernel(action, control)
    if control then return box.answers(box.shell(CONTROL .. helpers .. "/kernel " .. action).stdout) end
    return box.answers(box.exec({ show }, { "/opt/spec/kernel", action }).stdout)
  end

  local function each(answers, prefix, want)
    local seen = 0
    for name, answer in pairs(answers) do
      if name:sub(1, #prefix) == prefix then
        seen = seen + 1
        assert.equal(want, answer, name)
      end
    end
    assert.is_true(seen > 0, "no answer for " .. prefix)
  end

  it("39: answers each call from 0 to 600 as the table says, in both profiles", function()
    local control = syscalls.parse(box.shell(CONTROL .. helpers .. "/trysyscall").stdout)
    for _, profile in ipairs { "default", "strict" } do
      local plan = box.plan(function(p)
        table.insert(p.mounts, compile.row(helpers))
        p.process.syscalls = profile
      end)
      local outcome = box.once(plan, { "/opt/spec/trysyscall" })
      assert.equal(0, outcome.code)
      local wrong = syscalls.differences(syscalls.parse(outcome.stdout), core.seccomp.table(profile), control)
      assert.same({}, wrong)
    end
  end)

  it("39: control: without the filter calls that it denies get further", function()
    local control = syscalls.parse(box.shell(CONTROL .. helpers .. "/trysyscall").stdout)
    local further = 0
    for number, action in pairs(core.seccomp.table("default")) do
      if (action == "EPERM" or action == "ENOSYS") and control[number] ~= action then further = further + 1 end
    end
    assert.is_true(further > 30, further .. " calls differ")
  end)

  it("40: ends whoever calls by another architecture's way", function()
    assert.equal("signal:SYS", try "int80")
    for _, number in ipairs { 0, 1, 39, 41, 57, 165 } do
      local answer = try(tostring(number + 0x40000000))
      assert.is_true(answer == "signal:SYS" or answer == "ENOSYS", number .. " " .. answer)
    end
    assert.equal("ENOSYS", try "4294967295")
  end)

  it("40: runs no 32-bit program", function()
    local built = pcall(compile.helpers, "elf32")
    if not built then return pending("this compiler makes no 32-bit programs") end
    local code = box.exec({ show }, { "/opt/spec/elf32" }).code
    assert.is_true(code == 159 or code == 126, "ended with " .. code)
    local control = box.shell(helpers .. "/elf32").code
    if control ~= 0 then pending("this kernel runs no 32-bit programs: " .. control) end
  end)

  it("41: judges arguments by their 32 bits, whatever stands above them", function()
    for _, value in ipairs { "0", "0x20000", "0x40000", "0xffffffff" } do assert.equal("ok", try("135", value)) end
    for _, value in ipairs { "0x400000", "0x1000000", "0x100000000400000", "0x200000000400000" } do
      assert.equal("EPERM", try("135", value), value)
    end
    -- socket: a denied family with high bits, and an allowed one
    assert.equal("EAFNOSUPPORT", try("41", "38", "5", "0"))
    assert.equal("EAFNOSUPPORT", try("41", "0x100000026", "5", "0"))
    assert.equal("EAFNOSUPPORT", try("41", "17", "3", "0"))
    assert.equal("ok", try("41", "1", "1", "0"))
    -- clone: a namespace with high bits
    assert.equal("EPERM", try("56", "0x10000000"))
    assert.equal("EPERM", try("56", "0xff00000010000000"))
    -- ioctl TIOCSTI
    assert.equal("EPERM", try("16", "0", "0x5412", "0"))
    assert.equal("EPERM", try("16", "0", "0xffffffff00005412", "0"))
  end)

  it("42: makes and enters no namespace", function()
    local answers = kernel "namespaces"
    each(answers, "unshare", "EPERM")
    each(answers, "clone:", "EPERM")
    each(answers, "clone-", "EPERM")
    each(answers, "setns:", "EPERM")
    assert.equal("ENOSYS", answers.clone3)
    assert.equal("ENOSYS", answers["clone3:user"])
    local control = kernel("namespaces", true)
    assert.equal("ok", control["unshare:user"])
    assert.equal("ok", control["clone:mnt"])
  end)

  it("42: starts threads and processes in every ordinary way", function()
    each(kernel "threads", "", "ok")
  end)

  it("42: 45: runs node, its threads and its child processes", function()
    mode.need("node", "no node on this machine")
    local result = box.exec({}, { "node", "-e", [[
      const { Worker } = require("worker_threads"); const { execSync } = require("child_process");
      new Worker("require('worker_threads').parentPort.postMessage(1)", { eval: true })
        .on("message", () => console.log("worker", execSync("echo child").toString().trim()));]] })
    assert.same({ 0, "worker child\n" }, { result.code, result.stdout }, result.stderr)
  end)

  it("42: 45: runs a Java machine", function()
    mode.need("java", "no java on this machine")
    local plan = box.plan(function(p)
      for _, row in ipairs(box.plan(nil, "codex").mounts) do
        if row.kind == "bind" and row.source:match("^/etc/java") then table.insert(p.mounts, row) end
      end
    end)
    local outcome = box.once(plan, { "java", "-XX:+UseSerialGC", "-Xmx64m", "-version" })
    assert.equal(0, outcome.code, outcome.stderr)
  end)

  it("43: mounts nothing, by the old calls or the new", function()
    for number, want in pairs { [165] = "EPERM", [166] = "EPERM", [155] = "EPERM", [161] = "EPERM", [428] = "ENOSYS",
      [429] = "ENOSYS", [430] = "ENOSYS", [431] = "ENOSYS", [432] = "ENOSYS", [433] = "ENOSYS", [442] = "ENOSYS",
      [467] = "ENOSYS" } do
      assert.equal(want, try(tostring(number)), "call " .. number)
    end
  end)

  it("44: has no keyrings", function()
    each(kernel "keys", "", "EPERM")
    local control = kernel("keys", true)
    assert.equal("ok", control.add_key)
    assert.equal("ok", control["describe:-3"])
  end)

  it("45: io_uring is not there; userfaultfd, bpf and perf_event_open are refused", function()
    for number, want in pairs { [425] = "ENOSYS", [426] = "ENOSYS", [427] = "ENOSYS", [323] = "EPERM", [321] = "EPERM",
      [298] = "EPERM" } do
      assert.equal(want, try(tostring(number)), "call " .. number)
    end
    local control = box.shell(CONTROL .. helpers .. "/trysyscall 425 1 0").stdout
    assert.equal("EFAULT\n", control)
  end)

  it("46: administers nothing of the kernel", function()
    local calls = { kexec_load = 246, kexec_file_load = 320, init_module = 175, finit_module = 313, delete_module = 176,
      reboot = 169, swapon = 167, swapoff = 168, acct = 163, quotactl = 179, quotactl_fd = 443, clock_settime = 227,
      settimeofday = 164, adjtimex = 159, clock_adjtime = 305, iopl = 172, ioperm = 173, syslog = 103, vhangup = 153,
      nfsservctl = 180, lookup_dcookie = 212, sethostname = 170, setdomainname = 171 }
    for name, number in pairs(calls) do
      local answer = try(tostring(number))
      assert.is_true(answer == "EPERM" or (answer == "ENOSYS" and name == "nfsservctl"), name .. " " .. answer)
    end
  end)

  it("47: gives sockets of UNIX, INET, INET6 and route netlink, and of no other family", function()
    local ALLOWED = { ["1"] = true, ["2"] = true, ["10"] = true, ["16"] = true }
    local PROTOCOL = { ["0"] = true, ["6"] = true, ["17"] = true }
    local function judge(answers)
      for name, answer in pairs(answers) do
        local family, _, protocol = name:match("^(%d+):(%d+):(%d+)$")
        if answer == "ok" then
          assert.is_true(ALLOWED[family] ~= nil, name .. " was given")
          assert.is_true(PROTOCOL[protocol] ~= nil or family == "1", name .. " was given")
          if family == "16" then assert.equal("0", protocol) end
        elseif not ALLOWED[family] then
          assert.equal("EAFNOSUPPORT", answer, name)
        end
      end
    end
    local answers = kernel "sockets"
    judge(answers)
    for _, name in ipairs { "1:1:0", "2:1:0", "2:2:0", "10:1:6", "10:2:17", "16:3:0" } do
      assert.equal("ok", answers[name], name)
    end
    judge(kernel "socketpairs")
    local control = kernel("sockets", true)
    local more = 0
    for name, answer in pairs(control) do
      if answer == "ok" and answers[name] ~= "ok" then more = more + 1 end
    end
    assert.is_true(more > 3, "control: no more sockets without the filter")
  end)

  it("47: sets no upper protocol on a socket, and what is ordinary", function()
    local answers = kernel "ulp"
    assert.is_true(answers.ulp ~= "ok" and answers["ulp-high"] ~= "ok")
    assert.equal("EPERM", answers.ulp)
    assert.equal("EPERM", answers["ulp-high"])
    assert.equal("ok", answers.nodelay)
  end)

  it("52: changes no file of /proc/sys, also with capabilities of the box's own namespace", function()
    local script = [[for f in $(find /proc/sys -type f 2>/dev/null); do
        v=$(cat $f 2>/dev/null | head -c 64); (printf '%s' "$v" > $f) 2>/dev/null && echo "wrote $f"; done
      for f in /sys/kernel/uevent_helper /proc/sys/fs/binfmt_misc/register /proc/sys/kernel/core_pattern \
          /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /proc/sys/net/ipv4/ip_forward; do
        (echo x > $f) 2>/dev/null && echo "wrote $f"; done
      chmod 777 /proc/sys/kernel/core_pattern 2>/dev/null && echo chmod; true]]
    local weak = box.plan(function(p) p.process.capabilities = { "net_admin", "sys_admin", "sys_ptrace", "dac_override" } end)
    for _, plan in ipairs { box.plan(), weak } do
      local outcome = box.once(plan, { "sh", "-c", script })
      assert.equal("", outcome.stdout)
    end
    local control = box.shell("unshare --user --map-root-user --net sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward && echo wrote'")
    assert.equal("wrote\n", control.stdout)
  end)

  it("53: sees no control group it could change", function()
    local result = box.sh([[find / -xdev \( -name cgroup.procs -o -name release_agent -o -name notify_on_release \
        -o -name devices.allow -o -name memory.max \) 2>/dev/null
      [ -e /sys/fs/cgroup ] && echo there; grep cgroup /proc/self/mountinfo
      for t in cgroup cgroup2; do mount -t $t none /workspace 2>/dev/null && echo "mounted $t"; done
      grep -v ':/$' /proc/self/cgroup | grep -v ':/[^.]*$'; true]])
    assert.equal("", result.stdout)
    local control = box.shell("ls -d /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs 2>/dev/null")
    assert.is_true(#control.stdout > 0, "control: the host has no control groups either")
  end)
end)
