-- What a sandbox with a network still does not reach: the host, other sandboxes, internal addresses however they are written;
-- and what it reaches no more once its policy has changed. In the lab.
local box = require "support.box"
local lab = require "support.lab"

local ZONE = {
  ["allowed.test"] = { A = { "203.0.113.10" } }, ["sub.allowed.test"] = { A = { "203.0.113.10" } },
  ["host.test"] = { A = { "198.51.100.2" } }, ["lan.test"] = { A = { "192.168.77.2" } },
  ["mapped.test"] = { AAAA = { "::ffff:198.51.100.2" } }, ["nat64.test"] = { AAAA = { "64:ff9b::c633:6402" } },
  ["relay.test"] = { AAAA = { "2002:c633:6402::1" } }, ["unreachable.test"] = { A = { "203.0.113.98" } },
}

-- Servers on every kind of address of the host, for as long as `use(port)` runs.
local function with_listener(use)
  local stop = box.home .. "/stop"
  os.remove(stop)
  local handle = io.popen(([[python3 -c '
import os, socket, threading, time
tcp = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0moonbox-lab-host")
abstract.listen()
print(tcp.getsockname()[1], flush=True)
def serve():
    while True:
        tcp.accept()[0].sendall(b"the host")
threading.Thread(target=serve, daemon=True).start()
while not os.path.exists("%s"):
    time.sleep(0.05)
']]):format(stop))
  local port = handle:read("*n")
  local worked, why = pcall(use, port)
  io.open(stop, "w"):close()
  handle:close()
  assert(worked, why)
end

local function plan_of(rows)
  return assert(require("moonbox.plan").load(lab.policy(rows)))
end

describe("a sandbox with a network", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names(ZONE) end)

  it("reaches no address of the host's, public ones included, by number or by name (58)", function()
    with_listener(function(port)
      local open, wanted, outside = lab.policy '  otherwise = "allow",\n', {}, {}
      for _, address in ipairs { "127.0.0.1", "::1", "0.0.0.0", "198.51.100.2", "192.168.77.2", "2001:db8:51::2", "host.test",
        "lan.test", "100.64.0.30", "::ffff:198.51.100.2", "mapped.test" } do
        wanted["connect," .. address .. "," .. port] = "ECONNREFUSED"
      end
      -- On their way to a translator, which here is everybody: port 80 of the lab answers at any address.
      local carried = { "64:ff9b::c633:6402", "2002:c633:6402::1" }
      for _, address in ipairs(carried) do
        wanted["connect," .. address .. ",80"], outside["connect," .. address .. ",80"] = "ECONNREFUSED", "ok"
      end
      for _, name in ipairs { "nat64.test", "relay.test" } do wanted["connect," .. name .. ",80"] = "ECONNREFUSED" end
      for _, address in ipairs { "127.0.0.1", "::1", "198.51.100.2", "192.168.77.2", "2001:db8:51::2" } do
        outside["connect," .. address .. "," .. port] = "ok"
      end
      lab.expect_outside(outside)
      lab.expect(open, wanted)
    end)
  end)

  it("neither sees nor reaches abstract sockets of the host (61)", function()
    with_listener(function()
      local script = [[python3 -c '
import socket
try: socket.socket(socket.AF_UNIX).connect("\0moonbox-lab-host"); print("reached")
except OSError as why: print(why.strerror)'; grep -q moonbox-lab-host /proc/net/unix && echo listed || echo none]]
      assert.equal("reached\nlisted\n", box.shell(script).stdout)
      local inside = lab.exec(lab.policy 'allow { "allowed.test" },', { "/bin/sh", "-c", script })
      assert.equal("Connection refused\nnone\n", inside.stdout, inside.stderr)
    end)
  end)

  it("reaches no other sandbox, and not the ports that it publishes (58, 60)", function()
    local server = plan_of "publish { 8080 },"
    local other = box.open(plan_of '  otherwise = "allow",\n')
    local first = box.open(server)
    local published = first.published[1].at:match("(%d+)$")
    local outcome = assert(first:exec { run = { "/usr/bin/python3", "-c", [[
import socket
listener = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
print("up", flush=True)
listener.accept()]] }, time = 60, on_output = function()
      local found = assert(other:exec { run = { "/usr/bin/python3", "-c", ([[
import errno, socket
for address in "127.0.0.1", "::1", "100.64.0.30", "fd53:6278::2", "198.51.100.2":
    for port in 8080, %s:
        try: socket.create_connection((address, port), 10); print("reached", address, port)
        except OSError as why: print(errno.errorcode[why.errno])]]):format(published) } })
      assert.equal(("ECONNREFUSED\n"):rep(10), found.stdout, found.stderr)
      lab.try_outside { "connect,127.0.0.1," .. published }
    end })
    assert.equal(0, outcome.code, outcome.stderr)
    assert(first:close())
    assert(other:close())
  end)

  -- Every port that somebody listens on in this network namespace, TCP and UDP.
  local function listening()
    return box.shell("cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 "
      .. "| awk '$4 == \"0A\" || $4 == \"07\" { print $2 }' | sort").stdout
  end

  it("serves whom it likes inside, and nobody outside, unless it publishes (59)", function()
    local before = listening()
    local opened, said = box.open(plan_of 'allow { "allowed.test" },'), nil
    local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", [[
import socket, sys, threading
for family, address in (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1"), (socket.AF_INET, "100.64.0.30"):
    tcp = socket.create_server((address, 8080 if address == "0.0.0.0" else 8081), family=family)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    threading.Thread(target=lambda tcp=tcp: print("came", tcp.accept()), daemon=True).start()
print("up", flush=True)
import time; time.sleep(2)
socket.create_connection(("127.0.0.1", 8080), 20)
time.sleep(0.5)]] }, time = 60, on_output = function(_, bytes)
      if bytes ~= "up\n" then return end
      local tries = {}
      for _, address in ipairs { "127.0.0.1", "::1", "198.51.100.2", "192.168.77.2", "100.64.0.30", "fd53:6278::2" } do
        for _, port in ipairs { 8080, 8081 } do tries[#tries + 1] = ("udp,%s,%d"):format(address, port) end
        if address ~= "100.64.0.30" and address ~= "fd53:6278::2" then -- which the lab's internet answers for
          for _, port in ipairs { 8080, 8081 } do tries[#tries + 1] = ("connect,%s,%d"):format(address, port) end
        end
      end
      said = lab.try_outside(tries)
      assert.equal(before, listening())
    end })
    assert.equal(0, outcome.code, outcome.stderr)
    for try, answer in pairs(said) do assert.is_not.equal("ok", answer, try) end
    -- The control: its own connection came.
    assert.equal(1, select(2, outcome.stdout:gsub("came", "")), outcome.stdout)
    assert(opened:close())
  end)

  -- Listens for mDNS, SSDP and router advertisements, and says how many came; sends some of each.
  local NEIGHBOUR = [[
import socket, struct, sys, time
groups = (socket.AF_INET, "224.0.0.251", 5353), (socket.AF_INET, "239.255.255.250", 1900), (socket.AF_INET6, "ff02::fb", 5353)
heard = []
for family, group, port in groups:
    handle = socket.socket(family, socket.SOCK_DGRAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    handle.bind(("", port))
    lo = socket.if_nametoindex("lo")
    member = socket.inet_pton(family, group) + (struct.pack("=II", 0, lo) if family == socket.AF_INET else struct.pack("=I", lo))
    level, option = (0, 35) if family == socket.AF_INET else (41, 20)
    try: handle.setsockopt(level, option, member)
    except OSError: pass
    handle.setblocking(False)
    heard.append(handle)
print("listening", flush=True)
till, count = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < till:
    for family, group, port in groups + ((socket.AF_INET, "255.255.255.255", 5353), (socket.AF_INET, "100.64.0.31", 5353)):
        out = socket.socket(family, socket.SOCK_DGRAM)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if family == socket.AF_INET: out.setsockopt(0, 32, struct.pack("=4sII", bytes(4), 0, lo)[:12])
        try: out.sendto(sys.argv[2].encode(), (group, port) if family == socket.AF_INET else (group, port, 0, lo))
        except OSError: pass
    for handle in heard:
        try: count += handle.recv(100).decode() not in (sys.argv[2], "")
        except OSError: pass
    time.sleep(0.02)
try: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58); print("raw")
except OSError: pass
print(count)]]

  it("hears nothing of its neighbour, whoever asks whom (60)", function()
    local policy = lab.policy 'allow { "allowed.test" },'
    local point = lab.now()
    local function both(line)
      local other = io.popen(line("2.5", "other"))
      assert.equal("listening", other:read("*l"))
      local one = box.shell(line("1", "one")).stdout
      local rest = other:read("*a")
      other:close()
      return one, rest
    end
    local function command(seconds, name) return { "/usr/bin/python3", "-c", NEIGHBOUR, seconds, name } end
    local one, other = both(function(...) return lab.line(policy, command(...)) .. " 2>/dev/null" end)
    assert.equal("listening\n0\n0\n", one .. other)
    assert.same({}, lab.packets(point))
    -- The control: programs of one network hear each other.
    one, other = both(function(...) return box.words(command(...)) end)
    assert.is_true(tonumber(one:match("(%d+)\n$")) > 0 and tonumber(other:match("(%d+)\n$")) > 0, one .. other)
  end)

  it("is refused internal addresses however they are written, at once, and no packet leaves (57, 62)", function()
    local open = lab.policy '  otherwise = "allow",\n'
    local tries = {}
    for _, address in ipairs { "10.0.0.1", "127.1", "0", "0.0.0.0", "2130706433", "0x7f.1", "0177.0.0.1", "::", "::1",
      "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:0a00:0001::1", "2001::1",
      "fec0::1", "fd00:ec2::254", "169.254.169.254", "2852039166", "100.64.1.1", "192.0.0.1", "198.18.200.200", "224.0.0.1",
      "240.0.0.1", "255.255.255.255", "172.16.0.1", "192.168.1.1", "ff02::1", "0xa9fea9fe" } do
      tries[#tries + 1] = "connect," .. address .. ",80"
    end
    for _, address in ipairs { "203.0.113.10", "224.0.0.251", "255.255.255.255", "2001:db8:113::10", "ff02::fb" } do
      tries[#tries + 1] = "udp," .. address .. ",443"
    end
    local point, began = lab.now(), require("moonbox.core").sys.monotonic()
    for try, answer in pairs(lab.try(open, tries)) do
      local silent = try:match("^udp") and answer == "silent"
      assert.is_true(silent or answer:match("^E%u+$") ~= nil and answer ~= "ETIMEDOUT", try .. " " .. answer)
    end
    assert.is_true(require("moonbox.core").sys.monotonic() - began < 10)
    assert.same({}, lab.packets(point))
  end)

  it("is told what the far end would tell it", function()
    local policy = lab.policy 'allow { "allowed.test", "unreachable.test" },'
    local point = lab.now()
    lab.expect(policy, {
      ["connect,unreachable.test,80"] = "EHOSTUNREACH",
      ["fastopen,allowed.test,7"] = "ok",
      ["from,192.0.2.77,allowed.test,7"] = "ok",
      ["reset,allowed.test,2004"] = "ok",
      ["connect,100.64.0.30,1"] = "ECONNREFUSED",
      ["connect,127.0.0.1,1"] = "ECONNREFUSED",
    })
    local ended = {}
    assert(box.wait_for(function()
      ended = lab.log("streams", point, { event = "end", port = 2004 })
      return #ended > 0
    end, 10))
    assert.equal("reset", ended[1]["end"])
  end)
end)

describe("new rules for a sandbox that runs", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names(ZONE) end)

  local HOLD = [[
import socket, sys, time
held = {name: socket.create_connection((name, 7), 20) for name in ("allowed.test", "sub.allowed.test")}
for each in held.values(): each.sendall(b"x\n"); each.recv(2)
print("held", flush=True)
each = held["sub.allowed.test"]
try: print("cut" if not each.recv(1) else "more")
except OSError as why: print(why.strerror)
held["allowed.test"].sendall(b"y\n")
print(held["allowed.test"].recv(2).decode().strip())
try: socket.create_connection(("sub.allowed.test", 7), 20); print("reached")
except OSError as why: print(type(why).__name__)
]]

  it("cut what they do not allow within a second, keep the rest, and change no other sandbox (76)", function()
    local core = require "moonbox.core"
    local wide = 'allow { "allowed.test", "*.allowed.test" },'
    local opened = box.open(plan_of(wide))
    local cut_at, heard
    local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", HOLD }, time = 60, on_output = function(_, bytes)
      if bytes:find("held", 1, true) then
        local narrow = core.rules(plan_of('allow { "allowed.test" },').network):bytes()
        local set, _, code = opened.running:set_rules(narrow:sub(1, -2))
        assert.is_nil(set)
        assert.equal("EBADMSG", code)
        cut_at = core.sys.monotonic()
        assert(opened.running:set_rules(narrow))
      else
        heard = heard or core.sys.monotonic()
      end
    end })
    assert.equal("held\nConnection reset by peer\ny\ngaierror\n", outcome.stdout, outcome.stderr)
    assert.is_true(heard - cut_at < 1)
    assert(opened:close())
    lab.expect(lab.policy(wide), { ["connect,sub.allowed.test,7"] = "ok" })
  end)
end)
