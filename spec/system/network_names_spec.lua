-- Names as a hostile program or a hostile DNS would have them: whatever is spelled, asked or answered, what is matched is what
-- is looked up and dialled. In the lab.
local box = require "support.box"
local json = require "moonbox.json"
local lab = require "support.lab"

local ROWS = [[
  allow { "allowed.test", "*.allowed.test", "inner.test", "mapped.test", "nat64.test", "six.test", "printer.local" },
  allow { "ported.test", ports = { 443 } },
  deny  { "bad.allowed.test", why = "not this one" },
]]

local SITE = { A = { "203.0.113.10" } }

local ZONE = {
  ["allowed.test"] = SITE, ["ported.test"] = SITE, ["*.allowed.test"] = SITE, ["evilallowed.test"] = SITE,
  ["printer.local"] = { A = { "192.168.1.9" } },
  ["inner.test"] = { CNAME = { "db.corp.test" } }, ["db.corp.test"] = { A = { "10.0.0.5" } },
  ["mapped.test"] = { AAAA = { "::ffff:10.0.0.1" } },
  ["nat64.test"] = { AAAA = { "64:ff9b::a9fe:a9fe" } },
  ["six.test"] = { A = { "203.0.113.10" }, AAAA = { "fd00:ec2::254" } },
}

