-- Probe 90: the small things that the kernel counts end in an error inside, and are given back.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local compile = require "support.compile"
local mode = require "support.mode"
local limited = require "support.limited"

-- The most that inotify(7) ever allows by itself is 1048576 watches, on a machine with enough memory.
local MOST = 1200000
local ROWS = 'files = { storage = "memory" },\nlimits = { open_files = 512, memory = 512 * MB, time = 120 * seconds },'

local ERRORS = { fds = "EMFILE", flocks = "EMFILE", epoll = "EMFILE", inotify = "EMFILE", watches = "ENOSPC", pty = "EMFILE",
  pipes = "EPERM", signals = "EAGAIN", timers = "EAGAIN", queues = "EMFILE", locked = "ENOMEM", keys = "EPERM" }
-- An ordinary user's own account bounds these as well (SECURITY.md, "Not promised"); root's is nobody's (core/owner).
local PER_ACCOUNT = { inotify = true, watches = true, pipes = true, signals = true, timers = true, queues = true }
local OF_THE_CALLER = mode.name() == "user" and PER_ACCOUNT or {}

describe("what the kernel counts (probe 90)", function()
  local helpers

  setup(function()
    box.enter()
    helpers = compile.helpers("hog")
  end)
  teardown(box.leave)

  local function taken(text, kind)
    local count, errno = text:match("^" .. kind .. " (%d+) (%a+)\n$")
    return tonumber(count), errno
  end

  -- What another process of the host gets, of eight.
  local function outside(kind)
    return box.shell(("cd %s && %s/hog exhaust %s 8"):format(box.home, helpers, kind)).stdout
  end

  local function open_files()
    return tonumber(box.read("/proc/sys/fs/file-nr"):match("^%d+"))
  end

  for kind, wanted in pairs(ERRORS) do
    it("90: " .. kind .. " end in an error of the sandbox's own", function()
      local opened, neighbour = limited.open(ROWS), limited.open(ROWS)
      finally(function()
        opened:close()
        neighbour:close()
      end)
      box.inside(opened, ("cd /tmp && /opt/spec/hog exhaust %s %d 30 > /workspace/said 2>&1 &"):format(kind, MOST))
      local text = box.wait_for(function()
        local said = box.inside(opened, "cat /workspace/said").stdout
        return said ~= "" and said
      end, 60)
      local count, errno = taken(text or "", kind)
      assert.equal(wanted, errno, text)
      assert.is_true(count < MOST, count)
      if not OF_THE_CALLER[kind] then
        local beside = taken(box.inside(neighbour, ("cd /tmp && /opt/spec/hog exhaust %s 8"):format(kind)).stdout, kind)
        assert.equal(kind == "keys" and 0 or 8, beside)
        assert.equal(8, taken(outside(kind), kind), "the host's own, and a control")
      end
    end)
  end

  it("90: are there again for others when the sandbox has ended", function()
    for kind in pairs(PER_ACCOUNT) do
      local opened = limited.open(ROWS)
      box.inside(opened, ("cd /tmp; /opt/spec/hog exhaust %s %d 60 > /workspace/said & while [ ! -s /workspace/said ]; do sleep 0.1; done")
        :format(kind, MOST))
      assert(opened:close())
      assert.is_true(box.wait_for(function()
        return taken(outside(kind), kind) == 8
      end, 60), kind)
    end
  end)

  it("90: are given back when the sandbox ends", function()
    local before = open_files()
    local opened = limited.open(ROWS:gsub("512,", "65536,", 1))
    box.inside(opened, "/opt/spec/hog exhaust fds 20000 60 > /workspace/said & sleep 1; while [ ! -s /workspace/said ]; do sleep 0.1; done")
    assert.is_true(open_files() > before + 10000, "control: they were taken")
    assert(opened:close())
    assert.is_true(box.wait_for(function() return open_files() < before + 10000 end, 10), open_files())
  end)
end)
