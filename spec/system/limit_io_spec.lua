-- What a sandbox reads from and writes to the disk of its own files each second is held, or refused where it can't be.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local limited = require "support.limited"

local core = require "moonbox.core"
local MB = 2 ^ 20

-- 12 MB at 4 MB a second, or 60 operations at 20: three seconds, but for what the kernel lets through at once.
local LEAST = 2
local READ = "dd if=/workspace/f of=/dev/null bs=1M count=12 iflag=direct status=none"
local WRITE = "dd if=/dev/zero of=/workspace/g bs=1M count=12 conv=fsync status=none"
local OPS = "dd if=/workspace/f of=/dev/null bs=4k count=60 iflag=direct status=none"
local FILE = "dd if=/dev/zero of=/workspace/f bs=1M count=12 conv=fsync status=none && "

describe("limits on the use of a disk", function()
  setup(box.enter)
  teardown(box.leave)

  local function rows(limits, storage)
    return ('files = { storage = "%s" },\nlimits = { %s },'):format(storage or "disk", limits)
  end

  local function level(name, limits)
    local plan = assert(require("moonbox.plan").load(limited.policy(rows(limits))))
    return require("moonbox.holding").levels(plan)[name]
  end

  local READING, WRITING = "disk_read = 4 * MB / second", "disk_write = 4 * MB / second"

  -- Seconds that a script takes in a sandbox with these limits; `before` is not counted.
  local function seconds(limits, script, before)
    local opened = limited.open(rows(limits))
    if before then assert.equal(0, box.inside(opened, before).code) end
    local outcome = box.inside(opened, script)
    assert.equal(0, outcome.code, outcome.stderr)
    assert(opened:close())
    return outcome.seconds
  end

  local function held(name, limits)
    return level(name, limits):match("^hard: control group v(%d)")
  end

  local function check(limits, script, before)
    local slow, free = seconds(limits, script, before), seconds("", script, before)
    assert.is_true(slow >= LEAST, slow)
    -- Control: it is the limit that takes the time.
    assert.is_true(free < slow, free .. " " .. slow)
  end

  it("are refused with the reason where nothing would hold them", function()
    local function refused(limits, storage, why)
      local result = limited.exec(rows(limits, storage), { "true" })
      assert.equal(69, result.code, result.stderr)
      assert.matches(why, result.stderr)
    end
    refused(READING, "memory", "limit disk_read = 4 MB / second refused: the writable files are in memory")
    local version = core.cgroup_io()
    if version == 0 then
      refused(READING, "disk", "limit disk_read = 4 MB / second refused: no control group limits disks here")
    elseif version == 1 then
      refused("disk_write_ops = 100 / second", "disk", "limit disk_write_ops = 100 / second refused: "
        .. "control groups of version 1 do not see delayed writes")
    end
  end)

  it("hold for what is read", function()
    if not held("disk_read", READING) then pending "nothing holds them here" end
    check(READING, READ, FILE .. "sync")
  end)

  it("hold for operations", function()
    local limits = "disk_read_ops = 20 / second"
    if not held("disk_read_ops", limits) then pending "nothing holds them here" end
    check(limits, OPS, FILE .. "sync")
  end)

  it("hold for what is written, at once or later", function()
    if not held("disk_write", WRITING) then pending "only groups of version 2 hold them" end
    check(WRITING, WRITE)
    check("disk_write_ops = 20 / second", (WRITE:gsub("bs=1M count=12 conv=fsync", "bs=4k count=60 oflag=direct")))
  end)

  it("don't hold up the end of a sandbox that has much to write", function()
    if not held("disk_write", WRITING) then pending "only groups of version 2 hold them" end
    local outcome = limited.run(rows "disk_write = 64 * KB / second, time = 3 * seconds, grace = 0 * seconds",
      "dd if=/dev/zero of=/workspace/g bs=1M count=12 status=none; sync; echo done")
    assert.same({ 124, "" }, { outcome.code, outcome.stdout or "" }, "control: it was written before")
    assert.is_true(outcome.seconds < 60, outcome.seconds) -- at that rate it takes three minutes
  end)

  it("name a whole disk, and no other group's", function()
    if not held("disk_read", READING) then pending "nothing holds them here" end
    local opened = limited.open(rows(READING .. ", disk_read_ops = 100 / second"))
    finally(function() opened:close() end)
    local groups = box.read(("/proc/%d/cgroup"):format(opened.running:pid()))
    if core.cgroup_io() == 1 then
      local file = "/sys/fs/cgroup/blkio" .. groups:match("blkio[%a,]*:([^\n]+)") .. "/blkio.throttle.read_bps_device"
      return assert.matches("^%d+:%d+ " .. 4 * MB .. "\n$", box.read(file))
    end
    local file = "/sys/fs/cgroup" .. groups:match("0::(/[^\n]*moonbox/%x+)") .. "/io.max"
    local device, rest = box.read(file):match("^(%d+:%d+) (.*)\n$")
    assert.equal(("rbps=%d wbps=max riops=100 wiops=max"):format(4 * MB), rest)
    assert.is_nil(box.read("/sys/dev/block/" .. device .. "/partition"))
    assert.is_truthy(box.read("/sys/dev/block/" .. device .. "/dev"))
  end)
end)
