-- What a sandbox can reach: the names that its policy allows, and nothing else. In the lab (spec/lab), so that whatever goes
-- wrong stays there; the lab's own controls show that each thing refused here would have been reached without the gateway.
local box = require "support.box"
local json = require "moonbox.json"
local lab = require "support.lab"

local ROWS = [[
  deny { "internal", why = "no internal networks" },
  allow { "allowed.test", "*.allowed.test", "flip.test", "inside.test", "mixed.test", "gone.test" },
  allow { "refused.test", ports = { 81 } },
  hosts = { ["refused.test"] = "203.0.113.10" },
]]

local ZONE = {
  ["allowed.test"] = { turns = { { A = { "203.0.113.10" } } } },
  ["sub.allowed.test"] = { turns = { { A = { "203.0.113.10" } } } },
  ["flip.test"] = { turns = { { A = { "203.0.113.10" }, ttl = 0 }, { A = { "10.0.0.1" }, ttl = 0 } } },
  ["inside.test"] = { turns = { { A = { "169.254.169.254" } } } },
  ["mixed.test"] = { turns = { { A = { "203.0.113.10", "10.1.2.3" } } } },
}

describe("the network of a sandbox", function()
  local policy
  setup(function()
    box.enter()
    policy = lab.policy(ROWS)
  end)
  teardown(box.leave)
  before_each(function() lab.names(ZONE) end)

  it("carries connections to allowed names faithfully, whatever ends them", function()
    lab.expect(policy, {
      ["banner,allowed.test,2022"] = "SSH-2.0-lab",
      ["echo,allowed.test,7,3000000"] = "ok",
      ["urgent,allowed.test,7,3"] = "ok", ["urgent,sub.allowed.test,7,20"] = "ok", -- at once, and before the first event
      ["urgent,allowed.test,7,1000000"] = "ok", -- spliced
      ["sent,allowed.test,2003,100000"] = "100000 bytes",
      ["first,sub.allowed.test,2002"] = "first",
      ["talk,allowed.test,2001"] = "ECONNRESET",
      ["reset,allowed.test,2004"] = "ok",
    })
  end)

  it("carries the last words of a program that ends in the middle of a line", function()
    local point = lab.now()
    lab.expect(policy, { ["first,allowed.test,2002"] = "first" })
    assert.is_true(box.wait_for(function()
      return #lab.log("streams", point, { port = 2002, bytes = 3, ["end"] = "eof" }) == 1
    end, 10))
  end)

  it("tells what the far end answered", function()
    lab.expect(policy, {
      ["connect,refused.test,81"] = "ECONNREFUSED",
      ["connect,gone.test,80"] = "EHOSTUNREACH",
      ["connect,allowed.test,443"] = "ok",
    })
  end)

  it("refuses addresses and internal networks, and no packet of it leaves (57-62)", function()
    local point = lab.now()
    local wanted = {}
    for _, address in ipairs { "203.0.113.10", "8.8.8.8", "169.254.169.254", "10.1.2.3", "172.16.5.5", "192.168.9.9",
      "100.64.1.1", "198.18.77.77", "fd00:ec2::254", "2001:db8:113::10", "64:ff9b::a9fe:a9fe", "2002:a00:1::" } do
      wanted["connect," .. address .. ",80"] = "ECONNREFUSED"
    end
    lab.expect(policy, wanted)
    assert.same({}, lab.packets(point))
  end)

  it("refuses a name whose address is internal, one bad among good included (63)", function()
    lab.expect(policy, { ["connect,inside.test,80"] = "ECONNREFUSED", ["connect,mixed.test,80"] = "ECONNREFUSED" })
  end)

  it("looks a name up once for each connection and dials what it judged (64)", function()
    local point = lab.now()
    local tries = lab.try(policy, { "talk,flip.test,2005", "connect,flip.test,80" })
    assert.equal("ECONNREFUSED", tries["connect,flip.test,80"])
    local asked = 0
    for _, query in ipairs(lab.queries(point)) do asked = asked + (query == "A flip.test" and 1 or 0) end
    assert.equal(2, asked)
    for _, packet in ipairs(lab.packets(point)) do assert.is_nil(packet:find("10.0.0.1", 1, true)) end
  end)

  it("answers for listed names only, and asks nobody for others (79, 81, 82)", function()
    local point = lab.now()
    lab.expect(policy, {
      ["resolve,evil.test"] = "EAI_NONAME",
      ["resolve,notallowed.test"] = "EAI_NONAME",
      ["ask,127.0.0.1,evil.test,A"] = "NXDOMAIN 0",
      ["ask,8.8.8.8,evil.test,A"] = "NXDOMAIN 0",
      ["ask,127.0.0.1,evil.test,TXT,tcp"] = "NXDOMAIN 0",
      ["ask,127.0.0.1,allowed.test,A"] = "NOERROR 1",
      ["ask,127.0.0.1,allowed.test,A,tcp"] = "NOERROR 1",
      ["ask,127.0.0.1,allowed.test,AAAA"] = "NOERROR 0",
      ["ask,127.0.0.1,allowed.test,HTTPS"] = "NOERROR 0",
      ["ask,127.0.0.1,allowed.test,TXT"] = "NOERROR 0",
      ["connect,8.8.8.8,853"] = "ECONNREFUSED",
    })
    assert.same({}, lab.queries(point))
    assert.same({}, lab.packets(point))
  end)

  it("passes TLS and plain HTTP that name the host, and no other", function()
    lab.expect(policy, {
      ["tls,allowed.test,443,allowed.test"] = "ok",
      ["two,allowed.test,80,allowed.test,allowed.test"] = "200 200",
      ["two,allowed.test,80,allowed.test,evil.test"] = "200 ECONNRESET",
      ["two,allowed.test,80,evil.test"] = "ECONNRESET",
    })
    for try, answer in pairs(lab.try(policy, { "tls,allowed.test,443,evil.test", "tls,allowed.test,443,-" })) do
      assert.is_true(answer == "ECONNRESET" or answer == "eof", try .. " " .. answer)
    end
  end)

  it("refuses all that is neither TCP nor DNS, at once", function()
    local point = lab.now()
    lab.expect(policy, {
      ["udp,203.0.113.10,443"] = "ECONNREFUSED",
      ["udp,2001:db8:113::10,443"] = "ECONNREFUSED",
    })
    for try, answer in pairs(lab.try(policy, { "socket,icmp", "socket,raw", "socket,packet", "socket,vsock",
      "option,transparent", "option,mark" })) do
      assert.is_not.equal("ok", answer, try)
    end
    assert.same({}, lab.packets(point))
  end)

  it("leaves a program's own servers alone", function()
    lab.expect(policy, { ["listen,127.0.0.1"] = "ok", ["listen,::1"] = "ok", ["listen,0.0.0.0"] = "ok",
      ["listen,100.64.0.30"] = "ok" })
    assert.is_nil(lab.try(policy, { "hidden" }).hidden:find("ok", 1, true))
  end)

  it("writes every attempt down with the rule that decided it", function()
    local result = lab.exec(policy, { "/usr/bin/python3", "/opt/lab/client.py", "connect,allowed.test,80",
      "connect,10.1.2.3,80", "resolve,evil.test" })
    local task = assert(result.stderr:match("moonbox flows (%S+)`"), result.stderr)
    local flows = box.shell("build/moonbox flows " .. task .. " --json")
    local seen = {}
    for line in flows.stdout:gmatch("[^\n]+") do
      local flow = json.decode(line)
      seen[#seen + 1] = ("%s %s %s %s"):format(flow.event, flow.name or flow.address, flow.verdict, flow.rule or "")
    end
    table.sort(seen)
    assert.equal(4, #seen, flows.stdout .. flows.stderr) -- evil.test is asked for as A and as AAAA
    assert.matches("^dns evil.test deny " .. policy:gsub("%p", "%%%0") .. ":3$", seen[1])
    assert.matches("^flow 10.1.2.3 deny " .. policy:gsub("%p", "%%%0") .. ":4$", seen[3])
    assert.matches("^flow allowed.test allow " .. policy:gsub("%p", "%%%0") .. ":5$", seen[4])
  end)

  it("counts connections exactly", function()
    local few = lab.policy(ROWS .. "  requests = 5 / minute,\n")
    local tries = {}
    for i = 1, 8 do tries[i] = "connect,allowed.test," .. 2000 + i % 2 * 2 + 1 .. "" end
    local result = lab.exec(few, { "/usr/bin/python3", "/opt/lab/client.py", unpack(tries) })
    local ok = select(2, result.stdout:gsub(" ok\n", ""))
    assert.equal(5, ok, result.stdout)
  end)

  it("can be refused by the policy's own function, and never widened", function()
    local hooked = lab.policy(ROWS, [[
  on = { connect = function(flow)
    if flow.name == "sub.allowed.test" then return deny "not this one" end
    if flow.port == 2003 then error("a mistake") end
  end },]])
    lab.expect(hooked, {
      ["connect,allowed.test,2001"] = "ok",
      ["connect,sub.allowed.test,2001"] = "ECONNREFUSED",
      ["connect,allowed.test,2003"] = "ECONNREFUSED",
      ["connect,10.1.2.3,80"] = "ECONNREFUSED",
    })
  end)
end)
