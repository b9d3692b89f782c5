-- Tenants who try what a gateway should not be tried with: limits to the byte, slots, questions, rules that change meanwhile.
local box = require "support.box"
local json = require "moonbox.json"
local lab = require "support.lab"

local ALLOW = '  allow { "allowed.test", "*.allowed.test"%s },\n'

local function plan_of(rows) return assert(require("moonbox.plan").load(lab.policy(rows))) end

-- What programs of this file begin with: fetch(N, ...) asks the far end for N bytes and returns how many came, and how it ended.
local PRELUDE = [[
import socket, struct, sys, threading, time
def dial(name="allowed.test", port=19):
    return socket.create_connection((name, port), 20)
def fetch(count, name="allowed.test", seconds=60):
    handle, got, till = dial(name), 0, time.monotonic() + seconds
    try:
        handle.sendall(b"%d\n" % count)
        while time.monotonic() < till:
            piece = handle.recv(65536)
            got += len(piece)
            if not piece:
                return got, "end"
        return got, "time"
    except ConnectionResetError:
        return got, "reset"
def query(name, number=1):
    body = struct.pack("!HHHHHH", number, 256, 1, 0, 0, 0)
    for label in name.split("."):
        body += bytes([len(label)]) + label.encode()
    return body + b"\0\0\1\0\1"
]]

