-- DNS that attacks: answers from outside that are forged, malformed or lead in circles, and questions from inside that no
-- resolver would ask. In the lab.
local box = require "support.box"
local json = require "moonbox.json"
local lab = require "support.lab"

local SITE = { A = { "203.0.113.10" } }

-- An answer section of one record, behind the question of `x.test`, which ends at byte 24. What follows the name: A, IN, a
-- second, as many bytes.
local function record(name, size) return { records = name .. "0001000100000001" .. (size or "0004") .. "cb00710a" } end

-- A forged answer comes first; the second try gets a true one.
local function forged(source)
  return { turns = { { A = { "203.0.113.66" }, source = source }, { A = { "203.0.113.10" } } } }
end

local ZONE = {
  ["id.test"] = forged "id", ["question.test"] = forged "question", ["address.test"] = forged "address",
  ["loop.test"] = { CNAME = { "pool.test" } }, ["pool.test"] = { CNAME = { "loop.test" } },
  ["self.test"] = { CNAME = { "self.test" } },
  ["inner.test"] = { CNAME = { "db.corp.test" } }, ["db.corp.test"] = { CNAME = { "host.corp.test" } },
  ["host.corp.test"] = { A = { "10.0.0.5" } }, ["corp.test"] = { CNAME = { "localhost" } },
  ["s.test"] = record "c018", ["f.test"] = record "c0ff", ["r.test"] = record("c00c", "00ff"), ["t.test"] = record "c01ac018",
  ["many.test"] = { A = (function() local all = {} for i = 1, 80 do all[i] = "203.0.113." .. i end return all end)() },
  ["empty.test"] = {}, ["cut.test"] = { turns = { { raw = "8180" }, { A = { "203.0.113.10" } } } },
  ["good.test"] = SITE, ["allowed.test"] = SITE,
}

describe("a resolver that", function()
  setup(box.enter)
  teardown(box.leave)

  local function allow(...) return lab.policy(('  allow { "%s" },\n'):format(table.concat({ ... }, '", "'))) end

  it("lies about who answers, or what was asked, is not believed", function()
    lab.names(ZONE)
    local names = { "id.test", "question.test", "address.test", "cut.test", "good.test" }
    local point = lab.now()
    -- At the same time, as each forged answer costs its name two seconds.
    local result = lab.exec(allow(unpack(names)), { "/usr/bin/python3", "-c", [=[
import socket, sys, threading
def one(name):
    try: socket.create_connection((name, 2003), 30).close(); print(name, "ok", flush=True)
    except OSError as why: print(name, why, flush=True)
threads = [threading.Thread(target=one, args=(name,)) for name in sys.argv[1:]]
for each in threads: each.start()
for each in threads: each.join()]=], unpack(names) })
    assert.equal(5, select(2, result.stdout:gsub("%S+ ok\n", "")), result.stdout .. result.stderr)
    local asked = {}
    for _, query in ipairs(lab.queries(point)) do asked[query] = (asked[query] or 0) + 1 end
    -- The control: each forged answer was sent, and asked past.
    for _, name in ipairs(names) do
      assert.equal(name == "good.test" and 1 or 2, asked["A " .. name], name)
    end
    for _, packet in ipairs(lab.packets(point)) do assert.is_nil(packet:find("203.0.113.66", 1, true), packet) end
  end)

  it("leads in circles, to internal addresses, nowhere or beyond its message costs the connection and no more", function()
    lab.names(ZONE)
    local point = lab.now()
    local policy = allow("loop.test", "self.test", "inner.test", "corp.test", "many.test", "empty.test", "s.test",
      "f.test", "r.test", "t.test", "allowed.test")
    local wanted = { ["connect,inner.test,80"] = "ECONNREFUSED", ["connect,allowed.test,2003"] = "ok" }
    for _, name in ipairs { "loop", "self", "corp", "many", "empty", "s", "f", "r", "t" } do
      wanted["connect," .. name .. ".test,80"] = "EHOSTUNREACH"
    end
    require("support.runs").remove(box.state .. "/tasks")
    lab.expect(policy, wanted)
    local why = {}
    for line in box.shell("build/moonbox flows last --json").stdout:gmatch("[^\n]+") do
      local flow = assert(json.decode(line))
      why[flow.name] = flow.reason or flow.verdict
    end
    local wanted_why = { ["allowed.test"] = "allow", ["inner.test"] = "internal addresses are never reached",
      ["many.test"] = "the name has too many addresses" }
    for _, name in ipairs { "loop", "self", "corp", "empty" } do wanted_why[name .. ".test"] = "the name does not exist" end
    for _, name in ipairs { "s", "f", "r", "t" } do wanted_why[name .. ".test"] = "the resolver failed" end
    assert.same(wanted_why, why)
    for _, packet in ipairs(lab.packets(point)) do
      assert.is_truthy(packet:match "203%.0%.113%.%d+ 53$" or packet:match " 2003$", packet)
    end
  end)
end)