-- The flows of a run, as tables, and its answers. Ids of one second are in no order, so it is to be the only task.
local function recorded(policy, tries)
  require("support.runs").remove(box.state .. "/tasks")
  local result = lab.exec(policy, { "/usr/bin/python3", "/opt/lab/client.py", unpack(tries) })
  assert.equal(0, result.code, result.stderr)
  local flows = {}
  for line in box.shell("build/moonbox flows last --json").stdout:gmatch("[^\n]+") do flows[#flows + 1] = json.decode(line) end
  return flows, result.stdout
end

describe("a name", function()
  local policy
  setup(function()
    box.enter()
    policy = lab.policy(ROWS)
  end)
  teardown(box.leave)
  before_each(function() lab.names(ZONE) end)

  it("that leads to an internal address is refused, by CNAME, in IPv6 or in one that carries IPv4 (63, 65)", function()
    local point = lab.now()
    local wanted = {}
    for _, name in ipairs { "inner", "mapped", "nat64", "six" } do wanted["connect," .. name .. ".test,80"] = "ECONNREFUSED" end
    wanted["connect,printer.local,80"] = "ECONNREFUSED"
    lab.expect(policy, wanted)
    for _, packet in ipairs(lab.packets(point)) do
      assert.matches(" 203%.0%.113%.53 53$", packet)
    end
  end)

  it("of local use, of the host's files or of a search list is asked of nobody (65)", function()
    local open = lab.policy '  otherwise = "allow",\n'
    local point = lab.now()
    local host = assert(box.read("/etc/hosts")):match("\n?[%d.]+%s+(%S+)")
    for try, answer in pairs(lab.try(open, { "resolve,printer.local", "resolve,foo.localhost", "resolve,intranet", "resolve,a.onion",
      "resolve,host.internal", "ask,127.0.0.1,localhost,A", "ask,127.0.0.1," .. host .. ",A", "resolve,db.home.arpa" })) do
      assert.is_true(answer:match("^EAI_") ~= nil or answer == "NXDOMAIN 0" or answer:match("^127%.0%.0%.1") ~= nil,
        try .. " " .. answer)
    end
    assert.same({}, lab.queries(point))
  end)

  it("has one form, whoever spells it, and what is no name is refused (66)", function()
    local point = lab.now()
    local flows, said = recorded(policy, { "connect,ALLOWED.Test,2003", "connect,allowed.test.,2003", "resolve,Sub.Allowed.TEST.",
      "ask,127.0.0.1,aLLoWeD.tEST,A" })
    assert.matches("^connect,ALLOWED.Test,2003 ok\nconnect,allowed.test.,2003 ok\nresolve,%S+ 198%.1[89]%.[%d.]+\nask,%S+ NOERROR 1\n$",
      said)
    for _, flow in ipairs(flows) do assert.equal("allowed.test", flow.name) end
    local unexpected = {}
    for _, odd in ipairs { "allowed.test%2e", "allowed.test\1", "allowed .test", "allowed_test", "allowed.test@evil.test",
      "allowed.test#", "allowed\\.test", "\239\188\161llowed.test", ("a"):rep(64) .. ".allowed.test",
      (("a"):rep(60) .. "."):rep(4) .. "allowed.test" } do
      local answer = lab.try(policy, { "ask,127.0.0.1," .. odd .. ",A" })
      for try, said_of_it in pairs(answer) do
        if not said_of_it:match("%u+ 0$") then unexpected[#unexpected + 1] = try .. " " .. said_of_it end
      end
    end
    assert.same({}, unexpected)
    for _, query in ipairs(lab.queries(point)) do assert.matches("^A+ allowed%.test$", query) end
  end)

  it("matches at its labels, and a deny row above its wildcard wins (67)", function()
    local denying = lab.policy [[
  deny  { "bad.allowed.test", why = "not this one" },
  allow { "*.allowed.test" },]]
    lab.expect(denying, {
      ["resolve,evilallowed.test"] = "EAI_NONAME", ["resolve,allowed.test"] = "EAI_NONAME",
      ["resolve,bad.allowed.test"] = "EAI_NONAME", ["resolve,allowed.test.evil.test"] = "EAI_NONAME",
      ["connect,a.allowed.test,2003"] = "ok", ["connect,a.b.allowed.test,2003"] = "ok",
    })
  end)

  it("is reached on the ports of its row alone (69)", function()
    local wanted = { ["connect,ported.test,443"] = "ok" }
    for _, port in ipairs { 22, 80, 442, 444, 8443, 65535 } do wanted["connect,ported.test," .. port] = "ECONNREFUSED" end
    local point = lab.now()
    lab.expect(policy, wanted)
    for _, packet in ipairs(lab.packets(point)) do assert.is_truthy(packet:match(" 443$") or packet:match(" 53$"), packet) end
  end)

  it("of high entropy carries nothing out, listed or not (80)", function()
    local point = lab.now()
    local script = ([[
import socket, struct
handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
handle.settimeout(5)
handle.connect(("127.0.0.1", 53))
codes = {}
for number in range(1000):
    label = b"%%032x" %% (number * 0x9e3779b97f4a7c15)
    zone = b"\7allowed\4test" if number %% 2 else b"\4evil\4test"
    handle.send(struct.pack("!HHHHHH", number, 256, 1, 0, 0, 0) + bytes([len(label)]) + label + zone + b"\0\0\1\0\1")
    reply = handle.recv(512)
    key = (number %% 2, reply[3] & 15)
    codes[key] = codes.get(key, 0) + 1
print(codes)
]]):gsub("%%%%", "%%")
    local result = lab.exec(policy, { "/usr/bin/python3", "-c", script })
    assert.equal(0, result.code, result.stderr)
    local refused, answered = result.stdout:match("%(0, 3%): (%d+)"), result.stdout:match("%(1, 0%): (%d+)")
    assert.equal("500", refused, result.stdout)
    assert.is_true(tonumber(answered) <= 300, "more new names than a minute may have: " .. result.stdout)
    local task = assert(result.stderr:match("moonbox flows (%S+)`"), result.stderr)
    assert.truthy(box.shell("build/moonbox flows " .. task).stdout:find("too many new names in a short time", 1, true))
    assert.same({}, lab.queries(point))
    assert.same({}, lab.packets(point))
  end)

  it("has addresses and nothing else, whatever type is asked (81)", function()
    local wanted = { ["ask,127.0.0.1,allowed.test,A"] = "NOERROR 1" }
    for _, kind in ipairs { "AAAA", "TXT", "NULL", "ANY", "SRV", "MX", "NS", "HTTPS", "SVCB", "CNAME" } do
      wanted["ask,127.0.0.1,allowed.test," .. kind] = "NOERROR 0"
      wanted["ask,127.0.0.1,evil.test," .. kind] = "NXDOMAIN 0"
    end
    local point = lab.now()
    lab.expect(policy, wanted)
    for try, answer in pairs(lab.try(policy, { "ask,127.0.0.1,allowed.test,AXFR", "ask,127.0.0.1,allowed.test,AXFR,tcp",
      "ask,127.0.0.1,5.1.168.192.in-addr.arpa,PTR" })) do
      assert.matches(" 0$", answer, try)
    end
    assert.same({}, lab.queries(point))
  end)
end)

describe("a policy's function", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names(ZONE) end)

  it("that does not come to an end refuses, and what follows is judged again", function()
    local policy = lab.policy(ROWS, [[
  on = { connect = function(flow)
    if flow.port == 2001 then while true do end end
    if flow.port == 2003 then return deny((("a"):rep(40):match(("a*"):rep(40) .. "b")) or "none") end
  end },]])
    lab.expect(policy, { ["connect,allowed.test,2001"] = "ECONNREFUSED", ["connect,allowed.test,2005"] = "ok",
      ["connect,sub.allowed.test,2001"] = "ECONNREFUSED", ["connect,allowed.test,2022"] = "ok" })
  end)
end)
