-- What a box can reach of the host's files, and how it can change what it is shown (probes 1, 2, 5, 7 to 12).
local box = require "support.box"
local canaries = require "support.canary"
local compile = require "support.compile"
local mode = require "support.mode"

local core = require "moonbox.core"

local sys = core.sys

describe("files of the host", function()
  local helpers, show, canary

  setup(function()
    box.enter()
    helpers = compile.helpers("files", "ids")
    show = compile.option(helpers)
  end)
  teardown(box.leave)
  before_each(function() canary = canaries.plant() end)
  after_each(function()
    local wrong = canary:check()
    canary:remove()
    assert.same({}, wrong)
  end)

  -- Every answer whose name starts with `prefix`; fails when there is none.
  local function all(answers, prefix, allowed, context)
    local seen = 0
    for name, answer in pairs(answers) do
      if name:sub(1, #prefix) == prefix then
        seen = seen + 1
        assert.is_truthy(allowed[answer], ("%s: %s %s"):format(context or "inside", name, answer))
      end
    end
    assert.is_true(seen > 0, "no answer for " .. prefix)
  end

  local function set(...)
    local out = {}
    for _, name in ipairs { ... } do out[name] = true end
    return out
  end

  local ABSENT = set("ENOENT", "EACCES", "ENOTDIR", "EPERM")
  local FIXED = set("EROFS", "EPERM", "EACCES", "ENOSYS", "ENOENT", "ENOTDIR", "EISDIR")

  describe("that were not granted (probe 1)", function()
    local function host_paths()
      local secrets = {}
      local home = os.getenv("HOME") or box.home
      local stat = sys.stat(home)
      if not stat or stat.uid ~= sys.euid() then home = box.home end
      secrets[canary:file(home .. "/.moonbox-spec-" .. sys.random_hex(4))] = true
      sys.mkdirs(box.state, 448)
      secrets[canary:file(box.state .. "/canary-" .. sys.random_hex(4))] = true
      secrets[canary:file("/tmp/moonbox-spec-canary-" .. sys.random_hex(4), 420)] = true
      local paths = {}
      for _, file in ipairs(canary.files) do paths[#paths + 1] = file.path end
      return paths, secrets
    end

    local function ways(path)
      return { path, "/proc/1/root" .. path, "/proc/self/root" .. path, "/proc/self/cwd/.." .. path,
        "/proc/self/root/../.." .. path, "/usr/../.." .. path, "/proc/self/fd/0/../../.." .. path,
        "/proc/1/cwd" .. path, "/proc/thread-self/root/.." .. path, "/workspace/../.." .. path,
        "/proc/2/root" .. path, "/dev/fd/../../../.." .. path }
    end

    it("1: are not there by any path, though the caller can read them (control)", function()
      local paths, secrets = host_paths()
      local list = {}
      for _, path in ipairs(paths) do
        assert.is_truthy(secrets[box.read(path)], "control: the caller can't read " .. path)
        for _, way in ipairs(ways(path)) do list[#list + 1] = way end
      end
      local result = box.exec({ show }, { compile.INSIDE .. "/files", "open", unpack(list) })
      assert.equal(0, result.code, result.stderr)
      all(box.answers(result.stdout), "read:", ABSENT)
      all(box.answers(result.stdout), "write:", ABSENT)
      local control = box.shell(helpers .. "/files open " .. box.words(paths))
      all(box.answers(control.stdout), "read:", set "ok", "control")
    end)

    it("1: show through no descriptor of any process", function()
      host_paths()
      local result = box.sh([[for p in /proc/[0-9]*; do for fd in $p/fd/* $p/cwd $p/root $p/exe; do
        link=$(readlink $fd 2>/dev/null) || continue; echo "${p#/proc/} ${fd##*/} $link"
        ls -d $fd/.. $fd/../../root $fd/../../../etc/shadow $fd/etc/shadow 2>/dev/null
        done; done | grep -e shadow -e /root$ -e socket: -e memfd -e canary; true]])
      assert.same({ code = 0, stdout = "", stderr = "" }, result)
    end)

    it("1: are not found by walking everything that there is", function()
      host_paths()
      local result = box.sh("find / -xdev -name '*moonbox-spec*' -o -name 'canary-*' 2>/dev/null; "
        .. "find /tmp /home /workspace /dev /etc /root /var /run /srv /mnt /opt -name 'canary-*' 2>/dev/null; true")
      assert.equal("", result.stdout)
      local listing = box.sh("ls -A / | tr '\\n' ' '; ls -A /home; ls -A /tmp /workspace /home/agent | grep -v :")
      assert.matches("^bin dev etc home lib ", listing.stdout)
      assert.is_nil(listing.stdout:find("root", 1, true))
    end)

    it("1: of a sibling's writable files are not there either", function()
      local storage = box.home .. "/sibling"
      sys.mkdir(storage, 448)
      local first = box.open(box.plan(nil, "base"), { storage = storage })
      assert.equal(0, box.inside(first, "echo sibling-secret > /workspace/secret; chmod 666 /workspace/secret").code)
      -- A disk image has no path on the host but through the processes that mounted it.
      local place = first.disk == "image" and ("/proc/%d/root"):format(first.running:pid()) or storage .. "/data/upper"
      local outside = box.shell("cat " .. place .. "/workspace/secret")
      assert.equal("sibling-secret\n", outside.stdout, "control: the sibling's file isn't where this spec looks")
      local list = ways(place .. "/workspace/secret")
      list[#list + 1] = "/workspace/secret"
      local result = box.exec({ show }, { compile.INSIDE .. "/files", "open", unpack(list) })
      all(box.answers(result.stdout), "read:", ABSENT)
      assert.is_true(first:close())
      assert.is_true(require("moonbox.sandbox").release(storage))
    end)
  end)

  describe("that are shown read-only (probe 2)", function()
    local function shared()
      local folder = box.home .. "/shared-" .. sys.random_hex(4)
      sys.mkdir(folder, 511)
      box.shell("chmod 777 " .. folder)
      canary:file(folder .. "/file", 438)
      box.shell("chmod 666 " .. folder .. "/file")
      canary.files[#canary.files].mode = sys.stat(folder .. "/file").mode
      return folder
    end

    it("2: can't be changed by writing, linking, mapping or reopening; a writable bind can (control)", function()
      local folder = shared()
      local script = ([[/opt/spec/files write /mnt /mnt/file /usr /usr/bin/env /etc/passwd /etc /bin /proc/sys/kernel/hostname
        /opt/spec/files map /mnt/file /usr/bin/env /etc/passwd
        for t in /workspace/l /tmp/l /mnt/l; do ln /mnt/file $t 2>/dev/null && echo "linked ok"; done
        mv /mnt/file /mnt/other 2>/dev/null && echo "moved ok"; rm -f /mnt/file 2>/dev/null && echo "removed ok"; true]])
      local result = box.sh(script, { show, "--bind", folder .. ":/mnt" })
      local answers = box.answers(result.stdout)
      for _, action in ipairs { "create:", "write:", "chmod:", "utime:", "truncate:", "xattr:", "map:", "protect:",
        "reopen:" } do
        all(answers, action, FIXED)
      end
      assert.is_nil(answers.linked)
      assert.is_nil(answers.moved)
      assert.is_nil(answers.removed)
      assert.same({}, canary:check())
      local control = box.home .. "/control"
      box.shell(("mkdir %s; echo x > %s/file"):format(control, control))
      local done = box.answers(box.sh("/opt/spec/files write /mnt /mnt/file; ln /mnt/file /mnt/l && echo linked ok",
        { show, "--bind", control .. ":/mnt:rw" }).stdout)
      assert.same({ "ok", "ok", "ok", "ok" }, { done["create:/mnt"], done["write:/mnt/file"], done["chmod:/mnt/file"],
        done.linked })
    end)

    it("2: stay read-only against every mount call, also with capabilities in the box's own namespace", function()
      local folder = shared()
      local script = "/opt/spec/files mount /mnt /usr /etc/passwd /proc/sys /proc /dev/null / /workspace; "
        .. "/opt/spec/files write /mnt/file"
      local weak = box.plan(function(plan)
        table.insert(plan.mounts, box.bind(folder, "/mnt"))
        table.insert(plan.mounts, compile.row(helpers))
        plan.process.capabilities = { "sys_admin", "dac_override", "sys_chroot", "mknod" }
      end)
      for _, plan in ipairs { box.plan(function(p)
        table.insert(p.mounts, box.bind(folder, "/mnt"))
        table.insert(p.mounts, compile.row(helpers))
      end), weak } do
        local answers = box.answers(box.once(plan, { "sh", "-c", script }).stdout)
        for _, action in ipairs { "remount:", "bind:", "tmpfs:", "move:", "umount:" } do
          all(answers, action, set "EPERM")
        end
        all(answers, "setattr:", set "ENOSYS")
        all(answers, "open_tree:", set "ENOSYS")
        assert.equal("EROFS", answers["write:/mnt/file"])
      end
    end)

    it("2: control: without the layers the same calls change mounts", function()
      local result = box.shell(("unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /mnt && exec %s/files "
        .. "mount /mnt'"):format(helpers))
      local answers = box.answers(result.stdout)
      assert.equal("ok", answers["remount:/mnt"], result.stderr)
      assert.equal("ok", answers["tmpfs:/mnt"])
      assert.equal("ok", answers["umount:/mnt"])
    end)
  end)

  describe("symbolic links that a box left in its storage (probes 5 and 6)", function()
    local storage, outside

    before_each(function()
      storage = box.home .. "/storage-" .. sys.random_hex(4)
      outside = box.home .. "/outside-" .. sys.random_hex(4)
      sys.mkdir(storage, 448)
      sys.mkdir(outside, 493)
      canary:file(outside .. "/file", 438)
      canary:directory(outside)
    end)
    after_each(function() assert.is_true(require("moonbox.sandbox").release(storage)) end)

    local function first(script)
      local opened = box.open(box.plan(nil, "base"), { storage = storage })
      local outcome = box.inside(opened, script)
      assert.is_true(opened:close())
      assert.equal(0, outcome.code, outcome.stderr)
    end

    -- Opens a second box with `rows` on the same storage; returns the box or nil and the refusal.
    local function second(...)
      local rows = { ... }
      return require("moonbox.sandbox").open(box.plan(function(plan)
        for _, row in ipairs(rows) do table.insert(plan.mounts, row) end
      end, "base"), { storage = storage })
    end

    it("5: control: a bind below /workspace works where the box left a real directory", function()
      first("mkdir -p /workspace/x")
      local opened, message = second(box.bind(outside, "/workspace/x"))
      assert.is_truthy(opened, message)
      assert.equal(0, box.inside(opened, "cat /workspace/x/file").code)
      assert.is_true(opened:close())
    end)

    it("5: lead a mount nowhere outside of the root", function()
      local source = box.home .. "/source-" .. sys.random_hex(4)
      sys.mkdir(source, 493)
      for _, link in ipairs { outside, "/../../.." .. outside, "/etc", "/proc/1/root", "/proc/self/cwd", "/proc/self/fd/3",
        "../../../../" .. outside, "/usr/lib", "/dev/shm", "loop" } do
        first(("rm -rf /workspace/x; ln -s '%s' /workspace/x; ln -sfn loop /workspace/loop"):format(link))
        for _, target in ipairs { "/workspace/x", "/workspace/x/deeper", "/workspace/x/a/b" } do
          for _, row in ipairs { box.bind(source, target, true),
            { kind = "tmpfs", target = target, size = 4096, inodes = 4, mode = 511 },
            { kind = "mask", target = target }, { kind = "read_only", target = target } } do
            local opened = second(row)
            if opened then
              box.inside(opened, "echo hit > " .. target .. "/hit")
              assert.is_true(opened:close())
            end
          end
          assert.same({}, canary:check())
        end
      end
      assert.is_nil(sys.lstat("/etc/hit"))
      assert.is_nil(sys.lstat("/etc/deeper"))
      assert.is_nil(sys.lstat("/usr/lib/deeper"))
    end)

    it("5: nor do FIFOs, sockets, files and unreadable directories in place of targets and of the storage's own", function()
      local source = box.home .. "/source-" .. sys.random_hex(4)
      sys.mkdir(source, 493)
      for _, make in ipairs { "mkfifo /workspace/x", "echo > /workspace/x", "mkdir -m 000 /workspace/x",
        "mkdir /workspace/x; mkfifo /workspace/x/deeper",
        "node -e 'require(\"net\").createServer().listen(\"/workspace/x\",()=>process.exit(0))'" } do
        first("chmod 700 /workspace/x 2>/dev/null; rm -rf /workspace/x; " .. make .. " || true")
        for _, target in ipairs { "/workspace/x", "/workspace/x/deeper" } do
          local opened, message = second(box.bind(source, target, true))
          if opened then
            assert.is_true(opened:close())
          else
            assert.matches("/workspace/x", message)
          end
        end
      end
    end)

    it("5: nor does a file that a plan writes over one", function()
      for _, target in ipairs { "/workspace/x", "/workspace/x/file", "/workspace/file" } do
        first(("rm -rf /workspace/x /workspace/file; ln -s %s /workspace/x; ln -s %s/file /workspace/file")
          :format(outside, outside))
        local opened = second({ kind = "file", target = target, text = "overwritten", mode = 420 })
        if opened then assert.is_true(opened:close()) end
        assert.same({}, canary:check())
      end
    end)
  end)

  describe("devices (probes 7 and 10)", function()
    it("7: are the host's own of that name, not whatever storage holds", function()
      local result = box.sh("for d in null zero full random urandom tty; do stat -L -c '%n %F %t:%T' /dev/$d; done")
      assert.equal("/dev/null character special file 1:3\n/dev/zero character special file 1:5\n"
        .. "/dev/full character special file 1:7\n/dev/random character special file 1:8\n"
        .. "/dev/urandom character special file 1:9\n/dev/tty character special file 5:0\n", result.stdout)
      local writable = box.sh("for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do (echo x > $f) 2>/dev/null "
        .. "&& echo wrote $f; done; true")
      assert.equal("", writable.stdout)
    end)

    it("7: can't be replaced: /dev is read-only and its links stay", function()
      local result = box.sh("cd /dev; (rm -f null; ln -s /etc/passwd x; mv null n; > new; mkdir d; rm stdin) 2>/dev/null; "
        .. "ls -A | tr '\\n' ' '")
      assert.equal("fd full null ptmx pts random shm stderr stdin stdout tty urandom zero ", result.stdout)
    end)

    it("10: can't be made anywhere; with the capability they can't be opened", function()
      for _, directory in ipairs { "/workspace", "/tmp", "/dev/shm", "/home/agent" } do
        local result = box.exec({ show }, { "/opt/spec/files", "mknod", directory })
        all(box.answers(result.stdout), "mknod:", set("EPERM", "EACCES"), directory)
      end
      local weak = box.plan(function(plan)
        table.insert(plan.mounts, compile.row(helpers))
        plan.process.capabilities = { "mknod", "dac_override" }
      end)
      all(box.answers(box.once(weak, { "/opt/spec/files", "mknod", "/workspace" }).stdout), "mknod:", set "EPERM")
    end)

    it("10: that lie in a bound directory can't be opened", function()
      mode.need("root", "only root can make a device node")
      local folder = box.home .. "/nodes"
      sys.mkdir(folder, 493)
      assert.equal(0, box.shell(("mknod -m 666 %s/null c 1 3 && mknod -m 666 %s/zero c 1 5"):format(folder, folder)).code)
      assert.equal(0, box.shell(("head -c 1 %s/zero && echo x > %s/null"):format(folder, folder)).code, "control")
      local result = box.exec({ show, "--bind", folder .. ":/mnt:rw" }, { "/opt/spec/files", "open", "/mnt/null", "/mnt/zero" })
      all(box.answers(result.stdout), "read:", set "EACCES")
      all(box.answers(result.stdout), "write:", set "EACCES")
    end)
  end)

  describe("what a container hides (probe 8)", function()
    it("8: is empty, and what it fixes is fixed, in the first and in a late command", function()
      local script = [[
        for f in /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug \
                 /proc/interrupts; do
          [ -e $f ] && [ -n "$(head -c 16 $f 2>/dev/null | tr '\0' x)" ] && echo "shown $f"; done
        for d in /proc/asound /proc/acpi /proc/scsi /sys/firmware /sys/devices; do
          [ -n "$(ls -A $d 2>/dev/null)" ] && echo "shown $d"; done
        for f in $(find /proc/bus /proc/fs /proc/irq /proc/sys -type f 2>/dev/null | head -3000) /proc/sysrq-trigger \
                 /proc/mtrr /proc/kmsg /proc/kpageflags; do
          [ -e $f ] && (: >> $f) 2>/dev/null && echo "writable $f"; done
        [ -e /sys/kernel ] && echo "shown /sys"; true]]
      local opened = box.open(box.plan())
      assert.equal("", box.inside(opened, script).stdout)
      assert.equal("", box.inside(opened, script).stdout)
      assert.is_true(opened:close())
    end)

    it("8: control: on the host some of it has content", function()
      assert.is_true(#box.shell("head -c 64 /proc/interrupts; head -c 64 /proc/keys; ls /sys").stdout > 0)
    end)
  end)

  describe("ordinary layouts (probe 9)", function()
    it("9: links of a root, absolute links, binds on what links lead to", function()
      local folder = box.home .. "/layout"
      box.shell(("mkdir -p %s/real && echo text > %s/real/file && ln -s real %s/relative && ln -s /mnt/real %s/absolute")
        :format(folder, folder, folder, folder))
      local plan = box.plan(function(p)
        table.insert(p.mounts, { kind = "tmpfs", target = "/run", size = 65536, inodes = 16, mode = 493 })
        table.insert(p.mounts, { kind = "symlink", target = "/var/run", to = "/run" })
        table.insert(p.mounts, box.bind(folder, "/mnt"))
        table.insert(p.mounts, box.bind(folder .. "/real", "/mnt/relative"))
        table.insert(p.mounts, box.bind(folder .. "/real", "/mnt/absolute"))
        table.insert(p.mounts, box.bind(folder .. "/real/file", "/opt/deep/er/file"))
      end)
      local outcome = box.once(plan, { "sh", "-c", "readlink /bin /var/run; cat /mnt/relative/file /mnt/absolute/file "
        .. "/opt/deep/er/file; /bin/sh -c 'echo ran'; ls -d /var/run/" })
      assert.equal("usr/bin\n/run\ntext\ntext\ntext\nran\n/var/run/\n", outcome.stdout, outcome.stderr)
    end)
  end)

  describe("setuid, setgid and file capabilities (probe 11)", function()
    it("11: give nothing on a bind, and can't be set to any use inside", function()
      local folder = box.home .. "/suid"
      sys.mkdir(folder, 493)
      assert.equal(0, box.shell(("cp %s/ids %s/ids && chmod 6755 %s/ids"):format(helpers, folder, folder)).code)
      for _, options in ipairs { { "--bind", folder .. ":/mnt" }, { "--bind", folder .. ":/mnt:rw" } } do
        local answers = box.answers(box.exec(options, { "/mnt/ids" }).stdout)
        assert.same({ euid = "1000", egid = "1000", NoNewPrivs = "1", CapEff = "0000000000000000" }, answers)
      end
      local made = box.sh("for d in /workspace /tmp /home/agent /dev/shm; do cp /opt/spec/ids $d/i; chmod 6755 $d/i; "
        .. "$d/i; done", { show })
      assert.equal(0, made.code)
      for euid in made.stdout:gmatch("euid (%d+)") do assert.equal("1000", euid) end
      for caps in made.stdout:gmatch("CapEff (%x+)") do assert.equal("0000000000000000", caps) end
      local su = box.sh("for f in su mount passwd chsh newgrp; do [ -u /usr/bin/$f ] && /usr/bin/$f </dev/null; done; "
        .. "id -u; /opt/spec/ids", { show })
      assert.matches("\n?1000\neuid 1000\n", su.stdout)
    end)

    it("11: can't be given to a file of the host through a writable bind", function()
      local folder = box.home .. "/setid"
      sys.mkdir(folder, 493)
      local list = ("find %s -type f -perm /6000"):format(folder)
      local control = folder .. "/control"
      sys.mkdir(control, 493)
      box.shell(helpers .. "/files setid " .. control)
      assert.is_true(#box.shell(list).stdout > 0, "control: outside, the same calls make such files")
      box.shell("rm -r " .. control)
      for _, profile in ipairs { "default", "strict" } do
        local plan = box.plan(function(p)
          table.insert(p.mounts, compile.row(helpers))
          table.insert(p.mounts, box.bind(folder, "/mnt", true))
          p.process.capabilities = { "fsetid", "fowner", "dac_override" }
          p.process.syscalls = profile
        end)
        local outcome = box.once(plan, { "sh", "-c", "/opt/spec/files setid /mnt; : > /mnt/made; tar -C /mnt -cf - made "
          .. "| tar -C /mnt -xpf -; cp -p /mnt/made /mnt/copy; install -m 4755 /bin/true /mnt/installed; true" })
        assert.matches("\n?chmod:4755 EPERM\n", outcome.stdout)
        assert.equal("", box.shell(list).stdout)
        box.shell("rm -f " .. folder .. "/*")
      end
    end)

    it("11: control: outside a setuid copy does change the id", function()
      mode.need("root", "only root can make another user's setuid program")
      local path = box.home .. "/setuid-ids"
      box.shell(("cp %s/ids %s && chmod 4755 %s"):format(helpers, path, path))
      local result = box.shell("setpriv --reuid=65534 --clear-groups " .. path)
      assert.equal("0", box.answers(result.stdout).euid)
    end)

    it("11: file capabilities of a bind give nothing", function()
      mode.need("root", "only root can set file capabilities")
      mode.need("setcap", "needs setcap to set them")
      local folder = box.home .. "/filecaps"
      sys.mkdir(folder, 493)
      assert.equal(0, box.shell(("cp %s/ids %s/ids && setcap cap_sys_admin+ep %s/ids"):format(helpers, folder, folder)).code)
      local control = box.answers(box.shell("setpriv --reuid=65534 --clear-groups " .. folder .. "/ids").stdout)
      assert.equal("0000000000200000", control.CapEff)
      assert.equal("0000000000000000", box.answers(box.exec({ "--bind", folder .. ":/mnt" }, { "/mnt/ids" }).stdout).CapEff)
    end)
  end)

  describe("file handles (probe 12)", function()
    local paths = { "/", "/usr", "/etc/passwd", "/workspace", "/tmp", "/proc", "/dev/null", "/mnt" }

    it("12: open nothing, also with CAP_DAC_READ_SEARCH in the box's own namespace", function()
      local folder = box.home .. "/handles"
      sys.mkdir(folder, 493)
      local weak = box.plan(function(plan)
        table.insert(plan.mounts, compile.row(helpers))
        table.insert(plan.mounts, box.bind(folder, "/mnt", true))
        plan.process.capabilities = { "dac_read_search", "dac_override" }
      end)
      local result = box.exec({ show, "--bind", folder .. ":/mnt:rw" }, { "/opt/spec/files", "handle", unpack(paths) })
      for _, text in ipairs { result.stdout, box.once(weak, { "/opt/spec/files", "handle", unpack(paths) }).stdout } do
        all(box.answers(text), "own:", set "EPERM")
        all(box.answers(text), "inode", set "EPERM")
      end
    end)

    it("12: control: root can open files by handle outside", function()
      mode.need("root", "the call needs CAP_DAC_READ_SEARCH over the host")
      local own = box.answers(box.shell(helpers .. "/files handle " .. box.home).stdout)
      assert.equal("ok", own["own:" .. box.home])
    end)
  end)
end)
