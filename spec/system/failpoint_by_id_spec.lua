-- Every step of creating, using and destroying a sandbox by id fails once in each way: with an error, killed, standing still.
-- No command runs in a sandbox that lacks a step, the step and its error are named, the neighbour goes on, and after one
-- `moonbox gc` nothing is left (moonbox.failpoint, core/failpoint; failpoint_spec has the steps of the sandbox itself).
local box = require "support.box"
local runs = require "support.runs"

local sys = require("moonbox.core").sys

local PROGRAM = "build/failpoints/moonbox"

-- The points of a part in the sources, so that none that is added is forgotten: { "part:step", … }.
local function points(files, part)
  local out, seen = {}, {}
  for _, file in ipairs(files) do
    for found, step in assert(box.read(file)):gmatch('failpoint"?%)?%("([^"]+)", "([^"]+)"') do
      local point = found .. ":" .. step
      if found == part and not seen[point] then
        seen[point], out[#out + 1] = true, point
      end
    end
  end
  assert(#out > 0, part)
  return out
end

local LUA = { "lua/moonbox/sandboxes.lua", "lua/moonbox/init.lua", "lua/moonbox/supervisor.lua" }
local CREATE, SUPERVISOR, END = points(LUA, "create"), points(LUA, "supervisor"), points(LUA, "end")
local DESTROY, SETTLE = points(LUA, "destroy"), points(LUA, "settle")
local EXEC = points({ "core/control.c", "core/control_commands.c", "core/init.c", "core/subreaper.c" }, "exec")

if (os.getenv("MOONBOX_SANITIZER") or "") ~= "" then
  describe("a step by id that fails", function()
    it("is tried without sanitizers", function() pending "the sanitizers' suite has no build with failpoints" end)
  end)
  return
end

-- What each step of a list is made to do. To stand still is the slowest: outside of the long loops only where there is most
-- to clean up.
local LONG = os.getenv("MOONBOX_LONG") == "1"
local STANDING = { ["exec:pass the command on"] = true, ["end:close the sandbox"] = true }

local function actions(point)
  if LONG or STANDING[point] then return { "ENOSPC", "crash", "stop" } end
  -- A supervisor that turns everybody away is waited for before it is killed.
  return point == "exec:take the client" and { "crash" } or { "ENOSPC", "crash" }
end

describe("a step by id that fails", function()
  local policy, neighbour

  -- The shell text of the program with a point chosen, bounded in time.
  local function line(point, action, ...)
    return ("MOONBOX_POLICIES=policies MOONBOX_FAIL=%s timeout -k 1 60 %s %s </dev/null"):format(
      runs.quote(point .. "=" .. action), PROGRAM, box.words { ... })
  end

  local function run(point, action, ...) return box.shell(line(point, action, ...)) end

  local function plain(...) return box.shell(box.program .. " " .. box.words { ... } .. " </dev/null") end

  local function create(point, action) return run(point, action, "create", "--id", "fp", "--policy", policy) end

  -- Pids of this run's supervisors and clients that stand still.
  local function standing()
    local out = {}
    for pid in box.shell("pgrep -f " .. runs.quote("[f]p --policy " .. policy)).stdout:gmatch("%d+") do out[#out + 1] = pid end
    for pid in box.shell("pgrep -f " .. runs.quote("[s]upervise fp " .. box.state)).stdout:gmatch("%d+") do out[#out + 1] = pid end
    return out
  end

  -- Whoever holds the sandbox, and those who create one; what belongs to a supervisor (its keeper) ends by itself.
  local function kill_all()
    local holder = require("moonbox.holder").read(box.state .. "/sandboxes/fp").pid
    if holder and box.shell(("kill -9 %d"):format(holder)).code == 0 then
      box.wait_for(function() return #standing() == 0 end, 2)
    end
    for _, pid in ipairs(standing()) do box.shell("kill -9 " .. pid .. " 2>/dev/null") end
    assert.is_true(box.wait_for(function() return #standing() == 0 end, 10), "they can't be killed")
  end

  -- What is there of sandboxes but of the neighbour.
  local function left()
    local out = {}
    for _, name in ipairs(sys.list(box.state .. "/sandboxes") or {}) do
      if name ~= neighbour.id then out[#out + 1] = "folder " .. name end
    end
    for _, name in ipairs(sys.list(box.state .. "/boxes") or {}) do out[#out + 1] = "box " .. name end
    for _, pid in ipairs(standing()) do out[#out + 1] = "process " .. pid end
    return out
  end

  local function nothing_is_left(context)
    -- A folder that is being made may be somebody's for a minute.
    box.shell("touch -c -d '2 minutes ago' " .. box.state .. "/sandboxes/.new-* 2>/dev/null")
    assert.equal(0, plain("gc", "--ended").code, context)
    assert.same({}, left(), context)
    assert.equal("whole\n", neighbour:exec({ run = { "cat", "/workspace/state" } }).stdout, context)
  end

  setup(function()
    box.enter()
    policy = box.home .. "/p.lua"
    runs.write(policy, 'return policy "p" { extends = "base", files = { storage = "memory" }, limits = { grace = 1 * second } }')
    neighbour = assert(require("moonbox").create { policy = policy })
    assert(neighbour:write("/workspace/state", "whole\n"))
  end)
  teardown(function()
    kill_all()
    neighbour:destroy()
    box.leave()
  end)
  after_each(function() kill_all() end)

  it("does not fail without being chosen, and can be in all its places", function()
    assert.same({ code = 0, stdout = "fp\n", stderr = "" }, create("none:none", "ENOSPC"))
    assert.equal("ran\n", run("none:none", "ENOSPC", "exec", "fp", "--timeout", "60s", "--", "echo", "ran").stdout)
    assert.equal(0, run("none:none", "ENOSPC", "destroy", "fp").code)
    assert.is_true(#CREATE >= 5 and #SUPERVISOR >= 5 and #END >= 3 and #DESTROY == 2 and #SETTLE == 2 and #EXEC == 4)
    nothing_is_left("none")
  end)

  for _, list in ipairs { CREATE, SUPERVISOR } do
    for _, point in ipairs(list) do
      it("while one is created: " .. point, function()
        local done = create(point, "ENOSPC")
        assert.same({ 125, "" }, { done.code, done.stdout })
        assert.matches(point .. ": No space left on device", done.stderr, 1, true)
        assert.same({}, left())
        done = create(point, "crash")
        assert.equal("", done.stdout)
        assert.is_true(done.code == 125 or done.code == 137, done.code .. " " .. done.stderr)
        nothing_is_left(point .. " crash")
        -- Whoever stands still, and whoever waits for that, is killed.
        box.shell(line(point, "stop", "create", "--id", "fp", "--policy", policy) .. " >/dev/null 2>&1 &")
        sys.sleep(0.4)
        assert.is_true(#standing() > 0)
        kill_all()
        nothing_is_left(point .. " stop")
      end)
    end
  end

  it("can be destroyed while its supervisor stands still before it has said anything", function()
    box.shell(line("supervisor:read the record", "stop", "create", "--id", "fp", "--policy", policy) .. " >/dev/null 2>&1 &")
    assert.is_true(box.wait_for(function() return sys.lstat(box.state .. "/sandboxes/fp/supervisor.log") ~= nil end, 20))
    sys.sleep(0.3)
    assert.equal(0, plain("destroy", "fp").code)
    assert.is_true(box.wait_for(function() return #standing() == 0 end, 10))
    nothing_is_left("destroyed")
  end)

  for _, point in ipairs(EXEC) do
    for _, action in ipairs(actions(point)) do
      it(("while a command starts: %s, %s"):format(point, action), function()
        assert.equal(0, create(point, action).code)
        local out = box.home .. "/out"
        os.remove(out)
        local code = box.shell(("timeout -s KILL 1 %s exec fp --timeout 60s -- echo ran >%s 2>%s.err </dev/null"):format(
          box.program, out, out)).code
        assert.are_not.equal(0, code)
        assert.equal("", box.read(out))
        -- A client that is turned away, or whose command's holder dies, is told just that.
        if action == "ENOSPC" and point ~= "exec:take the client" then
          assert.matches("No space left on device", box.read(out .. ".err"), 1, true)
        end
        assert.equal(0, plain("destroy", "fp").code)
        kill_all()
        nothing_is_left(point .. " " .. action)
      end)
    end
  end

  for _, point in ipairs(END) do
    for _, action in ipairs(actions(point)) do
      it(("while one ends: %s, %s"):format(point, action), function()
        assert.equal(0, create(point, action).code)
        assert.equal("ran\n", plain("exec", "fp", "--", "echo", "ran").stdout)
        if action == "stop" then
          box.shell(("timeout -s KILL 1 %s stop --grace 0s fp >/dev/null 2>&1"):format(box.program))
          kill_all()
        else
          plain("stop", "--grace", "0s", "fp")
        end
        local found = require("moonbox.sandboxes").look("fp")
        assert.equal("ended", found.state)
        nothing_is_left(point .. " " .. action)
      end)
    end
  end

  for _, point in ipairs(DESTROY) do
    it("while one is destroyed: " .. point, function()
      assert.equal(0, create("none:none", "crash").code)
      local refused = run(point, "ENOSPC", "destroy", "fp")
      assert.are_not.equal(0, refused.code)
      assert.matches(point .. ": No space left on device", refused.stderr, 1, true)
      plain("destroy", "fp")
      nothing_is_left(point .. " ENOSPC")
      assert.equal(0, create("none:none", "crash").code)
      assert.equal(137, run(point, "crash", "destroy", "fp").code)
      nothing_is_left(point .. " crash")
    end)
  end

  for _, point in ipairs(SETTLE) do
    it("while what a dead supervisor left is put right: " .. point, function()
      assert.equal(0, create("none:none", "crash").code)
      kill_all()
      assert.equal(137, run(point, "crash", "gc").code)
      run(point, "ENOSPC", "gc")
      nothing_is_left(point)
    end)
  end
end)