-- Runs a program under rows of `network`: what it printed, its flows, and the sandbox's counters. `meanwhile(text, box)` is called
-- with its output.
local function run(rows, program, meanwhile)
  local flows = box.home .. "/flows-" .. require("moonbox.core").sys.random_hex(4)
  local opened = box.open(plan_of(rows), { flows = flows })
  local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", PRELUDE .. program }, time = 60,
    on_output = meanwhile and function(_, bytes) meanwhile(bytes, opened) end })
  local counters = assert(opened.running:network())
  assert(opened:close())
  local lines = {}
  for line in box.read(flows):gmatch("[^\n]+") do lines[#lines + 1] = assert(json.decode(line)) end
  assert.equal("", outcome.stderr)
  return outcome.stdout, lines, counters
end

describe("a hostile tenant", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names() end)

  it("gets a row's bytes and not one more", function()
    local row = ALLOW:format ", bytes = 200 * KB"
    local out, flows, counters = run(row, "print(fetch(5000000)[1])")
    assert.equal("reset\n", out)
    assert.equal(204800, counters.up + counters.down)
    assert.equal("cut", flows[1].outcome)
    assert.equal("the row's bytes are used up", flows[1].reason)
    -- "204793\n" and its answer are all of it: that connection ends as it would without a limit, the next one is none.
    out, flows, counters = run(row, "print(fetch(204793))\ntry: dial()\nexcept OSError as why: print(type(why).__name__)")
    assert.equal("(204793, 'end')\nConnectionRefusedError\n", out)
    assert.equal(204800, counters.up + counters.down)
    assert.equal("closed", flows[1].outcome)
  end)

  it("does not get its limits anew when the rules change", function()
    local core = require "moonbox.core"
    local rows = ALLOW:format ", bytes = 100 * KB, requests = 3 / minute" .. "  requests = 4 / minute,\n"
    local out = run(rows, [[
def tries(n):
    for i in range(n):
        try: dial().close(); print("ok", end=" ")
        except OSError as why: print(type(why).__name__, end=" ")
tries(2)
print(fetch(60000)[0], flush=True)
time.sleep(0.5)
tries(2)]], function(text, opened)
      if text:find("60000", 1, true) then
        assert(opened.running:set_rules(core.rules(plan_of((rows:gsub("100 ", "50 "))).network):bytes()))
      end
    end)
    assert.equal("ok ok 60000\nConnectionRefusedError ConnectionRefusedError ", out)
  end)

  it("shares a limit among its connections, whoever asks for most", function()
    local out, _, counters = run(ALLOW:format "" .. "  bandwidth = 10 * Mbit,\n", [[
got, began = [0] * 8, time.monotonic()
def one(i): got[i] = fetch(50_000_000, "s%d.allowed.test" % i, 2)[0]
threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(min(got) * 8 > sum(got) * 0.5, sum(got) * 8 / (time.monotonic() - began) < 10.6e6, sum(got) * 8 > 2 * 8e6)]])
    assert.equal("True True True\n", out, "down: " .. counters.down)
  end)

  it("is answered over TCP what it is answered over UDP, each name counted once", function()
    lab.names { ["*.allowed.test"] = { A = { "203.0.113.10" } }, ["allowed.test"] = { A = { "203.0.113.10" } },
      ["none.allowed.test"] = { rcode = 3 } }
    local out = run(ALLOW:format "" .. '  dns = "verify",\n', [[
def read(stream, count):
    data = b""
    while len(data) < count:
        data += stream.recv(count - len(data)) or sys.exit("the stream ended")
    return data
stream = socket.create_connection(("127.0.0.1", 53), 20)
for name in "none.allowed.test", "some.allowed.test":
    stream.sendall(struct.pack("!H", len(query(name))) + query(name))
    reply = read(stream, struct.unpack("!H", read(stream, 2))[0])
    print(reply[3] & 15, struct.unpack("!H", reply[6:8])[0])
found = 0
for i in range(250):
    found += socket.gethostbyname("n%d.allowed.test" % i).startswith("198.18.")
print(found)]])
    assert.equal("3 0\n0 1\n250\n", out)
  end)

  it("who asks and reads no answer loses the stream, and nobody else notices", function()
    local out = run(ALLOW:format "", [[
stream = socket.create_connection(("127.0.0.1", 53), 20)
asked, frame = query("a." * 100 + "allowed.test"), b""
frame = struct.pack("!H", len(asked)) + asked
try:
    for i in range(20000): stream.sendall(frame * 50)
    print("taken")
except OSError as why: print(type(why).__name__)
print(fetch(10))]])
    assert.is_truthy(out == "ConnectionResetError\n(10, 'end')\n" or out == "BrokenPipeError\n(10, 'end')\n", out)
  end)

  it("can reset, half-close and stop reading in every state, a thousand at once", function()
    local out, _, counters = run(ALLOW:format "", [[
import random
random.seed(7)
now = struct.pack("ii", 1, 0)
def rude(i):
    handle = socket.socket()
    handle.setblocking(False)
    handle.connect_ex((address, (19, 7, 2001, 2002, 2004, 2005)[i % 6]))
    return handle
address = socket.gethostbyname("allowed.test")
for round in range(3):
    handles = [rude(i) for i in range(1000)]
    for step in range(3):
        random.shuffle(handles)
        for handle in handles:
            try:
                what = random.randrange(6)
                if what == 0: handle.send(b"300000\n")
                elif what == 1: handle.send(b"\x16\x03\x01")
                elif what == 2: handle.shutdown(socket.SHUT_WR)
                elif what == 3: handle.send(b"GET / HTTP/1.1\r\nHost: allowed.test")
                elif what == 4: handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now), handle.close()
            except OSError: pass
    for handle in handles: handle.close()
print(fetch(100))]])
    assert.equal("(100, 'end')\n", out)
    assert.is_true(counters.connections > 1000)
  end)

  -- The gateway of the one sandbox that this process has open: its pid.
  local function gateway()
    local sys = require("moonbox.core").sys
    for _, pid in ipairs(sys.list("/proc")) do
      local status = pid:match("^%d+$") and sys.read_file("/proc/" .. pid .. "/status", 65536)
      if status and status:find("^Name:%s*moonbox%-gateway\n") and tonumber(status:match("PPid:%s*(%d+)")) == sys.pid() then
        return pid
      end
    end
  end

  it("reaches nothing that could not be written down", function()
    local opened = box.open(plan_of(ALLOW:format ""), { flows = "/dev/full" })
    local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", PRELUDE .. [[
print(fetch(10))
time.sleep(0.5)
for _ in range(2):
    try: dial(); print("reached")
    except OSError as why: print(type(why).__name__)]] }, time = 60 })
    assert.equal("(10, 'end')\nConnectionRefusedError\nConnectionRefusedError\n", outcome.stdout, outcome.stderr)
    assert(opened:close())
  end)

  it("has no network once its gateway is gone, and ends as ever", function()
    local opened = box.open(plan_of(ALLOW:format ""))
    local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", PRELUDE .. [[
held = dial("allowed.test", 7)
print("held", flush=True)
try: print(held.recv(1))
except OSError as why: print(type(why).__name__)
held.close()
try: socket.create_connection(("203.0.113.10", 7), 3); print("reached")
except OSError as why: print("refused")
]] }, time = 30, on_output = function(_, bytes)
      if bytes:find("held", 1, true) then assert.equal(0, box.shell("kill -9 " .. gateway()).code) end
    end })
    assert.is_nil(outcome.stdout:find("reached", 1, true))
    assert.is_nil(outcome.stdout:find("Traceback", 1, true))
    assert(opened:close())
  end)
end)
