-- The walls of a sandbox's network, row by row: what is attempted inside (spec/lab/walls.py), that it is refused, and, as the
-- control, that the same attempt succeeds where this wall is not: outside, or as root of a network namespace of one's own.
--
--   1  list and flush rules, loopback down, new routes, addresses and links; nested: there are no namespaces to nest
--   2  a new user and network namespace, from which a veth could be pushed in
--   3  setns(2) into its own network namespace, or that of process 1
--   4  raw and packet sockets, IP_TRANSPARENT, SO_MARK
--   5  bpf(2)
--   6  a port of the host's loopback, an abstract socket of the host
--   7  a socket of the host with a path
--   8  a socket of the host that was inherited
--   9  settings of its network namespace, by who is no id of the host's root
--  10  what its gateway is to it: out of sight and of reach
-- In the lab.
local box = require "support.box"
local lab = require "support.lab"
local mode = require "support.mode"

local core = require "moonbox.core"

local PROGRAM = "/usr/bin/python3 spec/lab/walls.py "

describe("the walls of a network:", function()
  local policy
  setup(function()
    box.enter()
    lab.names { ["allowed.test"] = { A = { "203.0.113.10" } } }
    policy = lab.policy '  allow { "allowed.test" },'
  end)
  teardown(box.leave)

  local function inside(row, ...)
    local result = lab.exec(policy, { "/usr/bin/python3", "/opt/lab/walls.py", row, ... },
      { "--bind=spec/lab/walls.py:/opt/lab/walls.py" })
    assert.equal(0, result.code, result.stderr)
    return box.answers(result.stdout)
  end

  -- Outside, in a network namespace of its own that nothing leads out of.
  local function as_its_root(row)
    local result = box.shell("unshare --user --map-root-user --net sh -c 'PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; exec "
      .. PROGRAM .. row .. "'")
    assert.equal(0, result.code, result.stderr)
    return box.answers(result.stdout)
  end

  local function refused(row, names, ...)
    local answers, wanted = inside(row, ...), {}
    for name, answer in pairs(answers) do
      assert.is_truthy(answer:match "^E%u+$" and answer ~= "ETIMEDOUT", name .. " " .. answer)
      wanted[#wanted + 1] = name
    end
    table.sort(wanted)
    assert.equal(names, table.concat(wanted, " "))
    return answers
  end

  local function done(answers, but)
    for name, answer in pairs(answers) do
      if name ~= but then assert.equal("done", answer, name) end
    end
  end

  it("1: rules, routes, addresses and links stay as they are", function()
    refused("rules", "address flush link list loopback-down route")
    done(as_its_root "rules")
  end)

  it("2: there is no namespace to be had, and so none to push a link from", function()
    assert.same({ user = "EPERM", network = "EPERM", both = "EPERM" }, refused("namespace", "both network user"))
    done(as_its_root "namespace")
  end)

  it("3: no namespace is entered, not even its own", function()
    refused("enter", "of-process-1 own")
    done(as_its_root "enter", "of-process-1")
  end)

  it("4: raw and packet sockets, foreign addresses and marks are refused", function()
    refused("sockets", "mark packet raw raw-IPv6 transparent transparent-IPv6")
    done(as_its_root "sockets")
  end)

  it("5: bpf(2) is refused", function()
    assert.same({ map = "EPERM" }, refused("bpf", "map"))
    mode.need("root", "an ordinary user may have no bpf(2) outside either; the control is root's")
    done(box.answers(box.shell(PROGRAM .. "bpf").stdout))
  end)

  it("6, 7: the host's loopback, abstract and pathname sockets are not there", function()
    local path, name = box.home .. "/socket", "moonbox-walls-" .. core.sys.random_hex(6)
    local handle = io.popen(([[python3 -c '
import socket, sys, threading
tcp, abstract, named = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
abstract.bind("\0%s")
named.bind("%s")
abstract.listen()
named.listen()
open("%s.port", "w").write(str(tcp.getsockname()[1]))
sys.stdin.read(1)']]):format(name, path, path), "w")
    local port = box.wait_for(function() local text = box.read(path .. ".port") return text ~= "" and text end, 20)
    local worked, why = pcall(function()
      done(box.answers(box.shell(PROGRAM .. box.words { "host", port, name, path }).stdout))
      assert.same({ tcp = "ECONNREFUSED", abstract = "ECONNREFUSED", pathname = "ENOENT" },
        refused("host", "abstract pathname tcp", port, name, path))
    end)
    handle:close()
    assert(worked, why)
  end)

  it("8: no socket of the host is inherited, neither as standard stream nor beside them", function()
    local command = lab.line(policy, { "/usr/bin/python3", "/opt/lab/walls.py", "inherited" },
      { "--bind=spec/lab/walls.py:/opt/lab/walls.py" })
    -- Standard input, output and error and descriptor 9 are TCP sockets, as a server of inetd's kind has them.
    local script = [[python3 -c '
import os, socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
os.dup2(server.fileno(), 9)
subprocess.run(sys.argv[1], shell=True, stdin=server, stdout=server, stderr=server, pass_fds=[9])
os.close(9)
server.close()
print(client.makefile().read())' ]]
    local outside = box.shell(script .. box.quote(PROGRAM .. "inherited"))
    assert.matches("a%-socket done\n", outside.stdout, outside.stderr)
    local said = box.shell(script .. box.quote(command))
    assert.matches("a%-socket ENOENT\n", said.stdout, said.stderr)
  end)

  it("9: settings of the network are read-only, whatever the id", function()
    local answers = refused("settings", "core/somaxconn ipv4/ip_unprivileged_port_start ipv4/tcp_congestion_control "
      .. "ipv4/tcp_syncookies ipv6/conf/all/disable_ipv6")
    for name, answer in pairs(answers) do assert.equal("EROFS", answer, name) end
    done(as_its_root "settings")
    -- And its id is none of the host's root.
    local mapped = lab.exec(policy, { "cat", "/proc/self/uid_map" })
    assert.matches("^%s*1000%s+%d+%s+1\n$", mapped.stdout)
  end)

  it("10: the gateway is neither seen nor signalled", function()
    local opened = box.open(assert(require("moonbox.plan").load(policy)))
    local said = box.inside(opened, "cat /proc/[0-9]*/comm | grep -c gateway; kill -9 -1; true").stdout
    assert.equal("0\n", said)
    local counters = assert(opened.running:network())
    assert.equal(0, counters.connections)
    assert.equal(0, box.inside(opened, "python3 -c 'import socket; socket.create_connection((\"allowed.test\", 2003), 20)'").code)
    assert(opened:close())
  end)
end)
