-- Files in and out while somebody means harm: links at every component, exchanges at every moment, what is no file, what has
-- no end (probe 99). The race in full with MOONBOX_LONG=1; shorter otherwise.
local box = require "support.box"
local canaries = require "support.canary"
local compile = require "support.compile"

local core = require "moonbox.core"

local sys = core.sys

local SECONDS = os.getenv("MOONBOX_LONG") == "1" and 60 or 4

-- Names of folders in each other, for trees that have a link in place of one.
local LEVELS = { "a", "b", "c", "d" }

describe("files in and out of a sandbox", function()
  local moonbox = require "moonbox"
  local made, here, canary, helpers

  setup(function()
    box.enter()
    helpers = compile.helpers("racer")
    local plan = box.plan(function(p) table.insert(p.mounts, compile.row(helpers)) end)
    made = assert(moonbox.create { plan = plan })
  end)
  teardown(function()
    made:destroy()
    box.leave()
  end)

  local function shell(text)
    local done = box.shell(text)
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end

  local function inside(script)
    local outcome = assert(made:exec { run = { "/bin/sh", "-c", "cd /workspace; " .. script } })
    assert.equal(0, outcome.code, outcome.stderr)
    return outcome.stdout
  end

  before_each(function()
    here = box.home .. "/" .. sys.random_hex(4)
    canary = canaries.plant()
    for _, path in ipairs { here, here .. "/host", here .. "/outside" } do sys.mkdir(path, 448) end
    canary:file(here .. "/outside/file")
    canary:directory(here .. "/outside")
    inside("chmod -R u+rwx . 2>/dev/null; find . -mindepth 1 -delete; true")
  end)
  after_each(function()
    local wrong = canary:check()
    canary:remove()
    assert.same({}, wrong)
  end)

  it("99: never leave their place on the host by a link, at any component", function()
    inside("mkdir -p t/a/b/c/d && echo bad > t/a/b/c/d/file")
    for level = 1, #LEVELS do
      local at = ("%s/host/%d/t"):format(here, level)
      shell("mkdir -p " .. at)
      for i = 1, level - 1 do
        at = at .. "/" .. LEVELS[i]
        sys.mkdir(at, 448)
      end
      shell(("ln -s %s/outside %s/%s"):format(here, at, LEVELS[level]))
      local done, sentence = made:copy_out("/workspace/t", ("%s/host/%d"):format(here, level))
      assert.is_nil(done)
      assert.matches("no directory", sentence, 1, true)
    end
    -- The last component: the link itself goes, and not what it leads to.
    shell(("mkdir -p %s/host/file && ln -s %s/outside/file %s/host/file/x"):format(here, here, here))
    inside("echo good > x")
    assert(made:copy_out("/workspace/x", here .. "/host/file"))
    assert.equal("good\n", box.read(here .. "/host/file/x"))
  end)

  it("99: are the sandbox's own, whatever its links and magic links say", function()
    inside("mkdir l && ln -s /etc l/etc && ln -s /proc/self/root/etc l/self && ln -s /proc/1/root/etc l/init && "
      .. "ln -s ../../../../../../etc l/up && ln -s " .. here .. "/outside l/host && ln -s /proc/self/fd/1 l/fd")
    for _, name in ipairs { "etc", "self", "up" } do
      assert.equal(made:read "/etc/passwd", made:read("/workspace/l/" .. name .. "/passwd"), name)
    end
    for _, path in ipairs { "/workspace/l/init/passwd", "/workspace/l/host/file", "/workspace/l/fd", "/proc/self/fd/0",
      "/proc/1/root/etc/passwd", "/proc/1/mem", "/proc/1/environ" } do
      local bytes, sentence = made:read(path)
      assert.is_nil(bytes, path)
      assert.is_string(sentence)
    end
    for _, path in ipairs { "/workspace/l/host/new", "/proc/1/root/tmp/new", "/workspace/l/fd/new" } do
      assert.is_nil((made:write(path, "x")), path)
    end
    assert(made:copy_out("/workspace/l", here .. "/host"))
    assert.equal("/etc\n", shell("readlink " .. here .. "/host/l/etc"))
  end)

  it("99: do not wait for what is no file, on either side, and say what was left out", function()
    inside([[mkdir odd && mkfifo odd/fifo "odd/$(printf 'e\033]0;x\007vil')" && touch odd/file &&
      perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un("odd/socket"))']])
    for _, path in ipairs { "/workspace/odd/fifo", "/workspace/odd/socket", "/dev/zero", "/dev/tty", "/workspace/odd" } do
      assert.is_nil((made:read(path)), path)
    end
    for _, path in ipairs { "/dev/zero", "/workspace/odd/fifo", "/dev/null" } do
      local done, sentence = made:copy_out(path, here .. "/host")
      assert.is_truthy(done and done[1]:find("is left out", 1, true) or sentence, path)
    end
    local cp = box.shell(box.words { box.program, "cp", made.id .. ":/workspace/odd", here .. "/host" })
    assert.equal(0, cp.code, cp.stderr)
    assert.equal(3, select(2, cp.stderr:gsub("is left out", "")))
    assert.is_nil(cp.stderr:gsub("\n", ""):find("%c"))
    assert.equal("file\n", shell("ls " .. here .. "/host/odd"))
    -- The host's: a pipe that nobody writes to, a socket's end, a device.
    shell(("mkdir %s/in && mkfifo %s/in/fifo && touch %s/in/file"):format(here, here, here))
    local left_out = assert(made:copy_in(here .. "/in", "/workspace"))
    assert.same({ "fifo is left out: it is neither a file nor a directory nor a link" }, left_out)
    assert.equal("file\n", inside("ls in"))
    for _, path in ipairs { "/dev/zero", here .. "/in/fifo" } do
      local done, sentence = made:copy_in(path, "/workspace")
      assert.is_truthy(done and done[1]:find("is left out", 1, true) or sentence, path)
    end
    assert.equal("odd\n", inside("ls -d odd"))
  end)

  it("99: are not put where something of another kind is, but for a file in a pipe's place", function()
    inside("mkdir dir && echo x > dir/x && echo x > file")
    shell(("cd %s/host && mkdir file && echo x > dir && mkfifo pipe"):format(here))
    assert.is_nil((made:copy_out("/workspace/dir", here .. "/host")))
    assert(made:copy_out("/workspace/file", here .. "/host/pipe"))
    assert.equal("file", sys.lstat(here .. "/host/pipe").kind)
    assert(made:copy_out("/workspace/file", here .. "/host/file")) -- into the directory
    assert.equal("x\n", box.read(here .. "/host/file/file"))
    assert.is_nil((made:write("/workspace/dir", "x")))
    assert.is_nil((made:copy_in(here .. "/host/dir", "/workspace/file/x")))
    assert.equal("x\n", inside("cat dir/x"))
  end)

  it("99: end, also where a file grows as fast as it is read", function()
    inside("mkdir g && (while :; do head -c 1000000 /dev/zero >> g/log; [ $(stat -c %s g/log) -gt 50000000 ] && : > g/log; "
      .. "[ -e stop ] && break; done) >/dev/null 2>&1 & sleep 0.2")
    for i = 1, 5 do
      assert(made:copy_out("/workspace/g", ("%s/host/%d"):format(here, i)))
      assert.is_true(sys.lstat(("%s/host/%d/log"):format(here, i)).size <= 51000000)
      local bytes, sentence = made:read("/workspace/g/log", 1000)
      assert.is_true(bytes == "" or sentence ~= nil)
    end
    inside("touch stop")
  end)

  it("99: take no more than the sandbox may have, however much a file says that it is", function()
    inside("truncate -s 1T hole && echo end >> hole")
    assert(made:copy_out("/workspace/hole", here .. "/host"))
    assert.is_true(tonumber(shell("du -k " .. here .. "/host/hole"):match("%d+")) < 1000)
    local transfer = assert(core.transfer.unpack(here .. "/host", "much", 1000000, 100))
    local outcome = assert(made:exec { run = { "pack", "/usr/bin/env" }, files = true, cwd = "/", stdout = { pass = transfer:fd() } })
    assert.equal(0, outcome.code)
    assert.is_true((transfer:finish()), "control: what is small enough is taken")
    transfer = assert(core.transfer.unpack(here .. "/host", "more", 10000, 100))
    made:exec { run = { "pack", "/usr/bin/env" }, files = true, cwd = "/", stdout = { pass = transfer:fd() } }
    local whole, told = transfer:finish()
    assert.is_false(whole)
    assert.matches("more bytes than may be taken", told, 1, true)
    assert.is_nil(sys.lstat(here .. "/host/more"))
  end)

  -- Runs `work(i)` again and again while the racer exchanges two names, on the host or inside; at least ten times.
  local function race(start, work)
    local flips = start(SECONDS)
    local began, i = sys.monotonic(), 0
    while i < 10 or sys.monotonic() - began < SECONDS do
      i = i + 1
      work(i)
    end
    local count = box.wait_for(function() return tonumber((flips() or ""):match("flips (%d+)")) end, 30)
    assert.is_true(count > 100, "control: it exchanged them " .. tostring(count) .. " times only")
  end

  it("99: stay in the sandbox while it exchanges a folder for a link, all the time", function()
    inside("mkdir -p race/dir && echo inside > race/dir/file && ln -s " .. here .. "/outside race/link && ln -s /etc race/etc")
    shell("mkdir " .. here .. "/sent && echo sent > " .. here .. "/sent/file")
    local copied = 0
    race(function(seconds)
      inside(("/opt/spec/racer flip %d race/dir race/link >flips 2>&1 &"):format(seconds))
      return function() return inside("cat flips 2>/dev/null; true") end
    end, function(i)
      local out = ("%s/host/%d"):format(here, i)
      sys.mkdir(out, 448)
      if made:copy_out("/workspace/race", out) then copied = copied + 1 end
      for path in shell("find " .. out .. " -type f"):gmatch("[^\n]+") do
        assert.is_truthy(box.read(path) == "inside\n" or box.read(path) == "sent\n", path)
      end
      made:copy_in(here .. "/sent", "/workspace/race/dir")
      made:write("/workspace/race/dir/file", "inside\n")
      local bytes = made:read "/workspace/race/dir/file"
      assert.is_true(bytes == nil or bytes == "inside\n" or bytes == "sent\n")
      shell("rm -rf " .. out)
    end)
    assert.is_true(copied > 0)
  end)

  it("99: stay in their folder while the host's are exchanged, all the time", function()
    shell(("cd %s/host && mkdir -p t/dir && ln -s %s/outside t/link"):format(here, here))
    inside("mkdir -p t/dir && for i in $(seq 50); do echo bad > t/dir/f$i; done")
    local out = here .. "/flips"
    local copied, refused = 0, 0
    race(function(seconds)
      shell(("%s/racer flip %d %s/host/t/dir %s/host/t/link >%s 2>&1 &"):format(helpers, seconds, here, here, out))
      return function() return box.read(out) end
    end, function()
      if made:copy_out("/workspace/t", here .. "/host") then copied = copied + 1 else refused = refused + 1 end
      -- What is there is sent as it is: a link as a link.
      made:copy_in(here .. "/host/t", "/workspace/back")
    end)
    assert.is_true(copied > 0 and refused > 0, ("control: %d copied, %d refused"):format(copied, refused))
    assert.equal("", inside("find back -name file; true"))
  end)
end)
