-- A box without a network: nothing of the host or beyond answers, its own loopback does (probes 57, 58, 61 as far as
-- `network = "none"` goes).
local box = require "support.box"
local compile = require "support.compile"

local core = require "moonbox.core"

local sys = core.sys

describe("network none", function()
  local helpers, show, folder, name, tcp, udp, server

  setup(function()
    box.enter()
    helpers = compile.helpers("net")
    show = compile.option(helpers)
    folder = box.home .. "/served"
    sys.mkdir(folder, 493)
    name = "moonbox-spec-" .. sys.random_hex(6)
    server = box.shell(("%s/net serve %s %s >/dev/null 2>&1 </dev/null & echo $!"):format(helpers, folder, name))
    local ports = box.wait_for(function() return box.read(folder .. "/ports") end, 10)
    assert.is_truthy(ports, "the canary listeners did not start")
    tcp, udp = ports:match("(%d+) (%d+)")
  end)
  teardown(function()
    box.shell("kill " .. server.stdout:match("%d+"))
    box.leave()
  end)

  local function contacts()
    return select(2, (box.read(folder .. "/contacts") or ""):gsub("contact", ""))
  end

  local function addresses()
    local list = { "127.0.0.1", "::1", "0.0.0.0", "127.1.2.3", "::ffff:127.0.0.1" }
    for address in box.shell("hostname -I 2>/dev/null").stdout:gmatch("%S+") do list[#list + 1] = address end
    return list
  end

  local function reach(path)
    return { "reach", tcp, udp, name, path, unpack(addresses()) }
  end

  -- Every answer must be a refusal, and come at once.
  local function refused(result, least)
    assert.equal(0, result.code)
    local answers, seen = box.answers(result.stdout), 0
    local slowest = tonumber(answers.slowest)
    answers.slowest = nil
    for destination, answer in pairs(answers) do
      seen = seen + 1
      assert.is_not.equal("ok", answer, destination)
      assert.is_not.equal("ETIMEDOUT", answer, destination)
    end
    assert.is_true(seen >= least)
    assert.is_true(slowest < 2, "an answer took " .. slowest .. " s")
    return answers
  end

  it("58: 61: reaches none of the host's listeners", function()
    local before = contacts()
    local answers = refused(box.exec({ show }, { "/opt/spec/net", unpack(reach(folder .. "/socket")) }), 12)
    assert.equal("ECONNREFUSED", answers.abstract)
    assert.equal("ENOENT", answers.pathname)
    assert.equal(before, contacts())
  end)

  it("57: reaches nothing beyond the machine, and is told at once", function()
    for destination, answer in pairs(refused(box.exec({ show }, { "/opt/spec/net", "beyond" }), 28)) do
      assert.is_true(answer == "ENETUNREACH" or answer == "EADDRNOTAVAIL" or answer == "EINVAL" or answer == "EACCES",
        destination .. " " .. answer)
    end
  end)

  it("58: 61: control: outside, the same listeners answer", function()
    local before = contacts()
    local result = box.shell(("%s/net reach %s %s %s %s 127.0.0.1 ::1")
      :format(helpers, tcp, udp, name, folder .. "/socket"))
    local answers = box.answers(result.stdout)
    assert.equal("ok", answers.abstract)
    assert.equal("ok", answers.pathname)
    assert.equal("ok", answers["tcp:127.0.0.1:" .. tcp])
    assert.equal("ok", answers["udp:127.0.0.1:" .. udp])
    assert.is_true(box.wait_for(function() return contacts() > before end, 5))
  end)

  it("58: a box has its own loopback, with low ports where the policy gives them", function()
    local answers = box.answers(box.exec({ show }, { "/opt/spec/net", "own" }).stdout)
    for what, answer in pairs(answers) do
      if what ~= "low" then assert.equal("ok", answer, what) end
    end
    assert.equal("EACCES", answers.low)
    local plan = box.plan(function(p)
      table.insert(p.mounts, compile.row(helpers))
      p.process.low_ports = true
    end)
    assert.equal("ok", box.answers(box.once(plan, { "/opt/spec/net", "own" }).stdout).low)
  end)

  it("58: its own loopback is not that of another box", function()
    local opened = box.open(box.plan(function(p) table.insert(p.mounts, compile.row(helpers)) end))
    local started = box.inside(opened, "/opt/spec/net serve /workspace " .. name .. "-inside >/dev/null 2>&1 & "
      .. "i=0; while [ ! -s /workspace/ports ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i+1)); done; cat /workspace/ports")
    local inside_tcp, inside_udp = started.stdout:match("(%d+) (%d+)")
    local command = { "/opt/spec/net", "reach", inside_tcp, inside_udp, name .. "-inside", "/workspace/socket", "127.0.0.1" }
    local answers = box.answers(box.exec({ show }, command).stdout)
    assert.equal("ECONNREFUSED", answers.abstract)
    assert.equal("ECONNREFUSED", answers["tcp:127.0.0.1:" .. inside_tcp])
    assert.equal("ok", box.answers(opened:exec({ run = command }).stdout).abstract)
    assert.is_true(opened:close())
  end)

  it("61: lists no socket of the host, and has one interface", function()
    local result = box.sh("cat /proc/net/unix | grep -c " .. name .. "; tail -n +3 /proc/net/dev | cut -d: -f1; "
      .. "tail -n +2 /proc/net/route; cat /proc/net/ipv6_route | grep -v lo; tail -n +2 /proc/net/arp; "
      .. "tail -n +2 /proc/net/tcp /proc/net/udp | grep ':'; ls /sys/class/net 2>/dev/null; true")
    assert.equal("0\n    lo\n", result.stdout)
    assert.equal("1\n", box.shell("grep -c " .. name .. " /proc/net/unix").stdout)
  end)

  it("57: changes no route, address or rule", function()
    local plan = box.plan(function(p) p.process.capabilities = { "net_admin", "net_raw" } end)
    for _, each in ipairs { box.plan(), plan } do
      local outcome = box.once(each, { "sh", "-c", "for c in 'ip link add d type dummy' 'ip addr add 10.9.8.7/8 dev lo' "
        .. "'ip link set lo down' 'ip route add default dev lo' 'nft add table inet x' 'iptables -A OUTPUT -j ACCEPT'; "
        .. "do $c >/dev/null 2>&1 && echo \"did $c\"; done; true" })
      assert.equal("", outcome.stdout)
    end
    local control = box.shell("unshare --user --map-root-user --net ip link add d type dummy")
    if control.code == 127 then pending("no ip(8) on this machine") end
  end)
end)
