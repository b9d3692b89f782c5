-- What many connections, and many sandboxes with a network, leave behind: nothing. `make soak` runs it with 200,000
-- connections and says what it measured; in the suite there are fewer.
local box = require "support.box"
local lab = require "support.lab"

local sys = require("moonbox.core").sys

local LONG = os.getenv "MOONBOX_SOAK"
LONG = LONG ~= "" and LONG or nil
-- In rounds of a third and of the rest, by four threads each.
local CONNECTIONS = math.ceil(tonumber(LONG or 6000) / 12) * 12
local SANDBOXES = LONG and 100 or 10

local function say(...)
  if LONG then print("  " .. (...):format(select(2, ...))) end
end

-- Four threads that connect, say something, read and close; the odd ones are reset by the far end.
local CLIENT = [[
import socket, sys, threading, time
address = socket.gethostbyname("allowed.test")
def many(n):
    for i in range(n):
        handle = socket.create_connection((address, 2005 if i & 1 else 2001), 20)
        try: handle.sendall(b"x\n"), handle.recv(1)
        except OSError: pass
        handle.close()
for n in sys.argv[1:]:
    threads = [threading.Thread(target=many, args=(int(n) // 4,)) for i in range(4)]
    for each in threads: each.start()
    for each in threads: each.join()
    print(n, flush=True)
    if len(sys.argv) > 2: time.sleep(0.5)
]]

local function memory(pid) return tonumber(box.read("/proc/" .. pid .. "/status"):match("VmRSS:%s*(%d+)")) end

local function descriptors(pid) return #(sys.list("/proc/" .. pid .. "/fd") or {}) end

local function children()
  local found = {}
  for _, pid in ipairs(sys.list "/proc") do
    local status = pid:match("^%d+$") and sys.read_file("/proc/" .. pid .. "/status", 65536) or ""
    if tonumber(status:match("PPid:%s*(%d+)")) == sys.pid() then found[#found + 1] = { pid, status:match("Name:%s*(%S+)") } end
  end
  return found
end

local function gateway()
  for _, child in ipairs(children()) do
    if child[2] == "moonbox-gateway" then return child[1] end
  end
end

-- What this process and its network have that could be left behind.
local function seen()
  local sockets = box.read "/proc/net/sockstat" .. box.read "/proc/net/sockstat6"
  return { descriptors = descriptors "self", children = #children(), tcp = sockets:match "TCP: inuse (%d+)",
    tcp6 = sockets:match "TCP6: inuse (%d+)", udp = sockets:match "UDP: inuse (%d+)",
    tracked = sys.read_file("/proc/sys/net/netfilter/nf_conntrack_count", 64),
    rules = box.shell("PATH=$PATH:/usr/sbin:/sbin; nft list ruleset 2>&1").stdout }
end

describe("a network that is used much", function()
  setup(box.enter)
  teardown(box.leave)
  before_each(function() lab.names { ["allowed.test"] = { A = { "203.0.113.10" } } } end)

  it("leaves no memory and no descriptors in its gateway, and nothing on the host", function()
    local path = lab.policy 'allow { "allowed.test" },'
    -- The first box loads what is loaded once, and starts the keeper of our control groups where there are some.
    assert(box.open(assert(require("moonbox.plan").load(path))):close())
    assert(box.wait_for(function()
      local left = children()
      return #left == 0 or #left == 1 and left[1][2] == "moonbox-keeper"
    end, 10))
    local before, began, held = seen(), os.time(), {}
    local opened = box.open(assert(require("moonbox.plan").load(path)))
    local outcome = assert(opened:exec { run = { "/usr/bin/python3", "-c", CLIENT, tostring(CONNECTIONS / 3),
        tostring(CONNECTIONS * 2 / 3) },
      time = 60 + CONNECTIONS / 200, on_output = function()
        -- Root alone may look at descriptors: the gateway is in another user namespace.
        local pid = gateway()
        held[#held + 1] = { memory = memory(pid), descriptors = descriptors(pid) }
      end })
    assert.equal("", outcome.stderr)
    assert.equal(CONNECTIONS, (opened.running:network()).connections)
    assert(opened:close())
    assert.equal(2, #held)
    say("%d connections in %d s; gateway after a third: %d KiB, %d descriptors; at the end: %d KiB, %d descriptors",
      CONNECTIONS, os.time() - began, held[1].memory, held[1].descriptors, held[2].memory, held[2].descriptors)
    -- A sanitizer keeps what was freed, to see it used.
    local kept = (os.getenv("MOONBOX_SANITIZER") or "") ~= "" and 65536 or 256
    assert.is_true(held[2].memory - held[1].memory < kept)
    assert.is_true(math.abs(held[2].descriptors - held[1].descriptors) <= 2)
    box.wait_for(function() return seen().tcp == before.tcp end, 10)
    local after = seen()
    for name, value in pairs(before) do
      say("%s: %s before, %s after", name, tostring(value):match "%C*", tostring(after[name]):match "%C*")
    end
    assert.same(before, after)
  end)

  -- The kernel's own account: in a user namespace of its own, whose limits let few namespaces of each kind be there at once.
  -- A copied mount that has no place yet counts as a mount namespace (open_tree(2)), and a root directory needs many at once.
  local MOST = { user = 8, net = 8, mnt = 64, pid = 8, ipc = 8, uts = 8, cgroup = 8 }

  local function under_limits(limits, script)
    local lines = {}
    for kind, most in pairs(limits) do lines[#lines + 1] = ("echo %d > /proc/sys/user/max_%s_namespaces"):format(most, kind) end
    lines[#lines + 1] = "exec unshare --user --map-user=1000 --map-group=1000 sh -c " .. box.words { script }
    return box.shell("unshare --user --map-root-user sh -c " .. box.words { table.concat(lines, "\n") })
  end

  it("leaves no namespaces of any kind, however many sandboxes there were", function()
    local line = box.line({ "--policy", lab.policy 'allow { "allowed.test" },' }, { "/usr/bin/python3", "-c", CLIENT, "4" })
    -- What a network namespace holds is freed a little later than it (net_namespace.c, cleanup_net).
    local script = ([[
i=0 waits=0
while [ $i -lt %d ] && [ $waits -lt 100 ]; do
  if %s </dev/null >/dev/null 2>last; then i=$((i + 1)); else waits=$((waits + 1)); sleep 0.1; fi
done
echo "$i $waits"
[ $i = %d ] || cat last]]):format(SANDBOXES, line, SANDBOXES)
    local out = under_limits(MOST, "cd " .. box.words { box.home } .. "\n" .. script:gsub("build/moonbox", "$OLDPWD/build/moonbox"))
    local made, waits = out.stdout:match("^(%d+) (%d+)\n")
    say("%s sandboxes where %d network namespaces may be at once, %s tries more", made, MOST.net, waits)
    assert.equal(SANDBOXES, tonumber(made), out.stdout .. out.stderr)
    -- Control: the limits are in force.
    for _, kind in ipairs { "user", "net", "pid" } do
      local refused = under_limits({ [kind] = kind == "user" and 1 or 0 }, line .. " </dev/null")
      assert.equal(125, refused.code, kind .. refused.stdout .. refused.stderr)
    end
  end)
end)
