-- Hosts and ports as they can be spelled, in every place where one is named: the policy, DNS, an address, an HTTP request, a
-- server name. What is not plainly the allowed host is refused, and no packet of it leaves. In the lab.
local box = require "support.box"
local lab = require "support.lab"
local runs = require "support.runs"

local SITE = { A = { "203.0.113.10" } }

-- Addresses that no name may lead to, and no request on an allowed connection may be for.
local INTERNAL = { "10.0.0.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "100.64.1.1", "192.0.0.1", "198.18.200.200", "224.0.0.1",
  "240.0.0.1", "255.255.255.255", "172.16.0.1", "192.168.1.1", "198.51.100.2",
  "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:0a00:0001::1",
  "2001::1", "fec0::1", "fe80::1", "fd00:ec2::254", "ff02::1" }

describe("every spelling:", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names { ["allowed.test"] = SITE, ["*.allowed.test"] = SITE, ["ported.test"] = SITE, ["evil.test"] = SITE } end)

  -- What leaves may only be a question to the resolver, or for the site on these ports.
  local function assert_left(point, ports)
    for _, packet in ipairs(lab.packets(point)) do
      local port = packet:match "^%a+ 203%.0%.113%.10 (%d+)$"
      assert.is_truthy(packet == "udp 203.0.113.53 53" or port and ports[tonumber(port)], packet)
    end
  end

  it("a name that leads to an internal address, alone or behind a good one, is refused (63)", function()
    local zone, wanted, names = {}, { ["connect,good.test,2003"] = "ok" }, { "good.test" }
    zone["good.test"] = SITE
    for i, address in ipairs(INTERNAL) do
      local kind = address:find(":", 1, true) and "AAAA" or "A"
      local alone, mixed = ("alone%d.test"):format(i), ("mixed%d.test"):format(i)
      zone[alone] = { [kind] = { address } }
      zone[mixed] = { A = { "203.0.113.10" }, AAAA = { "2001:db8:113::10" } }
      table.insert(zone[mixed][kind], address)
      for _, name in ipairs { alone, mixed } do
        names[#names + 1], wanted["connect," .. name .. ",80"] = name, "ECONNREFUSED"
      end
    end
    lab.names(zone)
    local point = lab.now()
    lab.expect(lab.policy(('  allow { "%s" },\n'):format(table.concat(names, '", "'))), wanted)
    assert_left(point, { [2003] = true })
  end)

  -- Sends each head on a connection of its own to allowed.test: a line "LABEL STATUS", or "LABEL refused".
  local REQUEST = [=[
import socket, sys
for label, head in cases:
    handle = socket.create_connection(("allowed.test", 80), 20)
    try:
        handle.sendall(head.encode("latin-1"))
        handle.shutdown(socket.SHUT_WR)
        said = handle.recv(100).decode("latin-1").split(" ")
        print(label, said[1] if len(said) > 1 else "refused")
    except OSError: print(label, "refused")
]=]

  local function request(cases)
    local text = {}
    for label, head in pairs(cases) do
      local escaped = head:gsub("[^%w ./:]", function(c) return ("\\x%02x"):format(c:byte()) end)
      text[#text + 1] = ("(%q, \"%s\")"):format(label, escaped)
    end
    local result = lab.exec(lab.policy '  allow { "allowed.test" },\n',
      { "/usr/bin/python3", "-c", "cases = [" .. table.concat(text, ", ") .. "]\n" .. REQUEST })
    assert.equal(0, result.code, result.stderr)
    return box.answers(result.stdout)
  end

  it("a request for another host is refused, as absolute URI, CONNECT or Host (62)", function()
    local cases = { control = "GET /hello HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
      ["control-absolute"] = "GET http://allowed.test/hello HTTP/1.1\r\nHost: allowed.test\r\n\r\n" }
    local spelled = { "127.1", "0", "2130706433", "0x7f.1", "0177.0.0.1", "evil.test" }
    for _, address in ipairs(INTERNAL) do
      spelled[#spelled + 1] = address:find(":", 1, true) and "[" .. address .. "]" or address
    end
    for i, host in ipairs(spelled) do
      cases["absolute" .. i] = ("GET http://%s/hello HTTP/1.1\r\nHost: allowed.test\r\n\r\n"):format(host)
      cases["connect" .. i] = ("CONNECT %s:80 HTTP/1.1\r\nHost: %s:80\r\n\r\n"):format(host, host)
      cases["host" .. i] = ("GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n"):format(host)
    end
    local point = lab.now()
    for label, answer in pairs(request(cases)) do
      -- The lab's server has no page of an absolute URI's path: an answer is what counts.
      assert.equal(label:match "^control" and "answered" or "refused", answer:match "^[24]0[04]$" and "answered" or answer, label)
    end
    local served = lab.log("web", point, { event = "request" })
    assert.equal(2, #served)
    for _, line in ipairs(served) do assert.equal("allowed.test", line.host) end
    assert_left(point, { [80] = true })
  end)

  it("a Host has one canonical form or none (66)", function()
    local same = { "allowed.test", "ALLOWED.Test", "allowed.test:80", "allowed.test." }
    local other = { ".allowed.test", "allowed..test", "allowed.test..", "allowed.test%2e", "allowed.test%00", "allowed.test\0",
      "allowed.test\t.x",
      "allowed .test", "allowed.test@evil.test", "evil.test@allowed.test", "allowed.test#", "allowed\\.test", "allowed_test",
      "\239\188\161llowed.test", "allowed\239\188\142test", "allowed\226\128\139.test", "xn--allowed-9xa.test", "allowed.test:80:80",
      "allowed.test:", "allowed.test:0x50", "allowed.test:80 x", "allowed.test, evil.test", "", "http://allowed.test",
      ("a"):rep(64) .. ".allowed.test", ("a."):rep(126) .. "allowed.test" }
    local cases, wanted = {}, {}
    for i, host in ipairs(same) do
      cases["same" .. i], wanted["same" .. i] = ("GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n"):format(host), "200"
    end
    for i, host in ipairs(other) do
      cases["other" .. i], wanted["other" .. i] = ("GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n"):format(host), "refused"
    end
    assert.same(wanted, request(cases))
  end)

  it("a question has one canonical name or none (66)", function()
    local point = lab.now()
    local result = lab.exec(lab.policy '  allow { "allowed.test", "*.allowed.test" },\n', { "/usr/bin/python3", "-c", [=[
import socket, struct
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(20)
udp.connect(("127.0.0.1", 53))
def ask(*labels):
    name = b"".join(bytes([len(each)]) + each for each in labels) + b"\0"
    udp.send(struct.pack("!HHHHHH", 7, 256, 1, 0, 0, 0) + name + b"\0\1\0\1")
    reply = udp.recv(2048)
    return reply[3] & 15, struct.unpack("!H", reply[6:8])[0]
print(ask(b"allowed", b"test"), ask(b"ALLOWED", b"tEsT"), ask(b"a_b", b"allowed", b"test"))
odd = [b"allowed.test"], [b"evil.allowed", b"test"], [b"x\0", b"allowed", b"test"], [b"x\r\n", b"allowed", b"test"], \
      [b"x\t", b"allowed", b"test"], \
      [b" ", b"allowed", b"test"], [b"x@evil", b"allowed", b"test"], [b"*", b"allowed", b"test"], [b"-x", b"allowed", b"test"], \
      [b"\xef\xbc\xa1", b"allowed", b"test"], [b"x%2e", b"allowed", b"test"], [b"a" * 63] * 3 + [b"b" * 60, b"allowed", b"test"], \
      [b"allowed", b"test\0"], []
print({ask(*each) for each in odd})]=] })
    assert.equal("(0, 1) (0, 1) (0, 1)\n", result.stdout:match("^[^\n]*\n"), result.stderr)
    -- NXDOMAIN, or FORMERR of what is no name at all, and never an address.
    local codes = { ["{(3, 0), (1, 0)}"] = true, ["{(1, 0), (3, 0)}"] = true, ["{(3, 0)}"] = true }
    assert.is_true(codes[result.stdout:match "({.*})"], result.stdout)
    assert.same({}, lab.queries(point))
  end)

  -- `moonbox check` of a policy with this network: its exit code and what it said.
  local function check(network)
    local path = runs.write(box.home .. "/check.lua",
      ('return policy "check" {\n  extends = "base",\n  network = %s,\n}\n'):format(network))
    local result = box.shell("build/moonbox check " .. path)
    return result.code, result.stdout .. result.stderr
  end

  it("a list that is empty, missing or none gives no network, and a key that nobody knows is a mistake (68)", function()
    for _, network in ipairs { "{}", "{ allow {} }", "nil", '"none"' } do
      local path = runs.write(box.home .. "/none.lua",
        ('return policy "none" {\n  extends = "base",\n  network = %s,\n}\n'):format(network))
      local answers = lab.try(path, { "connect,203.0.113.10,80", "resolve,allowed.test" })
      assert.is_truthy(({ ENETUNREACH = 1, ECONNREFUSED = 1 })[answers["connect,203.0.113.10,80"]], network)
      assert.matches("^EAI_", answers["resolve,allowed.test"])
    end
    for _, network in ipairs { "false", "5", '"allow"', "{ 5 }", '{ "allowed.test" }', "{ allow { 5 } }", "{ allow { nil, {} } }",
      "{ allow { true } }",
      '{ alow { "allowed.test" } }', '{ allow { "allowed.test", prots = { 443 } } }',
      '{ allow = { "allowed.test" } }', '{ otherwise = "alow" }' } do
      local code, said = check(network)
      assert.equal(65, code, network .. " " .. said)
      assert.matches("check%.lua:%d+: ", said)
    end
    assert.equal(0, (check '{ allow { "allowed.test" } }'))
  end)

  it("a port is a whole number from 1 to 65535, and the row's own (69)", function()
    for _, row in ipairs { '"ported.test:0"', '"ported.test:65536"', '"ported.test:443 "', '"ported.test: 443"', '"ported.test:+443"',
      '"ported.test:0443"',
      '"ported.test:"', '"ported.test:443:80"', '"ported.test", ports = { 0 }', '"ported.test", ports = { 65536 }',
      '"ported.test", ports = { "443 " }',
      '"ported.test", ports = { 443.5 }', '"ported.test", ports = { -1 }' } do
      local code, said = check("{ allow { " .. row .. " } }")
      assert.equal(65, code, row .. " " .. said)
    end
    assert.equal(0, (check '{ allow { "ported.test:443" } }'))
    local wanted, point = { ["connect,ported.test,443"] = "ok" }, lab.now()
    for _, port in ipairs { 0, 22, 80, 442, 444, 8443, 65535 } do wanted["connect,ported.test," .. port] = "ECONNREFUSED" end
    lab.expect(lab.policy '  allow { "ported.test:443" },\n', wanted)
    assert_left(point, { [443] = true })
  end)

  it("a resolver of a program's own choice is the gateway or nobody, over DNS, TLS and HTTPS (82)", function()
    local point = lab.now()
    local wanted = { ["resolve,dns.google"] = "EAI_NONAME", ["resolve,cloudflare-dns.com"] = "EAI_NONAME",
      ["resolve,use-application-dns.net"] = "EAI_NONAME" }
    for _, server in ipairs { "8.8.8.8", "1.1.1.1", "203.0.113.53", "2001:4860:4860::8888" } do
      for _, transport in ipairs { "", ",tcp" } do
        wanted[("ask,%s,allowed.test,A%s"):format(server, transport)] = "NOERROR 1"
        wanted[("ask,%s,evil.test,A%s"):format(server, transport)] = "NXDOMAIN 0"
      end
      for _, port in ipairs { 443, 853, 5353 } do wanted[("connect,%s,%d"):format(server, port)] = "ECONNREFUSED" end
      wanted[("udp,%s,853"):format(server)], wanted[("udp,%s,443"):format(server)] = "ECONNREFUSED", "ECONNREFUSED"
    end
    lab.expect(lab.policy '  allow { "allowed.test" },\n', wanted)
    assert.same({}, lab.queries(point))
    assert.same({}, lab.packets(point))
    -- The control: outside, the packets of such questions are seen.
    lab.try_outside { "ask,203.0.113.53,allowed.test,A", "connect,8.8.8.8,443" }
    assert.same({ "udp 203.0.113.53 53", "tcp 8.8.8.8 443" }, lab.packets(point))
  end)
end)
