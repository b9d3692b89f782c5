-- Sandboxes by id when a part of one is killed or stands still: nothing is left, no state is wrong, neighbours go on.
local box = require "support.box"
local json = require "moonbox.json"

local core = require "moonbox.core"
local sys = core.sys

local function run(...) return box.shell(box.program .. " " .. box.words { ... } .. " </dev/null") end

local function create(id, ...)
  local made = run("create", "--id", id, ...)
  assert.same({ code = 0, stdout = id .. "\n", stderr = "" }, made)
end

local function record(id) return json.decode(run("inspect", id).stdout) end

local function pid_of(id) return ("%d"):format(record(id).pid) end

-- The supervisor's children by the name that each gives itself: init, keeper, gateway.
local function parts(id)
  local out = {}
  for pid in box.shell("pgrep -P " .. pid_of(id)).stdout:gmatch("%d+") do
    local name = (box.read("/proc/" .. pid .. "/comm") or ""):match("^moonbox%-(%w+)")
    if name then out[name] = pid end
  end
  return out
end

-- What sandboxes have on the host, by the names that records know.
local function left_of(name)
  local out = {}
  for _, folder in ipairs(sys.list(box.state .. "/boxes") or {}) do out[#out + 1] = folder end
  local groups = box.shell("find /sys/fs/cgroup -type d -name " .. name .. " 2>/dev/null").stdout
  for path in groups:gmatch("[^\n]+") do out[#out + 1] = path end
  return out
end

local function destroyed(id)
  assert.equal(0, run("destroy", id).code)
end

describe("a sandbox by id", function()
  setup(box.enter)
  teardown(function()
    for line in run("list", "--json").stdout:gmatch("[^\n]+") do run("destroy", json.decode(line).id) end
    box.leave()
  end)

  for _, part in ipairs { "init", "keeper" } do
    it("ends, says so and leaves nothing when its " .. part .. " is killed", function()
      create("part")
      local name, pid = record("part").box, parts("part")[part]
      if part == "keeper" and not pid then return destroyed("part") end -- it has nothing on the host
      create("whole")
      box.shell("kill -9 " .. assert(pid))
      assert.is_true(box.wait_for(function() return record("part").state == "ended" end, 20))
      assert.same({ "killed", false }, { record("part").ended_by, record("part").alive })
      assert.equal(125, run("exec", "part", "--", "true").code)
      if part == "keeper" then run("gc") end
      assert.same({}, box.wait_for(function()
        local left = left_of(name)
        return #left == 0 and left
      end, 10) or left_of(name))
      assert.equal(0, run("exec", "whole", "--", "true").code)
      destroyed("part")
      destroyed("whole")
    end)
  end

  it("tells its clients when its supervisor is killed, and leaves nothing", function()
    create("super")
    local name, pid = record("super").box, pid_of("super")
    box.shell(("(%s exec super -- sh -c 'echo ready; sleep 1000' > %s/out 2> %s/err; echo $? > %s/code) & ")
      :format(box.program, box.home, box.home, box.home) .. ("while [ ! -s %s/out ]; do sleep 0.05; done; kill -9 %s")
      :format(box.home, pid))
    assert.is_true(box.wait_for(function() return box.read(box.home .. "/code") == "137\n" end, 20))
    assert.equal("moonbox: the sandbox's supervisor ended\n", box.read(box.home .. "/err"))
    assert.equal("ended", record("super").state)
    assert.same({}, left_of(name))
    destroyed("super")
  end)

  it("leaves nothing when supervisor and keeper are killed while it stands still", function()
    create("frozen")
    local name, pid, keeper = record("frozen").box, pid_of("frozen"), parts("frozen").keeper
    local paused = run("pause", "frozen").code == 0
    box.shell(("kill -9 %s %s"):format(keeper or "", pid))
    assert.same({ "ended", "lost" }, { record("frozen").state, record("frozen").ended_by })
    assert.same({}, left_of(name))
    assert.is_boolean(paused)
    destroyed("frozen")
  end)

  it("can be destroyed when its supervisor stands still", function()
    create("stuck")
    local name = record("stuck").box
    box.shell("kill -STOP " .. pid_of("stuck"))
    assert.equal("running", record("stuck").state)
    assert.is_true(require("moonbox").open("stuck"):destroy())
    assert.same({}, left_of(name))
    assert.equal(125, run("inspect", "stuck").code)
  end)

  it("goes on when a client stands still, sends nonsense or nothing", function()
    create("crowd")
    box.shell(("%s exec crowd -- sh -c 'while :; do echo y; done' > /dev/null & echo $! > %s/pid; sleep 0.3; kill -STOP $!")
      :format(box.program, box.home))
    local talk = [[
import os, socket, struct, sys, time
dir = os.open(sys.argv[1], os.O_PATH)
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("/proc/self/fd/%d/control" % dir)
    return s
kept = [connect() for _ in range(300)]
for text in (b"\0" * 12, b"\xff" * 64, os.urandom(4096), struct.pack("<IHHI", 1 << 30, 1, 0, 1),
             struct.pack("<IHHI", 24, 1, 0, 1) + struct.pack("<IHHIII", 7, 0, 0, 1 << 31, 1 << 31, 0) + b"abcd",
             struct.pack("<IHHI", 4, 2, 0, 1) + struct.pack("<i", 9999),
             struct.pack("<IHHI", 3, 80, 0, 1) + b"{[\"", struct.pack("<IHHI", 4, 80, 0, 1) + b"null"):
    s = connect()
    try:
        s.sendall(text)
    except OSError:
        pass
    kept.append(s)
s = connect()
try:
    socket.send_fds(s, [struct.pack("<IHHI", 39, 1, 3, 1) + struct.pack("<IHHIII", 7, 0, 0, 1, 0, 0) + b"\0/bin/true\0\0\0\0\0"],
                    [s.fileno()] * 3)
except OSError:
    pass
time.sleep(1)
]]
    local file = assert(io.open(box.home .. "/talk.py", "w"))
    file:write(talk)
    file:close()
    box.shell(("python3 %s/talk.py %s/sandboxes/crowd"):format(box.home, box.state))
    assert.equal(0, run("exec", "crowd", "--", "true").code)
    assert.equal("running", record("crowd").state)
    destroyed("crowd")
    box.shell("kill -9 $(cat " .. box.home .. "/pid)")
  end)
end)
