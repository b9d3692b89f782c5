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
