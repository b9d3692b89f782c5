-- Boxes with a network that were made ahead (sandbox.ready), and what their gateways cost. In the lab.
local box = require "support.box"
local lab = require "support.lab"

local core = require "moonbox.core"

local sys = core.sys

describe("a box with a network, made ahead,", function()
  local sandbox, plan
  setup(function()
    box.enter()
    sandbox = require "moonbox.sandbox"
    lab.names { ["allowed.test"] = { A = { "203.0.113.10" } } }
  end)
  teardown(box.leave)
  before_each(function()
    plan = assert(require("moonbox.plan").load(lab.policy 'allow { "allowed.test" }, publish { 8080 },'))
  end)
  after_each(function() assert.is_true(sandbox.ready(plan, 0)) end)

  local GET = { "/usr/bin/python3", "-c", [[
import urllib.request
print(urllib.request.urlopen("http://allowed.test/hello").read().decode(), end="")
open("/tmp/left", "x")]] }

  local function gateways()
    local found = {}
    for _, pid in ipairs(sys.list "/proc") do
      local status = pid:match("^%d+$") and box.read("/proc/" .. pid .. "/status") or ""
      if status:match("^Name:\tmoonbox%-gateway\n") and tonumber(status:match("PPid:%s+(%d+)")) == sys.pid() then
        found[#found + 1] = pid
      end
    end
    return found
  end

  it("has its own gateway and ports, and is used once", function()
    assert.is_true(sandbox.ready(plan, 2))
    assert.is_true(box.wait_for(function() return #gateways() == 2 end, 10))
    local seen, told = {}, {}
    for i = 1, 3 do
      local opened = box.open(plan, { on_event = function(event) told[#told + 1] = event.event end })
      local at = opened.published[1].at
      assert.is_nil(seen[at])
      seen[at] = true
      local outcome = assert(opened:exec { run = GET })
      assert.equal("hello from 203.0.113.10\n", outcome.stdout, outcome.stderr)
      assert.equal(1, outcome.usage.network.connections)
      assert.is_true(opened:close())
      assert.equal(i, #told)
    end
    assert.is_true(sandbox.ready(plan, 0))
    assert.equal(0, #gateways())
  end)

  it("is not given out when its gateway has ended", function()
    assert.is_true(sandbox.ready(plan, 1))
    local pid = assert(box.wait_for(function() return gateways()[1] end, 10))
    assert.equal(0, box.shell("kill -9 " .. pid).code)
    assert(box.wait_for(function() return #gateways() == 0 or (box.read("/proc/" .. pid .. "/status") or "Z"):find("Z") end, 10))
    local opened = box.open(plan)
    assert.equal("hello from 203.0.113.10\n", assert(opened:exec { run = GET }).stdout)
    assert.is_true(opened:close())
  end)

  it("says what its gateway used, beside what the box did", function()
    local opened = box.open(plan)
    local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", [[
import socket
handle = socket.create_connection(("allowed.test", 19))
handle.sendall(b"300000000\n")
while handle.recv(1 << 20): pass]] } })
    assert.equal(0, outcome.code, outcome.stderr)
    local network = outcome.usage.network
    assert.equal(300000000, network.down)
    assert.is_true(network.cpu_seconds > 0.005 and network.cpu_seconds < 10, tostring(network.cpu_seconds))
    local again = assert(opened:exec { run = { "/bin/true" } }).usage.network
    assert.is_true(again.cpu_seconds - network.cpu_seconds < network.cpu_seconds)
    assert.is_true(opened:close())
  end)
end)
