-- Probes 88 and 89: what a task can write ends where its limit is, in bytes and in files, and never fills the host.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local mode = require "support.mode"

local sys = require("moonbox.core").sys

local MB = 2 ^ 20

describe("a disk limit", function()
  setup(box.enter)
  teardown(box.leave)

  local function plan(change)
    return box.plan(function(p)
      p.limits.disk, p.storage.size = 64 * MB, 64 * MB
      if change then change(p) end
    end, "base")
  end

  local function within(script, change)
    local opened = box.open(plan(change))
    local outcome = box.inside(opened, script)
    assert(opened:close())
    return outcome
  end

  local function held()
    return require("moonbox.holding").levels(plan()).disk
  end

  describe("of a disk image", function()
    local function need_image()
      mode.need("root", "an ordinary user can't mount an image")
      if require("moonbox.disk").kind(plan()) ~= "image" then
        mode.need("/dev/loop-control", "this host has no loop devices")
      end
    end

    it("is hard, and gives what it says", function()
      need_image()
      assert.equal("hard: an ext4 image of its own", held())
      local outcome = within "dd if=/dev/zero of=/workspace/f bs=64k; stat -c %s /workspace/f; echo alive; rm /workspace/f"
      assert.equal(0, outcome.code)
      assert.matches("No space left on device", outcome.stderr)
      local size = tonumber(outcome.stdout:match("^(%d+)\nalive\n$"))
      assert.is_true(size >= 63 * MB and size <= 67 * MB, outcome.stdout)
    end)

    it("holds for what is deleted and still open, reserved, in the home directory and by many files", function()
      need_image()
      local gone = within [[cd /workspace; exec 3>gone; dd if=/dev/zero bs=1M count=50 >&3; rm gone
        dd if=/dev/zero of=more bs=1M; stat -c %s more]]
      assert.is_true(tonumber(gone.stdout) <= 17 * MB, gone.stdout)
      assert.matches("No space left", gone.stderr)
      assert.matches("No space left", within("fallocate -l 80M /workspace/f").stderr)
      assert.matches("No space left", within("dd if=/dev/zero of=/home/agent/f bs=1M").stderr)
      local many = within [[cd /workspace; python3 -c '
n = 0
try:
    while True:
        open("f%d" % n, "w").close(); n += 1
except OSError as e:
    print(n, e.errno)']]
      local count, errno = many.stdout:match("^(%d+) (%d+)")
      assert.equal("28", errno)
      assert.is_true(tonumber(count) <= 20000, count)
    end)

    it("is shared by the steps of a task, and narrower in a step that says so", function()
      need_image()
      local folder = box.home .. "/steps"
      box.shell("mkdir -m 700 " .. folder)
      local narrow = require("moonbox.plan").narrow
      local first = box.open(narrow(plan(), { limits = { disk = 20 * MB } }), { storage = folder })
      local outcome = box.inside(first, "dd if=/dev/zero of=/workspace/f bs=1M count=10; sleep 1")
      assert.equal(0, outcome.code)
      outcome = box.inside(first, "dd if=/dev/zero of=/workspace/g bs=1M count=30; sleep 20")
      assert.equal(137, outcome.code)
      assert.matches("^disk limit of 20 MB reached: ", outcome.sentence)
      first:close()
      local second = box.open(narrow(plan(), {}), { storage = folder })
      outcome = box.inside(second, "rm /workspace/g; dd if=/dev/zero of=/workspace/h bs=1M count=45; du -sm /workspace")
      assert.equal(0, outcome.code)
      assert.matches("^5[4-7]", outcome.stdout)
      second:close()
      assert(require("moonbox.sandbox").release(folder))
    end)

    it("needs no more of the host than is written, and leaves no device", function()
      need_image()
      local opened = box.open(plan(function(p) p.limits.disk, p.storage.size = 50 * 2 ^ 30, 50 * 2 ^ 30 end))
      local device = box.inside(opened, "df --output=source /workspace | tail -1").stdout:match("loop%d+")
      local file = "/sys/block/" .. device .. "/loop/backing_file"
      assert.matches("/images/.*%(deleted%)", box.read(file))
      assert.is_true(tonumber(box.shell(("cd %s/images && du -k \"$(ls -S | head -1)\""):format(box.state)).stdout:match("^%d+")) < 4096)
      opened:close()
      assert.is_true(box.wait_for(function() return not (box.read(file) or ""):find(box.state, 1, true) end, 5))
    end)
  end)

  it("leaves no half-made image where moonbox is killed while it makes one", function()
    mode.need("root", "an ordinary user can't mount an image")
    local state = box.home .. "/killed"
    for i = 1, 12 do
      box.shell(("rm -rf %s/images; (MOONBOX_STATE=%s exec %s) </dev/null >/dev/null 2>&1 & p=$!; sleep 0.0%d; kill -9 $p")
        :format(state, state, box.line({ "--policy", "base" }, { "true" }), i))
    end
    assert.equal(0, box.shell("MOONBOX_STATE=" .. state .. " " .. box.line({ "--policy", "base" }, { "true" })).code)
    assert.matches("^[%d-]+%.ext4\n$", box.shell("ls " .. state .. "/images").stdout)
    assert.equal("", box.shell("losetup -a | grep " .. state).stdout)
  end)

  -- A container's root is an overlay; that of a live system, and of spec/vm, one in memory.
  describe("where the state directory lies on an overlay", function()
    local function over(what, check)
      mode.need("root", "only root can mount one")
      local place = box.home .. "/over"
      local made = box.shell(("mkdir -p %s && mount -t %s %s && mkdir %s/l %s/u %s/w %s/o && mount -t overlay -o "
        .. "lowerdir=%s/l,upperdir=%s/u,workdir=%s/w over %s/o"):format(place, what, place, place, place, place, place,
        place, place, place, place))
      finally(function() box.shell(("umount -l %s/o %s; rmdir %s"):format(place, place, place)) end)
      assert.equal(0, made.code, made.stderr)
      check("MOONBOX_STATE=" .. place .. "/o/state ")
    end

    it("in memory, it is held as `explain` says", function()
      over("tmpfs -o size=600m,mode=755 over", function(state)
        local level = box.shell(state .. box.program .. " explain base").stdout:match("\n  disk +%S+ %S+ +(%w+)")
        local result = box.shell(state .. box.line({ "--policy", "base" }, { "sh", "-c",
          "dd if=/dev/zero of=/workspace/f bs=1M count=300; echo wrote" }))
        if level == "refused" then
          assert.equal(69, result.code)
          return assert.matches("limit disk = %d+ refused: ", result.stderr)
        end
        assert.same({ "hard", 0, "wrote\n" }, { level, result.code, result.stdout }, result.stderr)
        assert.matches("No space left on device", result.stderr)
      end)
    end)
  end)

  it("of a folder is watched: who goes beyond is ended", function()
    mode.need("user", "root has an image")
    assert.matches("^watched", held())
    local outcome = within("dd if=/dev/zero of=/workspace/f bs=1M count=100; sleep 20")
    assert.equal(137, outcome.code)
    assert.equal("disk", outcome.ended_by)
    assert.matches("^disk limit of 64 MB reached: ", outcome.sentence)
  end)

  describe("of a folder, and files that are deleted and held open", function()
    -- Ten of 10 MB; the first five have a second descriptor, in the child, until it opens its own.
    local HOLD = [[cd /workspace; exec 2>&1
      for i in 3 4 5 6 7; do eval "exec $i>f$i"; dd if=/dev/zero bs=1M count=10 >&$i status=none; rm f$i; done
      ( exec 3>g3 4>g4 5>g5 6>g6 7>g7
        for i in 3 4 5 6 7; do eval "dd if=/dev/zero bs=1M count=10 status=none >&$i"; rm g$i; done; sleep 6 ) &
      wait; echo alive]]

    it("counts them, each once", function()
      mode.need("user", "root has an image")
      local outcome = within(HOLD)
      assert.equal(137, outcome.code)
      assert.equal("disk", outcome.ended_by)
      assert.matches("^disk limit of 64 MB reached: .* and %d+ deleted ones that are open$", outcome.sentence)
    end)

    it("lets them be below the limit, however many descriptors lead to one", function()
      mode.need("user", "root has an image")
      local outcome
      for _ = 1, 10 do -- a look has a tenth of a second, in which a busy machine sees less
        outcome = within(HOLD, function(p) p.limits.disk, p.storage.size = 160 * MB, 160 * MB end)
        assert.equal(0, outcome.code)
        assert.equal("alive\n", outcome.stdout)
        if outcome.usage.disk >= 100 * MB then break end
      end
      assert.is_true(outcome.usage.disk >= 100 * MB and outcome.usage.disk < 120 * MB, tostring(outcome.usage.disk))
    end)
  end)

  describe("of the host", function()
    it("keeps a sandbox from starting", function()
      local opened, why, code = require("moonbox.sandbox").open(plan(function(p) p.limits.disk_floor = 2 ^ 49 end))
      assert.is_nil(opened)
      assert.equal(69, code)
      assert.matches("^the host has no room for a sandbox: 512 TB must stay free where ", why)
    end)

    local filesystem = sys.filesystem
    after_each(function() sys.filesystem = filesystem end)

    -- Has the host's filesystem so many files.
    local function say_of_host(files, free)
      sys.filesystem = function(path)
        local host = assert(filesystem(path))
        host.files, host.files_free = files, free
        return host
      end
    end

    it("keeps a sandbox from starting whose files are the host's own, when it has few left", function()
      mode.need("user", "root has an image")
      local sandbox = require "moonbox.sandbox"
      say_of_host(2e6, 65536)
      local opened, why, code = sandbox.open(plan())
      assert.same({ nil, 69 }, { opened, code })
      assert.matches("^the host has no room for a sandbox: 65536 files must stay free where ", why)
      say_of_host(2e6, 65537)
      assert(assert(sandbox.open(plan())):close())
      say_of_host(1000, 50)
      opened, why = sandbox.open(plan())
      assert.is_nil(opened)
      assert.matches(": 50 files must stay free where ", why)
      say_of_host(0, 0)
      assert(assert(sandbox.open(plan())):close())
    end)

    it("ends a sandbox that would take the last files of the host", function()
      mode.need("user", "root has an image")
      local opened = box.open(plan())
      say_of_host(1000, 10)
      local outcome = box.inside(opened, "sleep 20")
      opened:close()
      assert.equal(137, outcome.code)
      assert.equal("the host's disk is down to the 50 files that must stay free (limits.disk_floor)", outcome.sentence)
    end)

    it("does not matter to one in memory", function()
      local opened = box.open(box.plan(function(p) p.limits.disk_floor = 2 ^ 49 end))
      assert.equal(0, box.inside(opened, "true").code)
      opened:close()
    end)

    it("ends a sandbox that would take the rest", function()
      mode.need("root", "only root can give the state folder a small disk of its own")
      local small = box.home .. "/small"
      assert.equal(0, box.shell(("mkdir %s && mount -t tmpfs -o size=200m,mode=700 small %s"):format(small, small)).code)
      finally(function() box.shell("umount -l " .. small) end)
      local policy = box.home .. "/floor.lua"
      require("support.runs").write(policy, [[return policy "floor" { extends = "base",
        limits = { disk = 1 * GB, disk_floor = 100 * MB } }]])
      local result = box.shell("MOONBOX_STATE=" .. small .. "/state " .. box.line({ "--policy", policy },
        { "sh", "-c", "for i in $(seq 150); do dd if=/dev/zero bs=1M count=1 conv=fdatasync 2>/dev/null; sleep 0.02; done "
          .. ">/workspace/f; sleep 10" }))
      assert.equal(137, result.code)
      assert.equal("moonbox: the host's disk is down to the 100 MB that must stay free (limits.disk_floor)\n", result.stderr)
    end)
  end)
end)