describe("a program's own question", function()
  setup(box.enter)
  teardown(box.leave)

  it("may be any bytes at all: its gateway answers the next one, and asks nobody", function()
    lab.names { ["allowed.test"] = SITE }
    local point = lab.now()
    local result = lab.exec(lab.policy '  allow { "allowed.test" },\n', { "/usr/bin/python3", "-c", [=[
import random, socket, struct
random.seed(3)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(20)
udp.connect(("127.0.0.1", 53))
def head(questions=1, flags=256, answers=0, more=0): return struct.pack("!HHHHHH", 7, flags, questions, answers, 0, more)
good = b"\7allowed\4test\0\0\1\0\1"
def code():
    while True:
        reply = udp.recv(2048)
        if reply[:2] != b"\0\7":
            return reply
        codes.append(reply[3] & 15)
codes = []
odd = {"points to itself": head() + b"\xc0\x0c\0\1\0\1", "points forward": head() + b"\xc0\xff\0\1\0\1",
       "points back into the head": head() + b"\1a\xc0\0\0\1\0\1", "two that point to each other": head() + b"\xc0\x0e\xc0\x0c\0\1\0\1",
       "a label beyond the end": head() + b"\x3fallowed", "a reserved label": head() + b"\x80allowed\0\0\1\0\1",
       "no question": head(0), "two questions": head(2) + good + good, "questions without end": head(65535) + good,
       "an answer": head(flags=0x8180) + good, "records beside it": head(answers=1) + good,
       "two OPT": head(more=2) + good + b"\0\0\x29\4\xd0\0\0\0\0\0\0" * 2,
       "a long name": head() + b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 4 + b"\0\0\1\0\1", "nothing": b"", "one byte": b"\0"}
for what, message in odd.items():
    udp.send(message)
udp.send(struct.pack("!H", 1) + (head() + good)[2:])
last = code()
print(sorted(set(codes)), last[3] & 15, last[-4:-2] == b"\xc6\x12")
for i in range(2000):
    message = bytearray(head() + good)
    for _ in range(random.randrange(1, 9)):
        message[random.randrange(2, len(message))] = random.randrange(256)
    udp.send(bytes(message[:random.randrange(2, len(message) + 1)]))
    if i % 100 == 99:
        udp.send(struct.pack("!H", i) + (head() + good)[2:])
        code()
print(socket.gethostbyname("allowed.test"))
stream = socket.create_connection(("127.0.0.1", 53), 20)
stream.sendall(b"\xff\xff" + bytes(70000))
try:
    while stream.recv(4096): pass
    print("closed")
except OSError: print("closed")
stream = socket.create_connection(("127.0.0.1", 53), 20)
for byte in struct.pack("!H", len(head() + good)) + head() + good:
    stream.send(bytes([byte]))
print(len(stream.recv(4096)) > 30)]=] })
    assert.equal("", (result.stderr:gsub("moonbox: network: [^\n]*\n", "")))
    local first = "%[1%] 0 True\n198%.18%.%d+%.%d+\nclosed\nTrue\n"
    assert.matches("^" .. first .. "$", result.stdout)
    assert.same({}, lab.queries(point))
    assert.same({}, lab.packets(point))
  end)
end)
