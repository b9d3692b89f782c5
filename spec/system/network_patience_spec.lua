-- How long a supervisor waits for a gateway that stands still, and that an answer is taken for no other question's.
local box = require "support.box"
local gateway = require "support.gateway"
local lab = require "support.lab"

local core = require "moonbox.core"
local ffi = require "ffi"

local sys = core.sys

local function gateway_pid()
  for _, pid in ipairs(sys.list "/proc") do
    local status = pid:match("^%d+$") and box.read("/proc/" .. pid .. "/status") or ""
    if status:match("^Name:\tmoonbox%-gateway\n") and tonumber(status:match("PPid:%s+(%d+)")) == sys.pid() then return pid end
  end
end

describe("a supervisor", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names { ["allowed.test"] = { A = { "203.0.113.10" } } } end)

  it("gives up a gateway that stands still after five seconds, and takes no late answer for a new one", function()
    local opened = box.open(assert(require("moonbox.plan").load(lab.policy 'allow { "allowed.test" },')))
    local function get() return assert(opened:exec { run = { "/usr/bin/python3", "-c", [[
import socket
socket.create_connection(("allowed.test", 2005), 20)]] } }) end
    assert.equal(0, get().code)
    assert.equal(1, assert(opened.running:network()).connections)
    local pid = assert(gateway_pid())
    assert.equal(0, box.shell("kill -STOP " .. pid).code)
    local began = sys.monotonic()
    local counters, why, code = opened.running:network()
    local took = sys.monotonic() - began
    assert.equal(0, box.shell("kill -CONT " .. pid).code)
    assert.is_nil(counters)
    assert.equal("the gateway does not answer ETIMEDOUT", why .. " " .. code)
    assert.is_true(took >= 5 and took < 10, tostring(took))
    -- The answer of then comes first, and is no answer to this.
    local set, _, refused = opened.running:set_rules "no rules"
    assert.is_nil(set)
    assert.equal("EBADMSG", refused)
    assert.equal(0, get().code)
    assert.equal(2, assert(opened.running:network()).connections)
    assert(opened:close())
  end)
end)

describe("the question whether an address is the host's own", function()
  setup(box.enter)
  teardown(box.leave)

  it("is not answered by the answer to an earlier one", function()
    local far, own = "203.0.113.10", "198.51.100.2"
    local socket = gateway.own_socket()
    for _ = 1, 2 do
      for address, wanted in pairs { [far] = false, [own] = true } do
        assert.equal(wanted, gateway.own(socket, address))
        gateway.ask_route(socket, address == far and own or far) -- nobody takes that answer
        assert.equal(wanted, gateway.own(socket, address), address)
      end
    end
    ffi.C.close(socket)
  end)
end)
