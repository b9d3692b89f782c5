-- Boxes made ahead (sandbox.ready): each is a fresh box, given out once; nothing of them stays.
local box = require "support.box"

local core = require "moonbox.core"

local sys = core.sys

describe("boxes made ahead", function()
  local sandbox, plan

  setup(function()
    box.enter()
    sandbox = require "moonbox.sandbox"
  end)
  teardown(box.leave)
  before_each(function() plan = box.plan() end)
  after_each(function() assert.is_true(sandbox.ready(plan, 0)) end)

  -- Host pids of this process's children that are process 1 of a box: pid_namespaces(7), NSpid in proc(5).
  local function waiting()
    local found, me = {}, sys.pid()
    for _, name in ipairs(sys.list("/proc")) do
      local status = name:match("^%d+$") and box.read("/proc/" .. name .. "/status") or ""
      if tonumber(status:match("PPid:%s+(%d+)")) == me and status:match("NSpid:%s+%d+%s+1\n") then
        found[tonumber(name)] = true
      end
    end
    return found
  end

  local function count(set)
    local n = 0
    for _ in pairs(set) do n = n + 1 end
    return n
  end

  it("are there before they are opened, and are made up for", function()
    assert.is_true(sandbox.ready(plan, 2))
    local before = waiting()
    assert.equal(2, count(before))
    local opened = box.open(plan)
    assert.is_true(before[opened.running:pid()])
    assert.equal("ok\n", box.inside(opened, "echo ok").stdout)
    assert.equal(3, count(waiting()))
    assert.is_true(opened:close())
    assert.is_true(sandbox.ready(plan, 0))
    assert.equal(0, count(waiting()))
  end)

  it("are used once: nothing of one shows in the next", function()
    assert.is_true(sandbox.ready(plan, 1))
    for _ = 1, 4 do
      local opened = box.open(plan)
      local seen = box.inside(opened, "ls -A /workspace /home/agent /tmp; cat /proc/[0-9]*/comm | grep -c sleep; "
        .. "echo secret | tee /workspace/a /home/agent/b /tmp/c >/dev/null; sleep 1000 >/dev/null 2>&1 &")
      assert.equal("/home/agent:\n\n/tmp:\n\n/workspace:\n0\n", seen.stdout)
      assert.is_true(opened:close())
    end
  end)

  it("serve their own plan only", function()
    assert.is_true(sandbox.ready(plan, 1))
    local before = waiting()
    local other = box.plan(function(changed) changed.hostname = "elsewhere" end)
    local opened = box.open(other)
    assert.is_nil(before[opened.running:pid()])
    assert.equal("elsewhere\n", box.inside(opened, "hostname").stdout)
    assert.is_true(opened:close())
  end)

  it("are replaced when they died while they waited", function()
    assert.is_true(sandbox.ready(plan, 1))
    for pid in pairs(waiting()) do
      assert.equal(0, box.shell("kill -9 " .. pid).code)
      assert.truthy(box.wait_for(function() return box.read("/proc/" .. pid .. "/status"):match("State:%s+Z") end, 5))
    end
    local opened = box.open(plan)
    assert.equal("ok\n", box.inside(opened, "echo ok").stdout)
    assert.is_true(opened:close())
  end)

  it("say why they can't be made", function()
    plan.mounts[#plan.mounts + 1] = box.bind("/nowhere/at/all", "/opt/it")
    local ready, message = sandbox.ready(plan, 1)
    local opened, why = sandbox.open(plan)
    assert.is_nil(opened)
    assert.truthy(why:find("/nowhere/at/all", 1, true), why)
    assert.is_true(ready == true or message:find("/nowhere/at/all", 1, true) ~= nil)
  end)
end)
