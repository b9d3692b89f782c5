-- What a process in a box can do to other processes, inside and outside (probes 23 to 26, 29, 31).
local box = require "support.box"
local canaries = require "support.canary"
local compile = require "support.compile"
local mode = require "support.mode"

local core = require "moonbox.core"

local sys = core.sys

describe("processes", function()
  local helpers, show, canary

  setup(function()
    box.enter()
    helpers = compile.helpers("process", "ids", "trysyscall", "tenant")
    show = compile.option(helpers)
  end)
  teardown(box.leave)
  before_each(function() canary = canaries.plant() end)
  after_each(function()
    local wrong = canary:check()
    canary:remove()
    assert.same({}, wrong)
  end)

  local function open(change, policy)
    return box.open(box.plan(function(plan)
      table.insert(plan.mounts, compile.row(helpers))
      if change then change(plan) end
    end, policy))
  end

  -- A mark in the environment of a box's processes, by which the host finds them.
  local mark = "mark" .. sys.random_hex(6)

  local function count_daemons()
    local count = 0
    for _, name in ipairs(sys.list("/proc")) do
      local environment = name:match("^%d+$") and box.read("/proc/" .. name .. "/environ") or ""
      if environment:find("MOONBOX_SPEC_MARK=" .. mark, 1, true) then count = count + 1 end
    end
    return count
  end

  describe("outside (probe 23)", function()
    it("23: can't be signalled, opened or traced by any pid", function()
      local pid = canary:process()
      local last = math.max(pid + 2000, 40000)
      local result = box.exec({ show }, { "/opt/spec/process", "range", "1", tostring(last) })
      assert.equal(0, result.code)
      local reached = {}
      for found in result.stdout:gmatch("reached (%d+)") do reached[#reached + 1] = tonumber(found) end
      for _, found in ipairs(reached) do assert.is_true(found < 10, "reached pid " .. found) end
      local control = box.shell(("%s/process range %d %d"):format(helpers, pid, pid))
      assert.equal(("reached %d\ncount 1\n"):format(pid), control.stdout)
    end)

    it("23: are no targets of anything else either", function()
      local pid = canary:process()
      local answers = box.answers(box.exec({ show }, { "/opt/spec/process", "target", tostring(pid) }).stdout)
      assert.equal("ESRCH", answers.kill)
      for name, answer in pairs(answers) do assert.is_not.equal("ok", answer, name) end
      local control = box.answers(box.shell(("%s/process target %d"):format(helpers, pid)).stdout)
      assert.equal("ok", control.kill)
      assert.equal("ok", control["open:fd"])
      assert.equal("ok", control["ptrace-seize"])
    end)

    it("23: outlive kill(-1, SIGKILL), which ends all of the box but process 1", function()
      canary:process()
      local opened = open()
      local outcome = box.inside(opened, "sleep 300 & sleep 300 & exec /opt/spec/process killall")
      assert.equal(0, outcome.code) -- kill(2): the caller itself is left out
      local left = box.inside(opened, "for p in /proc/[0-9]*; do cat $p/comm; done | grep -c sleep").stdout
      assert.equal("0\n", left)
      assert.is_true(opened:close())
    end)
  end)

  describe("init (probe 24)", function()
    local OPEN_TO_ALL = { kill = true, tgkill = true, pidfd_open = true, pidfd_signal = true }

    it("24: can't be looked into, traced or entered by a command, at first and later", function()
      local opened = open()
      for _ = 1, 3 do
        local answers = box.answers(opened:exec({ run = { "/opt/spec/process", "target", "1" } }).stdout)
        for name, answer in pairs(answers) do
          if not OPEN_TO_ALL[name] then
            -- Directories of /proc may be opened by all and list nothing; what they name may not.
            local listing = name == "open:fdinfo" or name == "open:map_files"
            if not listing then assert.is_not.equal("ok", answer, name) end
          end
        end
      end
      local listed = box.inside(opened, "ls -A /proc/1/fd /proc/1/fdinfo /proc/1/map_files /proc/1/cwd/ /proc/1/root/ "
        .. "2>/dev/null; cat /proc/1/environ /proc/1/cmdline /proc/1/maps /proc/1/auxv /proc/1/mem 2>/dev/null | head -c 100")
      assert.is_nil(listed.stdout:match("%d"))
      assert.is_nil(listed.stdout:match("moonbox%-spec"))
      assert.is_true(opened:close())
    end)

    it("24: control: a command's own sibling can be", function()
      local result = box.sh("sleep 300 & /opt/spec/process target $!", { show })
      local answers = box.answers(result.stdout)
      assert.equal("ok", answers["open:mem"])
      assert.equal("ok", answers["open:fd"])
      assert.equal("ok", answers["ptrace-seize"])
      assert.equal("ok", answers.vm_readv == "EFAULT" and "ok" or answers.vm_readv)
    end)

    it("24: neither ends nor stops by any signal from inside", function()
      local opened = open()
      local outcome = box.inside(opened, "for s in KILL STOP TERM INT HUP QUIT CHLD USR1 SEGV TSTP CONT PIPE ALRM; do "
        .. "kill -$s 1 || echo refused $s; done; echo alive")
      assert.equal("alive\n", outcome.stdout)
      assert.equal(0, box.inside(opened, "true").code)
      assert.matches("State:\t[SR]", box.inside(opened, "cat /proc/1/status").stdout)
      assert.is_true(opened:close())
    end)

    it("24: shows nothing of itself while commands start, 2,000 times, to one that looks all the time", function()
      local opened = open(nil, "base")
      local racers = "/opt/spec/process race 8 > /tmp/race1 & /opt/spec/process race 8 > /tmp/race2 &"
      assert.equal(0, box.inside(opened, racers).code)
      for _ = 1, os.getenv("MOONBOX_LONG") == "1" and 10000 or 2000 do
        local outcome = opened:exec { run = { "/bin/true" } }
        assert.is_truthy(outcome)
      end
      local function result()
        local text = box.inside(opened, "cat /tmp/race1 /tmp/race2").stdout
        return select(2, text:gsub("processes", "")) == 2 and text
      end
      local text = box.wait_for(result, 30)
      assert.is_truthy(text, "the racers did not end")
      assert.is_nil(text:match("breach[^\n]*"), text:match("breach[^\n]*"))
      assert.is_true(opened:close())
    end)

    it("24: can't be slowed to death: limits, priorities and processors of a tenant end the tenant only", function()
      canary:process()
      local opened = open()
      box.inside(opened, "/opt/spec/tenant prlimit 1")
      local outcome, message = opened:exec { run = { "/bin/true" } }
      assert.is_truthy(outcome or message)
      assert.is_true(opened:close())
      assert.equal(0, box.sh("true").code)
    end)

    -- A tenant that stops a process which init has just made holds init up with it.
    local function hold_up(opened)
      assert.equal(0, box.inside(opened, "/opt/spec/tenant stopper 120 &").code)
    end

    it("24: a command stopped before its exec ends with its time", function()
      local opened = open()
      opened.plan.limits.grace = 1
      hold_up(opened)
      local outcome
      for _ = 1, 2000 do
        outcome = opened:exec { run = { "/bin/true" }, time = 0.5 }
        if outcome.ended_by then break end
      end
      assert.equal("time", outcome.ended_by, "control: no command was ever stopped")
      assert.is_true(opened:close())
    end)

    it("24: nor does it make the supervisor wait for init where memory is only watched", function()
      local supervise = require "moonbox.supervise"
      local answer = supervise.ANSWER
      supervise.ANSWER = 1
      local opened = open()
      local none = { version = 0 }
      opened.groups = { unified = "", cpu = none, memory = none, pids = none }
      hold_up(opened)
      local outcome
      for _ = 1, 2000 do
        outcome = opened:exec { run = { "/bin/true" }, time = 30 }
        if outcome.ended_by then break end
      end
      supervise.ANSWER = answer
      -- Stopped a moment later, after its exec, the command itself stands still and init answers: then its time counts.
      assert.is_true(outcome.ended_by == "killed" or outcome.ended_by == "time")
      assert.is_true(opened:close())
    end)
  end)

  describe("descriptors (probe 25)", function()
    local LIST = "for f in /proc/self/fd/*; do echo ${f##*/}; done | sort -n | tr '\\n' ' '; readlink /proc/self/fd/[0-9]*"

    it("25: of a command are 0, 1 and 2, although the caller holds a thousand", function()
      local result = box.shell("for i in $(seq 3 9); do eval \"exec $i</etc/passwd\"; done; exec 10</ 11</proc; "
        .. box.line({}, { "ls", "-l", "/proc/self/fd" }) .. " </dev/null")
      local seen = {}
      for fd, link in result.stdout:gmatch(" (%d+) %-> ([^\n]+)") do seen[tonumber(fd)] = link end
      for fd, link in pairs(seen) do
        assert.is_true(fd <= 3, fd .. " -> " .. link)
        assert.is_true(link:match("^pipe:") ~= nil or (fd == 3 and link:match("^/proc/%d+/fd$") ~= nil), link)
      end
    end)

    it("25: of the Lua API's commands too, with and without input, merged, logged, and in a late command", function()
      local held = {}
      for i = 1, 900 do held[i] = io.open("/etc/passwd") end
      local opened = open()
      local sandbox = require "moonbox.sandbox"
      for _, spec in ipairs { {}, { stdin = "text" }, { stderr = sandbox.STDOUT },
        { stdout = { log = box.home .. "/log", keep = 1000 } } } do
        local outcome = box.inside(opened, LIST, spec)
        local text = outcome.stdout or box.read(box.home .. "/log")
        assert.matches("^0 1 2 [3-9]? ?\n?", text)
        assert.is_nil(text:find("socket:", 1, true))
        assert.is_nil(text:find("passwd", 1, true))
      end
      for _, handle in ipairs(held) do handle:close() end
      assert.is_true(opened:close())
    end)
  end)

  describe("secrets of the caller (probe 26)", function()
    it("26: in its environment and arguments are nowhere inside", function()
      local secret = "secret-" .. sys.random_hex(8)
      local script = "cat /proc/*/environ /proc/*/cmdline /proc/*/comm /proc/*/maps /proc/self/mountinfo 2>/dev/null | "
        .. "tr '\\0' '\\n' | grep -c " .. secret:sub(1, 10) .. "[0-9a-f]*'" .. secret:sub(11) .. "'; true"
      local result = box.shell("CANARY=" .. secret .. " " .. box.line({ "--json" }, { "sh", "-c", script, }))
      assert.equal("0\n", result.stdout)
      assert.is_nil(result.stderr:find(secret, 1, true))
      local control = box.shell(("CANARY=%s sh -c 'tr \"\\0\" \"\\n\" < /proc/self/environ' | grep -c %s"):format(secret, secret))
      assert.equal("1\n", control.stdout)
    end)

    it("26: init shows neither the program's arguments nor its path", function()
      local opened = open()
      local pid = opened.running:pid()
      local cmdline = (box.read(("/proc/%d/cmdline"):format(pid)) or ""):gsub("%z", " ")
      assert.is_nil(cmdline:find("busted", 1, true), cmdline)
      assert.equal("moonbox-init\n", box.read(("/proc/%d/comm"):format(pid)))
      assert.is_true(opened:close())
    end)
  end)

  describe("ids (probe 29)", function()
    it("29: can't be changed, nor can groups, securebits or no_new_privs", function()
      for _, capabilities in ipairs { {}, { "setuid", "setgid", "setpcap" } } do
        local opened = open(function(plan) plan.process.capabilities = capabilities end)
        local answers = box.answers(opened:exec({ run = { "/opt/spec/ids", "become" } }).stdout)
        local seen = 0
        for name, answer in pairs(answers) do
          seen = seen + 1
          assert.is_true(answer == "EPERM" or answer == "EINVAL", name .. " " .. answer)
        end
        assert.equal(11, seen)
        local maps = box.inside(opened, "for f in uid_map gid_map setgroups; do (echo '0 0 1' > /proc/self/$f) 2>/dev/null "
          .. "&& echo wrote $f; done; for t in newuidmap newgidmap; do $t $$ 0 0 1 2>/dev/null && echo ran $t; done; true")
        assert.equal("", maps.stdout)
        assert.is_true(opened:close())
      end
    end)

    it("29: control: root of a plain user namespace can change them", function()
      local result = box.shell("unshare --user --map-root-user " .. helpers .. "/ids become")
      local answers = box.answers(result.stdout)
      assert.equal("ok", answers["setresuid:0"])
      assert.equal("ok", answers.securebits)
    end)

    it("29: a file that a group is denied stays denied", function()
      mode.need("root", "only root can make a file with another group")
      local folder = box.home .. "/groups"
      sys.mkdir(folder, 493)
      assert.equal(0, box.shell(("echo x > %s/f && chown 65534:27 %s/f && chmod 604 %s/f"):format(folder, folder, folder)).code)
      local result = box.sh("id -G; ls -ln /mnt/f; cat /mnt/f", { "--bind", folder .. ":/mnt" })
      assert.matches("^1000\n", result.stdout)
    end)
  end)

  describe("left behind (probe 31)", function()
    it("31: 200 daemons of the box are gone when it closes, and are no one else's children before", function()
      canary:process()
      local opened = open()
      local outcome = opened:exec { run = { "/opt/spec/process", "daemons", "200" },
        env = { MOONBOX_SPEC_MARK = mark } }
      assert.equal("started 200\n", outcome.stdout, outcome.stderr)
      assert.is_true(count_daemons() >= 200, "control: the daemons are not there")
      assert.is_true(opened:close())
      assert.equal(0, count_daemons())
    end)

    it("31: also those of moonbox exec", function()
      local result = box.exec({ show, "--env", "MOONBOX_SPEC_MARK=" .. mark },
        { "/opt/spec/process", "daemons", "200" })
      assert.equal("started 200\n", result.stdout)
      assert.equal(0, count_daemons())
    end)

    it("31: init reaps orphans", function()
      local opened = open()
      box.inside(opened, "for i in 1 2 3 4 5; do (sh -c 'sleep 0.05 &' &); done; sleep 0.5")
      local zombies = box.inside(opened, "cat /proc/[0-9]*/status | grep -c 'State:.Z'; true").stdout
      assert.equal("0\n", zombies)
      assert.is_true(opened:close())
    end)
  end)

  describe("tricks beyond the list", function()
    it("namespaces of init can't be entered, nor can its root be reached by a link", function()
      local result = box.sh([[for n in user mnt pid net ipc uts cgroup; do
          readlink /proc/1/ns/$n >/dev/null 2>&1 && echo "read $n"; nsenter --$n=/proc/1/ns/$n true 2>/dev/null && echo "in $n"
          nsenter --$n=/proc/self/ns/$n true 2>/dev/null && echo "own $n"
        done; ln -s /proc/1/root /workspace/r; ls /workspace/r 2>/dev/null; ls /proc/1/cwd/ 2>/dev/null; true]])
      assert.equal("", result.stdout)
    end)

    it("userfaultfd and FUSE, the slow readers of races, are not to be had", function()
      local answers = box.answers(box.exec({ show }, { "/opt/spec/tenant", "slow" }).stdout)
      assert.equal("EPERM", answers.userfaultfd)
      assert.equal("ENOENT", answers.fuse)
    end)

    it("full /dev/shm, /tmp and /workspace end in ENOSPC inside and leave the host's room alone", function()
      local result = box.sh("for d in /dev/shm /workspace; do head -c 400000000 /dev/zero > $d/fill 2>/tmp/e; "
        .. "grep -o 'No space left on device' /tmp/e; rm $d/fill; done; "
        .. "cd /dev/shm; seq 1 20000 | xargs touch 2>&1 | grep -o 'No space left' | head -1")
      assert.equal("No space left on device\nNo space left on device\nNo space left\n", result.stdout)
    end)

    it("garbage on descriptors, and reopening them, hurts the command only", function()
      local result = box.sh("head -c 100000 /dev/urandom > /proc/self/fd/2; exec 3</proc/self/fd/1; "
        .. "printf x > /proc/self/fd/1; for p in /proc/1/fd/*; do printf x > $p; done 2>/dev/null; echo end")
      assert.equal(0, result.code)
      assert.matches("end\n$", result.stdout)
    end)

    it("a pty of the box's own is the box's own: /dev/pts shows no terminal of the host", function()
      assert.equal("", box.sh("ls /dev/pts | grep -v ptmx; true").stdout)
      local result = box.sh("script -qec 'tty; ls /dev/pts' /dev/null </dev/null; true")
      assert.is_nil(result.stdout:match("/dev/pts/[1-9]"))
    end)

    it("core dumps of a command go nowhere outside", function()
      canary:directory("/tmp")
      canary.directories["/tmp"] = nil
      local result = box.sh("ulimit -c unlimited 2>/dev/null; cd /workspace; sh -c 'kill -ABRT $$'; ls -A /workspace")
      assert.matches("^$", result.stdout)
    end)
  end)
end)
