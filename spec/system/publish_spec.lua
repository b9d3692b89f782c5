-- Published ports: what the policy declares can be reached from the host's loopback while the sandbox lives, and nothing
-- else can.
local box = require "support.box"
local json = require "moonbox.json"
local lab = require "support.lab"
local runs = require "support.runs"

-- Echoes each connection; one that says "stop", or is reset, ends the program.
local SERVER = [[
import os, socket, sys, threading
address = sys.argv[1]
listener = socket.create_server((address, 8080), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
def serve(connection):
    try:
        while piece := connection.recv(1 << 16):
            if piece == b"stop":
                os._exit(0)
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
    except ConnectionResetError:
        os._exit(0)
print("up", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
]]

local STOP = [[python3 -c 'import socket; socket.create_connection(("127.0.0.1", %d), 20).sendall(b"stop")']]

local function plan_of(rows)
  return assert(require("moonbox.plan").load(lab.policy(rows)))
end

-- Runs the server at an address inside, and `outside(port of the host, box)` meanwhile. Returns the flows.
local function serve(plan, address, outside)
  local flows = box.home .. "/flows-" .. require("moonbox.core").sys.random_hex(4)
  local opened = box.open(plan, { flows = flows })
  local port = tonumber(opened.published[1].at:match("(%d+)$"))
  local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", SERVER, address }, time = 60,
    on_output = function(stream, bytes)
      if stream ~= "stdout" then return error(bytes) end
      outside(port, opened)
    end })
  assert.equal(0, outcome.code, outcome.stderr)
  assert(opened:close())
  local out = {}
  for line in box.read(flows):gmatch("[^\n]+") do out[#out + 1] = assert(json.decode(line)) end
  return out
end

describe("a published port", function()
  setup(box.enter)
  teardown(box.leave)

  it("is served by what listens on the sandbox's loopback, and each connection is written down", function()
    for _, address in ipairs { "127.0.0.1", "0.0.0.0", "::1", "::" } do
      local flows = serve(plan_of "publish { 8080 },", address, function(port)
        assert.same({ ["echo,127.0.0.1," .. port .. ",3000000"] = "ok" },
          lab.try_outside { "echo,127.0.0.1," .. port .. ",3000000" })
        assert.equal(0, box.shell(STOP:format(port)).code)
      end)
      assert.equal(2, #flows, address)
      local flow = flows[1]
      assert.same({ "flow", "in", "allow", "127.0.0.1", 8080, "closed", 3000000, 3000000 },
        { flow.event, flow.direction, flow.verdict, flow.address, flow.port, flow.outcome, flow.up, flow.down })
      assert.matches("policy%-%x+%.lua:%d+$", flow.rule)
    end
  end)

  it("carries many connections at once, within the sandbox's bandwidth", function()
    local flows = serve(plan_of "publish { 8080 }, bandwidth = 8 * Mbit,", "127.0.0.1", function(port)
      local sys = require("moonbox.core").sys
      local tries = {}
      for i = 1, 40 do tries[i] = "echo,127.0.0.1," .. port .. ",20000" end
      for _, answer in pairs(lab.try_outside(tries)) do assert.equal("ok", answer) end
      local began = sys.monotonic()
      lab.try_outside { "echo,127.0.0.1," .. port .. ",1000000" }
      assert.is_true(sys.monotonic() - began > 0.7, "the limit is not held")
      assert.equal(0, box.shell(STOP:format(port)).code)
    end)
    assert.equal(42, #flows)
  end)

  it("has 1,024 connections at once, and serves those that wait when others end", function()
    local opened = box.open(plan_of "publish { 8080 },")
    local port = opened.published[1].at:match("(%d+)$")
    local said
    local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", [[
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
async def serve(reader, writer):
    while piece := await reader.read(100):
        if piece == b"stop":
            over.set()
        writer.write(piece)
    writer.close()
async def main():
    global over
    over = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 8080, backlog=2048):
        print("up", flush=True)
        await over.wait()
asyncio.run(main())]] }, time = 60, on_output = function()
      said = box.shell(([[python3 -c '
import resource, select, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = [socket.create_connection(("127.0.0.1", %s), 20) for _ in range(1100)]
for each in held:
    each.sendall(b"x")
def answered(patience):
    poll, left, count = select.poll(), {each.fileno(): each for each in held}, 0
    for number in left:
        poll.register(number, select.POLLIN)
    while left and (ready := poll.poll(patience)):
        for number, _ in ready:
            count += left[number].recv(10) == b"x"
            poll.unregister(number)
            held.remove(left.pop(number))
    return count
alive = list(held)
print(answered(1000))
for each in alive:
    if each not in held:
        each.close()
print(answered(3000))
socket.create_connection(("127.0.0.1", %s), 20).sendall(b"stop")
']]):format(port, port))
    end })
    assert.equal("1024\n76\n", said.stdout, said.stderr)
    assert.equal(0, outcome.code, outcome.stderr)
    assert(opened:close())
  end)

  it("is reset where nothing listens, and closed with the sandbox", function()
    local flows = box.home .. "/flows"
    local opened = box.open(plan_of 'publish { 8080, on = "[::1]:0" },', { flows = flows })
    local where = opened.published[1].at:match("^%[::1%]:(%d+)$")
    local try = "talk,::1," .. where
    local answer = lab.try_outside({ try })[try]
    assert.is_true(answer == "ECONNRESET" or answer == "EPIPE", answer)
    assert(opened:close())
    assert.same({ [try] = "ECONNREFUSED" }, lab.try_outside { try })
    local flow = json.decode(box.read(flows))
    assert.same({ "in", "refused", "port 8080 of the sandbox: Connection refused" },
      { flow.direction, flow.outcome, flow.reason })
  end)

  it("is the one thing that listens on the host, on loopback, and reaches no other port", function()
    local listening = "cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\" { print $2 }' | sort"
    local before = box.shell(listening).stdout
    serve(plan_of "publish { 8080 },", "127.0.0.1", function(port)
      local now = {}
      for line in box.shell(listening).stdout:gmatch("[^\n]+") do
        if not before:find(line, 1, true) then now[#now + 1] = line end
      end
      assert.same({ ("0100007F:%04X"):format(port) }, now)
      assert.same({ ["connect,127.0.0.1,8080"] = "ECONNREFUSED" }, lab.try_outside { "connect,127.0.0.1,8080" })
      assert.equal(0, box.shell(STOP:format(port)).code)
    end)
    assert.equal(before, box.shell(listening).stdout)
  end)

  it("closes, and its connections are cut, when new rules do not have it", function()
    local flows = serve(plan_of "publish { 8080 },", "127.0.0.1", function(port, opened)
      local held = io.popen(([[python3 -c 'import socket
held = socket.create_connection(("127.0.0.1", %d), 20)
held.sendall(b"x"); held.recv(1); print("held", flush=True)
try: print("eof" if not held.recv(1) else "more")
except OSError as why: print(why.strerror)']]):format(port))
      assert.equal("held", held:read("*l"))
      local core = require "moonbox.core"
      local function rules(rows) return core.rules(plan_of(rows).network):bytes() end
      local set, message, code = opened.running:set_rules(rules "publish { 8080, 8081 },")
      assert.is_nil(set)
      assert.equal("EOPNOTSUPP", code)
      assert.matches("policy%-%x+%.lua:%d+: port 8081 can't be published in a sandbox that runs", message)
      assert(opened.running:set_rules(rules 'publish { 8080 }, allow { "allowed.test" },'))
      assert.same({ ["connect,127.0.0.1," .. port] = "ok" }, lab.try_outside { "connect,127.0.0.1," .. port })
      assert(opened.running:set_rules(rules 'allow { "allowed.test" },'))
      assert.equal("Connection reset by peer", held:read("*l"))
      held:close()
      assert.same({ ["connect,127.0.0.1," .. port] = "ECONNREFUSED" }, lab.try_outside { "connect,127.0.0.1," .. port })
    end)
    assert.equal("closed", flows[1].outcome)
    assert.equal("cut", flows[2].outcome)
  end)

  it("can have a port of the host's of its own, and is refused one that is taken", function()
    local first = box.open(plan_of 'publish { 8080, on = "127.0.0.1:18080" },')
    assert.equal("127.0.0.1:18080", first.published[1].at)
    local second, message, code = require("moonbox.sandbox").open(plan_of 'publish { 9090, on = "127.0.0.1:18080" },')
    assert.is_nil(second)
    assert.equal(125, code)
    assert.matches("^publish ports: .*policy%-%x+%.lua:%d+: listen on 127%.0%.0%.1, port 18080: Address already in use$", message)
    assert(first:close())
    assert(box.open(plan_of 'publish { 9090, on = "127.0.0.1:18080" },'):close())
  end)

  it("is told by exec, in words and as an event", function()
    local policy = lab.policy "publish { 8080, 8081 },"
    local said = box.exec({ "--policy", policy }, { "true" })
    assert.equal(0, said.code, said.stderr)
    assert.matches("moonbox: port 8080 of the sandbox is 127%.0%.0%.1:%d+ here %(.*policy%-%x+%.lua:%d+%)\n", said.stderr)
    assert.matches("moonbox: port 8081 of the sandbox is 127%.0%.0%.1:%d+ here", said.stderr)
    local events = {}
    for line in box.exec({ "--policy", policy, "--json" }, { "true" }).stderr:gmatch("[^\n]+") do
      local event = assert(json.decode(line))
      if event.event == "published" then events[#events + 1] = event end
    end
    assert.same({ 8080, 8081 }, { events[1].port, events[2].port })
    assert.matches("^127%.0%.0%.1:%d+$", events[1].at)
  end)

  it("is in the record of a task", function()
    local folder = runs.folder()
    local policy = lab.policy "publish { 8080 },"
    local code, out, err, record = runs.pipeline(folder,
      ([[return pipeline "p" { policy = "%s", step "s" { run = { "true" } } }]]):format(policy))
    assert.equal(0, code, err)
    assert.matches("  port    8080 of the sandbox is 127%.0%.0%.1:%d+ here", out .. err)
    assert.truthy(box.read(record .. "/events.jsonl"):find('"event":"published"', 1, true))
    runs.remove(folder)
  end)
end)
