-- The process that removes the control groups of a program's sandboxes (core/warden_shared): one for all of them, which
-- forgets what has been removed, is missed when it has died, and ends with the program.
local box = require "support.box"

local core = require "moonbox.core"

local sys = core.sys

describe("the keeper of a program's control groups", function()
  local groups = core.cgroups()
  local any = groups.unified ~= "" or groups.memory.version > 0
  local in_memory

  setup(function()
    box.enter()
    in_memory = box.plan()
  end)
  teardown(box.leave)

  local function lines(command)
    local list = {}
    for line in box.shell(command).stdout:gmatch("[^\n]+") do list[#list + 1] = line end
    return list
  end

  -- Our children that are keepers.
  local function keepers() return lines("pgrep -P " .. sys.pid() .. " -x moonbox-keeper") end

  -- The control groups of a sandbox.
  local function called(name) return lines("find /sys/fs/cgroup -type d -name " .. name) end

  local function grouped(title, check)
    it(title, function()
      if not any then return pending("no control groups can be made here") end
      check()
    end)
  end

  grouped("is one process for all", function()
    local one, two = box.open(in_memory), box.open(in_memory)
    local found = keepers()
    assert.equal(1, #found)
    assert.is_true(one:close())
    local three = box.open(in_memory)
    assert.same(found, keepers())
    assert.is_true(#called(two.id) > 0)
    assert.is_true(two:close())
    assert.is_true(three:close())
    assert.same({}, called(two.id))
  end)

  grouped("is not waited for when it stands still: the next sandbox is refused", function()
    if box.read("/proc/cmdline"):find("panic=-1 .*cgroup_no_v1=all") then return pending("too many starts for spec/vm") end
    assert(box.open(in_memory):close())
    local keeper = keepers()[1]
    os.execute("kill -STOP " .. keeper)
    finally(function() os.execute("kill -CONT " .. keeper) end)
    local opened, why
    for _ = 1, 1000 do -- a pipe's 64 KB
      opened, why = require("moonbox.sandbox").open(in_memory)
      if not opened then break end
      assert.is_true(opened:close())
    end
    assert.is_nil(opened)
    assert.truthy(why:find("moonbox-keeper stands still: let it go on (SIGCONT) or end it", 1, true), why)
    os.execute("kill -CONT " .. keeper)
    opened = box.wait_for(function() return (require("moonbox.sandbox").open(in_memory)) end, 60)
    assert.equal("ok\n", box.inside(opened, "echo ok").stdout)
    assert.is_true(opened:close())
  end)

  grouped("is told of when it was killed: its sandboxes end, and the next one has another", function()
    local old = box.open(in_memory)
    local name = old.id
    local killed = keepers()
    os.execute("kill -9 " .. killed[1])
    local outcome, why = old:exec { run = { "sleep", "60" } }
    assert.is_true(outcome == nil or outcome.code ~= 0)
    assert.truthy(((outcome and outcome.sentence or "") .. (why or "")):find("keeper ended", 1, true))
    assert.is_true(old:close())
    assert.same({}, called(name))
    local new = box.open(in_memory)
    assert.equal("ok\n", box.inside(new, "echo ok").stdout)
    assert.are_not.same(killed, keepers())
    assert.equal(1, #keepers())
    assert.is_true(new:close())
  end)
end)
