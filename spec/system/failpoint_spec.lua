-- Every step of starting and ending a sandbox fails once in each way: killed, stopped, or with an error. No command ever runs
-- without a step, the step and its error are named, neighbours go on, and nothing is left (core/failpoint).
local box = require "support.box"
local runs = require "support.runs"

local core = require "moonbox.core"
local ffi = require "ffi"

local sys = core.sys

ffi.cdef [[
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int waitpid(int pid, int *status, int options);
]]

local PROGRAM = "build/failpoints/moonbox"
local PR_SET_CHILD_SUBREAPER, WNOHANG = 36, 1

-- The names of the steps in a table of a C file, in order.
local function steps(file)
  local out = {}
  for name in assert(box.read(file)):gmatch('\n    {"([^"]+)", [%w_]+},') do out[#out + 1] = name end
  return out
end

local START = { launch = steps "core/launch.c", child = steps "core/child.c",
  gateway = { "prepare", "confine itself", "serve" }, keeper = { "start", "make the folder", "started", "keep" } }
local END = { close = { "stop the gateway", "remove the control groups" }, keeper = { "remove" } }

-- Seconds after which what has no owner is swept (moonbox.sandbox), and some.
local OLD = 12

-- Those that not every host or mode comes to.
local function may_be_passed_by(part) return part == "keeper" end

-- `make asan` has no such build.
if (os.getenv("MOONBOX_SANITIZER") or "") ~= "" then
  describe("a step that fails", function()
    it("is tried without sanitizers", function() pending "the sanitizers' suite has no build with failpoints" end)
  end)
  return
end

describe("a step that fails", function()
  local policy, neighbour, supervisor, before
  local killed_keepers = {}

  -- What sandboxes have on this host that a process does not take with it.
  local function things()
    local out = {}
    for _, folder in ipairs(sys.list(box.state .. "/boxes") or {}) do out["folder " .. folder] = true end
    local found = box.shell("find /sys/fs/cgroup -type d -path '*moonbox*' 2>/dev/null; cat /proc/self/mountinfo; losetup -l 2>/dev/null"
      .. " | grep -F " .. runs.quote(box.state)).stdout
    for line in found:gmatch("[^\n]+") do out[line] = true end
    return out
  end

  local function more()
    local out = {}
    for thing in pairs(things()) do if not before[thing] then out[#out + 1] = thing end end
    return out
  end

  -- Children of this process, which whatever loses its parent becomes.
  local function orphans()
    while ffi.C.waitpid(-1, nil, WNOHANG) > 0 do end -- luacheck: ignore 542
    local out = {}
    for _, pid in ipairs(sys.list("/proc")) do
      local parent, name = (pid:match("^%d+$") and box.read("/proc/" .. pid .. "/status") or ""):match("PPid:%s*(%d+)"),
        box.read("/proc/" .. pid .. "/comm")
      if tonumber(parent) == sys.pid() and (name or ""):find("^moonbox") and tonumber(pid) ~= supervisor then
        out[#out + 1] = pid .. " " .. name
      end
    end
    return out
  end

  local function nothing_is_left(context)
    assert.is_true(box.wait_for(function() return #orphans() == 0 end, 2),
      context .. " left " .. table.concat(orphans(), ", "))
    box.wait_for(function() return #more() == 0 end, context:find("^keeper:") and 0 or 2)
    -- What a keeper that was killed leaves is looked at again when it is old enough to be swept.
    if not context:find("^keeper:") then assert.same({}, more(), context) end
    for _, thing in ipairs(more()) do before[thing], killed_keepers[thing] = true, true end
    assert.equal("whole\n", neighbour:exec({ run = { "cat", "/workspace/state" } }).stdout, context)
  end

  setup(function()
    box.enter()
    ffi.C.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    policy = box.home .. "/p.lua"
    runs.write(policy, 'return policy "p" { extends = "base", network = { allow { "a.org" } }, limits = { grace = 1 * second } }')
    assert.equal(0, box.exec({ "--policy", policy }, { "true" }).code) -- makes what is there to stay
    neighbour = assert(require("moonbox").create { policy = policy })
    assert(neighbour:write("/workspace/state", "whole\n"))
    supervisor = require("moonbox.sandboxes").read(neighbour.path).pid
    before = things()
  end)
  teardown(function()
    neighbour:destroy()
    ffi.C.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    box.leave()
  end)

  local function command(point, action)
    return ("MOONBOX_POLICIES=policies MOONBOX_FAIL=%s %s exec --policy %s -- /bin/echo ran </dev/null"):format(
      runs.quote(point .. "=" .. action), PROGRAM, policy)
  end

  local function each(parts, check)
    for part, names in pairs(parts) do
      for _, name in ipairs(names) do check(part, part .. ":" .. name, name) end
    end
  end

  it("is not there in the program that is installed", function()
    local done = box.shell(command("launch:clone", "ENOSPC"):gsub(PROGRAM, box.program, 1))
    assert.same({ 0, "ran\n" }, { done.code, done.stdout })
    assert.is_nil(box.read(box.program):find("MOONBOX_FAIL", 1, true))
    assert.is_truthy(box.read(PROGRAM):find("MOONBOX_FAIL", 1, true))
  end)

  it("while a sandbox starts, with an error, is named with it", function()
    each(START, function(part, point, name)
      local done = box.shell(command(point, "ENOSPC"))
      local named = done.stderr:find("No space left on device", 1, true)
        and (part == "gateway" or part == "keeper" or done.stderr:find(name, 1, true))
      if not (may_be_passed_by(part) and done.stdout == "ran\n") then
        assert.same({ point == "keeper:keep" and 137 or 125, "" }, { done.code, done.stdout }, point .. ": " .. done.stderr)
        assert.is_truthy(named or point == "keeper:keep", point .. ": " .. done.stderr)
      end
      nothing_is_left(point)
    end)
  end)

  it("while a sandbox starts, by being killed, lets no command run", function()
    each(START, function(part, point)
      local done = box.shell(command(point, "crash"))
      if not (may_be_passed_by(part) and done.stdout == "ran\n") then
        assert.equal("", done.stdout, point)
        assert.is_true(done.code == 125 or done.code == 137, point .. ": " .. done.code .. " " .. done.stderr)
      end
      nothing_is_left(point)
    end)
  end)

  it("while a sandbox ends, by being killed, leaves nothing either", function()
    each(END, function(_, point)
      assert.equal("ran\n", box.shell(command(point, "crash")).stdout, point)
      nothing_is_left(point)
    end)
  end)

  it("leaves to the next command what a killed keeper could not remove", function()
    local last = sys.monotonic()
    for thing in pairs(killed_keepers) do before[thing] = nil end
    if #more() == 0 then return end
    sys.sleep(math.max(0, last + OLD - sys.monotonic()))
    assert.equal(0, box.shell(box.program .. " gc").code)
    assert.same({}, more())
  end)

  it("because its process stands still, goes with the supervisor that is killed then", function()
    each({ launch = START.launch, child = START.child, gateway = START.gateway, close = END.close }, function(part, point)
      -- Its first step is what makes it die with the supervisor; before that it can only go on.
      if point == "child:" .. START.child[1] then return end
      local out = box.home .. "/out"
      os.remove(out)
      local pid = tonumber(box.shell(command(point, "stop") .. " >" .. out .. " 2>/dev/null & echo $!").stdout)
      sys.sleep(0.15)
      box.shell("kill -9 " .. pid)
      assert.equal(part == "close" and "ran\n" or "", box.read(out), point)
      nothing_is_left(point)
    end)
  end)
end)
