-- What only spec/vm has: nothing but version 2, stock Debian kernel, for root and in a delegated subtree. Without this,
-- specs that tell their own mode would pass in a weaker one.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"

describe("in the virtual machine", function()
  setup(box.enter)
  teardown(box.leave)

  it("there are control groups of version 2 only", function()
    assert.equal("", box.shell("grep ' - cgroup ' /proc/self/mountinfo").stdout)
    assert.matches("^0::/", box.read("/proc/self/cgroup"))
  end)

  it("every controller is found, as root and as an ordinary user", function()
    local found = require("moonbox.core").cgroups()
    assert.same({ 2, 2, 2 }, { found.cpu.version, found.memory.version, found.pids.version })
  end)

  it("a sandbox's processes are in a group of its own, with the policy's limits", function()
    local opened = box.open(box.plan(function(plan)
      plan.limits.cpus, plan.limits.memory, plan.limits.processes = 1, 256 * 2 ^ 20, 100
    end))
    local path = box.read(("/proc/%d/cgroup"):format(opened.running:pid())):match("^0::([^\n]+)")
    local function file(name) return box.read("/sys/fs/cgroup" .. path .. "/" .. name) end
    assert.same({ "100000 100000\n", "268435456\n", "0\n" }, { file "cpu.max", file "memory.max", file "memory.swap.max" })
    assert.is_true(tonumber(file "pids.max") >= 100)
    assert(opened:close())
    assert.is_nil(file "cgroup.procs")
  end)

  it("limits are held hard", function()
    for name, level in pairs(require("moonbox.holding").levels(box.plan())) do
      assert.matches("^hard", level, name)
    end
  end)

  it("limits on a disk name the whole of it where the state folder is on a partition", function()
    local partition = box.shell("findmnt -no MAJ:MIN -T " .. box.home).stdout:match("%d+:%d+")
    assert.is_truthy(box.read("/sys/dev/block/" .. partition .. "/partition"), "control: it is one")
    local disk = require("moonbox.disk").device()
    assert.equal(box.shell(("cat /sys/dev/block/%s/../dev"):format(partition)).stdout, disk .. "\n")
    -- Control: the kernel takes the disk's number, and would not take the partition's.
    local opened = box.open(box.plan(function(plan) plan.storage.kind, plan.limits.disk_read = "disk", 2 ^ 20 end, "base"))
    finally(function() opened:close() end)
    local group = box.read(("/proc/%d/cgroup"):format(opened.running:pid())):match("^0::(/[^\n]*moonbox/%x+)")
    local function take(device) return box.shell(("echo %s rbps=1048576 >/sys/fs/cgroup%s/io.max"):format(device, group)).code end
    assert.equal(0, take(disk))
    assert.not_equal(0, take(partition))
  end)
end)
