-- What programs see of a network, in both of its kinds: where the kernel can hold a SYN (exact), and where it can't, so that
-- connections are accepted first and reset when refused (accept). The same is allowed and the same refused. In the lab.
local box = require "support.box"
local json = require "moonbox.json"
local lab = require "support.lab"

local ROWS = '  allow { "allowed.test", "*.allowed.test", "refused.test", "unreachable.test", "inside.test" },\n'

local SITE = { A = { "203.0.113.10" } }
local ZONE = { ["allowed.test"] = SITE, ["sub.allowed.test"] = SITE, ["refused.test"] = SITE,
  ["unreachable.test"] = { A = { "203.0.113.98" } }, ["inside.test"] = { A = { "10.1.2.3" } } }

-- By kind: how a program is told that the far end refused, could not be reached, or was not allowed.
local KINDS = {
  exact = { refused = "ECONNREFUSED", unreachable = "EHOSTUNREACH" },
  accept = { refused = "ECONNRESET", unreachable = "ECONNRESET" },
}

describe("a network whose connections are", function()
  local program = box.program
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names(ZONE) end)
  after_each(function() box.program = program end)

  local function use(kind)
    if kind == "exact" then return true end
    box.program = "env MOONBOX_POLICIES=$PWD/policies MOONBOX_FAIL=capture:queue=ENOENT build/failpoints/moonbox"
    return (os.getenv("MOONBOX_SANITIZER") or "") == ""
  end

  for kind, told in pairs(KINDS) do
    it(kind .. " carries what is allowed and refuses the rest, and says which", function()
      if not use(kind) then return pending "the sanitizers' suite has no build with failpoints" end
      local policy = lab.policy(ROWS)
    local wanted = {
        ["talk,refused.test,81"] = told.refused, ["talk,unreachable.test,80"] = told.unreachable,
        ["talk,2001:db8:113::10,80"] = told.refused,
        ["banner,allowed.test,2022"] = "SSH-2.0-lab", ["echo,allowed.test,7,3000000"] = "ok",
        ["sent,allowed.test,2003,100000"] = "100000 bytes", ["first,sub.allowed.test,2002"] = "first",
        ["talk,allowed.test,2001"] = "ECONNRESET", ["reset,allowed.test,2004"] = "ok",
        ["tls,allowed.test,443,allowed.test"] = "ok", ["two,allowed.test,80,allowed.test,evil.test"] = "200 ECONNRESET",
        ["from,192.0.2.77,allowed.test,7"] = "ok", ["fastopen,allowed.test,7"] = "ok",
        ["udp,203.0.113.10,443"] = "ECONNREFUSED", ["udp,2001:db8:113::10,443"] = "ECONNREFUSED",
        ["ask,8.8.8.8,allowed.test,A"] = "NOERROR 1", ["ask,2001:4860:4860::8888,allowed.test,A"] = "NOERROR 1",
        ["ask,2001:4860:4860::8888,evil.test,A,tcp"] = "NXDOMAIN 0", ["resolve,evil.test"] = "EAI_NONAME",
        ["listen,127.0.0.1"] = "ok", ["listen,0.0.0.0"] = "ok", ["listen,::1"] = "ok",
        ["connect,100.64.0.30,1"] = "ECONNREFUSED",
        ["socket,icmp"] = "EAFNOSUPPORT", ["socket,raw"] = "EAFNOSUPPORT", ["socket,packet"] = "EAFNOSUPPORT",
        ["mptcp,allowed.test,7"] = "EAFNOSUPPORT",
      }
      for _, address in ipairs { "203.0.113.10", "8.8.8.8", "169.254.169.254", "10.1.2.3", "198.18.77.77", "fd00:ec2::254",
        "inside.test" } do
        wanted["talk," .. address .. ",80"] = told.refused
      end
      local tries = {}
      for try in pairs(wanted) do tries[#tries + 1] = try end
      local point, answers = lab.now(), lab.try(policy, tries)
      -- Who sends after the reset has come, and not before, is told EPIPE.
      for try, answer in pairs(answers) do answers[try] = answer == "EPIPE" and "ECONNRESET" or answer end
      assert.same(wanted, answers)
      for _, packet in ipairs(lab.packets(point)) do
        assert.is_truthy(packet:match " 203%.0%.113%.[159][038] " , packet)
      end
    end)

    it(kind .. " writes down what was refused, and why", function()
      if not use(kind) then return pending "the sanitizers' suite has no build with failpoints" end
      require("support.runs").remove(box.state .. "/tasks")
      local result = lab.exec(lab.policy(ROWS), { "/usr/bin/python3", "/opt/lab/client.py", "tls,allowed.test,443,evil.test",
        "two,allowed.test,80,evil.test", "udp,203.0.113.10,443", "udp,2001:db8:113::10,123", "talk,inside.test,80",
        "talk,refused.test,81" })
      assert.equal(0, result.code, result.stderr)
      local seen = {}
      for line in box.shell("build/moonbox flows last --json").stdout:gmatch("[^\n]+") do
        local flow = assert(json.decode(line))
        seen[#seen + 1] = ("%s %s %d %s: %s"):format(flow.event, flow.name or flow.address, flow.port,
          flow.outcome or flow.protocol, flow.reason or "-")
      end
      table.sort(seen)
      assert.same({
        "flow allowed.test 443 denied: TLS (SNI) names evil.test on a connection to allowed.test",
        "flow allowed.test 80 denied: HTTP (Host) names evil.test on a connection to allowed.test",
        "flow inside.test 80 denied: internal addresses are never reached",
        "flow refused.test 81 refused: connect: Connection refused",
        "packet 2001:db8:113::10 123 udp: only TCP and DNS leave the sandbox",
        "packet 203.0.113.10 443 udp: only TCP and DNS leave the sandbox",
      }, seen)
    end)
  end

  it("written down in lines that are JSON, whatever a policy's texts are made of", function()
    local name = ("long-"):rep(12) .. "x.test"
    local reasons = { "für Fremde gesperrt – запрещено", ("я"):rep(400), ('"\\\\'):rep(200), ("\\1"):rep(400),
      "È \194\155[31m" }
    local wanted = { reasons[1], ("я"):rep(128), ('"\\'):rep(128), ("\1"):rep(86), "È \195\130\194\155[31m" }
    for i, reason in ipairs(reasons) do
      local policy = lab.policy(([[  deny { "%s", why = '%s' }, allow { "allowed.test" },]]):format(name, reason))
      require("support.runs").remove(box.state .. "/tasks")
      local result = lab.exec(policy, { "/usr/bin/python3", "/opt/lab/client.py", "resolve," .. name })
      assert.equal(0, result.code, result.stderr)
      local lines = 0
      for line in box.shell("build/moonbox flows last --json").stdout:gmatch("[^\n]+") do
        assert.equal(wanted[i], assert(json.decode(line)).reason)
        lines = lines + 1
      end
      assert.is_true(lines >= 1)
    end
  end)
end)
