-- From policy data to the plan that C executes.
local language = require "spec.support.language"
local plan = require "moonbox.plan"
local policy = require "moonbox.policy"

local function compile(text, host)
  return plan.compile(assert(language.policy(text)), host or language.host)
end

local function find(p, target, kind)
  for i, mount in ipairs(p.mounts) do
    if mount.target == target and (not kind or mount.kind == kind) then return mount, i end
  end
end

local function keys(t)
  local out = {}
  for k in pairs(t) do out[#out + 1] = k end
  table.sort(out)
  return out
end

describe("a plan", function()
  after_each(language.clean)

  local p = plan.compile(assert(policy.load("offline")), language.host)

  it("has the agreed shape", function()
    assert.same({ "cwd", "env", "hooks", "hostname", "ids", "limits", "mounts", "network", "policy",
      "process", "receivers", "rlimits",
      "storage", "user", "version" }, keys(p))
    assert.equal(1, p.version)
    assert.equal("offline", p.policy)
    assert.same({ name = "agent", uid = 1000, gid = 1000, home = "/home/agent" }, p.user)
    assert.equal("/workspace", p.cwd)
    assert.same({ capabilities = {}, syscalls = "default", umask = 18, low_ports = false }, p.process)
    assert.equal("memory", p.storage.kind)
    assert.equal(256 * 2 ^ 20, p.storage.size)
    assert.is_true(p.storage.inodes >= 8192)
    assert.same({ "cpus", "disk", "from", "grace", "hold", "memory", "processes", "time" }, keys(p.limits))
    assert.equal("none", p.network.mode)
    assert.equal(10, p.limits.grace)
    assert.truthy(p.limits.from.memory:match("^policies/offline%.lua:%d+$"))
  end)

  it("holds only kinds of mount that C knows, each complete", function()
    local fields = {
      bind = { source = "string", target = "string", read_only = "boolean", optional = "boolean" },
      symlink = { target = "string", to = "string" }, file = { target = "string", text = "string",
      mode = "number" },
      writable = { target = "string", mode = "number" },
      tmpfs = { target = "string", size = "number", inodes = "number", mode = "number" },
      proc = { target = "string" }, dev = { target = "string" }, read_only = { target = "string" },
      mask = { target = "string" },
    }
    for _, mount in ipairs(p.mounts) do
      local wanted = assert(fields[mount.kind], mount.kind)
      for name, kind in pairs(wanted) do assert.equal(kind, type(mount[name]), mount.kind .. " " .. name) end
      for name in pairs(mount) do assert.truthy(wanted[name] or name == "kind" or name == "from", name) end
    end
  end)

  it("follows the host's merged directories", function()
    assert.equal("usr/bin", find(p, "/bin").to)
    assert.equal("symlink", find(p, "/lib64").kind)
    assert.is_nil(find(p, "/lib32"))
    local split = compile('return policy "x" { files = { read_only { "/usr" } } }',
      { root = true, links = { bin = true, lib = "usr/lib" } })
    assert.same({ kind = "bind", source = "/bin", target = "/bin", read_only = true, optional = false,
      from = split.mounts[#split.mounts].from or find(split, "/bin").from }, find(split, "/bin"))
    assert.equal("symlink", find(split, "/lib").kind)
  end)

  it("lays the policy's rows over what moonbox writes, and the masks over all", function()
    local own = compile('return policy "x" { files = { file { "/etc/hosts", text = "mine" } } }')
    local last
    for _, mount in ipairs(own.mounts) do
      if mount.target == "/etc/hosts" then last = mount end
    end
    assert.equal("mine", last.text)
    local _, proc = find(p, "/proc", "proc")
    local _, first_mask = find(p, "/proc/kcore", "mask")
    local _, row = find(p, "/usr", "bind")
    assert.is_true(proc < row and row < first_mask)
    local _, dev = find(p, "/dev", "dev")
    local _, shm = find(p, "/dev/shm", "tmpfs")
    assert.is_true(dev < shm)
  end)

  it("masks what Docker masks", function()
    for _, path in ipairs { "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi" } do
      assert.is_table(find(p, path, "mask"), path)
    end
    for _, path in ipairs { "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs" } do
      assert.is_table(find(p, path, "read_only"), path)
    end
  end)

  it("writes who lives in the box", function()
    assert.truthy(find(p, "/etc/passwd").text:find("agent:x:1000:1000:agent:/home/agent:/bin/sh\n", 1, true))
    assert.truthy(find(p, "/etc/group").text:find("agent:x:1000:\n", 1, true))
    assert.truthy(find(p, "/etc/hosts").text:find("127.0.0.1 localhost moonbox\n", 1, true))
    assert.equal("moonbox\n", find(p, "/etc/hostname").text)
    assert.truthy(find(p, "/etc/resolv.conf").text:match("^#[^\n]*\n$"))
  end)

  it("covers the host's private keys", function()
    local _, certificates = find(p, "/etc/ssl", "bind")
    local _, keys_at = find(p, "/etc/ssl/private", "mask")
    assert.is_true(certificates < keys_at)
  end)

  it("mounts a repeated row once, unless something lies between", function()
    local repeated = compile([[return policy "x" { files = {
      read_only { "/usr", "/opt" }, read_only { "/usr" }, read_write { "/workspace" },
      read_write { "/workspace" } } }]])
    local count = 0
    for _, mount in ipairs(repeated.mounts) do
      if mount.target == "/usr" or mount.target == "/bin" or mount.target == "/workspace" then
        count = count + 1
      end
    end
    assert.equal(3, count)
    local between = compile([[return policy "x" { files = {
      read_only { "/opt" }, read_write { "/opt/x" }, read_only { "/opt" } } }]])
    count = 0
    for _, mount in ipairs(between.mounts) do
      if mount.target == "/opt" then count = count + 1 end
    end
    assert.equal(2, count)
  end)

  it("has an environment in order, and resource limits", function()
    local sorted = {}
    for i, text in ipairs(p.env) do sorted[i] = text end
    table.sort(sorted)
    assert.same(sorted, p.env)
    local limits = {}
    for _, row in ipairs(p.rlimits) do limits[row.name] = row.hard end
    assert.equal(0, limits.core)
    assert.equal(65536, limits.nofile)
    assert.equal(512, limits.nproc)
    assert.equal(65536, limits.memlock)
  end)

  it("starts where there is a directory", function()
    assert.equal("/", compile('return policy "x" { files = { read_only { "/usr" } } }').cwd)
    assert.equal("/home/agent", compile('return policy "x" { files = { read_write { "/home/agent" } } }').cwd)
  end)

  it("says which low ports may be bound", function()
    assert.is_true(plan.compile(assert(policy.load("codex")), language.host).process.low_ports)
  end)

  it("is refused when the host's links lead to what may not be shown", function()
    local host = { root = false, links = {}, realpath = function(path)
      return path == "/srv/link" and "/run/user/0" or path
    end }
    local made, diagnostics = plan.compile(assert(language.policy(
      'return policy "x" {\n files = { bind { "/srv/link", at = "/x" } } }')), host)
    assert.is_nil(made)
    assert.equal(2, diagnostics[1].line)
    assert.truthy(diagnostics[1].text:find('"/srv/link" leads to "/run/user/0"', 1, true))
  end)
end)

describe("narrowing a plan", function()
  local codex = plan.compile(assert(policy.load("codex")), language.host)

  it("copies it", function()
    local narrow = plan.narrow(codex, { network = "none", limits = { processes = 5 } })
    narrow.mounts[1].target = "/elsewhere"
    assert.equal("/proc", codex.mounts[1].target)
    assert.equal("list", codex.network.mode)
    assert.equal(4096, codex.limits.processes)
    assert.equal("none", narrow.network.mode)
  end)

  it("never widens", function()
    local narrow = plan.narrow(codex, { limits = { memory = 2 ^ 40, cpus = 2, disk = 2 ^ 20, processes = 9 },
      time = 1e9 })
    assert.equal(16 * 2 ^ 30, narrow.limits.memory)
    assert.equal(2, narrow.limits.cpus)
    assert.equal(4 * 3600, narrow.limits.time)
    assert.equal(2 ^ 20, narrow.storage.size)
    for _, row in ipairs(narrow.rlimits) do
      if row.name == "nproc" then assert.equal(9, row.hard) end
    end
  end)

  it("takes a limit that the policy leaves out from the step, and the smaller one of both", function()
    assert.equal(2 ^ 20, plan.narrow(codex, { limits = { disk_read = 2 ^ 20 } }).limits.disk_read)
    local slow = plan.compile(assert(language.policy(
      'return policy "x" { limits = { disk_write = 2 * MB / second, hold = "hard" } }')), language.host)
    assert.same({ 2 * 2 ^ 20, "hard" }, { slow.limits.disk_write, slow.limits.hold.disk_write })
    assert.equal(2 ^ 20, plan.narrow(slow, { limits = { disk_write = 2 ^ 20 } }).limits.disk_write)
    assert.equal(2 * 2 ^ 20, plan.narrow(slow, { limits = { disk_write = 2 ^ 30 } }).limits.disk_write)
    assert.is_nil(codex.limits.hold.disk_write)
  end)

  it("is refused where the state directory's filesystem can carry no files of a sandbox", function()
    local holding, disk = require "moonbox.holding", require "moonbox.disk"
    local kind = disk.kind
    finally(function() disk.kind = kind end)
    disk.kind = function() return "none", "no mke2fs; no overlay" end
    local groups = { cpu = { version = 2 }, memory = { version = 2 }, pids = { version = 2 } }
    local told = holding.refusals(codex, holding.levels(codex, groups))
    assert.equal(1, #told)
    assert.matches("^limit disk = 50 GB refused: the state directory's filesystem carries neither an image nor an overlay "
      .. "%(no mke2fs; no overlay%)", told[1])
  end)

  local names = require "moonbox.names"

  -- The rules of a step that narrows the network of policy text to `only` rows, { names…, ports = }, each.
  local function narrowed(text, ...)
    local p = plan.compile(assert(language.policy('return policy "x" { network = { ' .. text .. ' } }')), language.host)
    local rows = {}
    for i, only in ipairs { ... } do
      rows[i] = { names = {}, ports = only.ports, file = "p", line = i }
      for j, name in ipairs(only) do rows[i].names[j] = assert(names.parse(name)) end
    end
    return plan.narrow(p, { network = rows }).network
  end

  local function shown(network)
    local out = {}
    for i, rule in ipairs(network.rules) do
      local parts = {}
      for j, name in ipairs(rule.names) do parts[j] = name.name .. (name.port and ":" .. name.port or "") end
      out[i] = rule.word .. " " .. table.concat(parts, " ")
    end
    return table.concat(out, "; ")
  end

  it("keeps the policy's denials, ports and watching", function()
    local text = 'otherwise = "allow", deny { "bad.org" }, allow { "*.x.org", ports = { 443 }, watch = true }'
    local network = narrowed(text, { "a.x.org" })
    assert.equal("deny bad.org; allow a.x.org:443; allow a.x.org", shown(network))
    assert.is_true(network.rules[2].watch)
    assert.equal("deny", network.otherwise)
    assert.equal("list", network.mode)
    assert.equal("deny bad.org; allow other.org", shown(narrowed(text, { "other.org" })))
  end)

  it("keeps the policy's order", function()
    local text = 'allow { "a.x.org" }, deny { "*.x.org" }, allow { "b.x.org" }'
    assert.equal("allow a.x.org; deny *.x.org", shown(narrowed(text, { "a.x.org" })))
  end)

  it("keeps names of one row in one row, so that they share its budget", function()
    local text = 'allow { "api.x.org", bytes = 1 * MB }, allow { "*.x.org", "y.org", requests = 5 / second }'
    local network = narrowed(text, { "*.x.org", ports = { 80, 443 } }, { "y.org" })
    assert.equal("allow api.x.org:80 api.x.org:443; allow *.x.org:80 *.x.org:443 y.org", shown(network))
    assert.equal(2 ^ 20, network.rules[1].bytes)
    assert.same({ count = 5, seconds = 1 }, network.rules[2].requests)
  end)

  it("takes ports that both sides give", function()
    local text = 'allow { "x.org", ports = { 22, 443 } }'
    assert.equal("allow x.org:443", shown(narrowed(text, { "x.org", ports = { 443, 8080 } })))
    assert.equal("allow x.org:22", shown(narrowed(text, { "x.org:22" })))
    assert.equal("none", narrowed(text, { "x.org:80" }).mode)
  end)

  it("opens internal addresses where allow_internal does, by address or by a fixed name", function()
    local text = 'allow_internal { "10.1.2.3:5432", why = "db" }, hosts = { db = "10.1.2.3" }, publish { 80 }'
    assert.equal("allow_internal 10.1.2.3:5432", shown(narrowed(text, { "10.1.2.3" })))
    assert.equal("allow_internal 10.1.2.3:5432", shown(narrowed(text, { "db" })))
    assert.equal("none", narrowed(text, { "10.1.2.4" }).mode)
    assert.equal("none", narrowed(text, { "db:22" }).mode)
    assert.equal("none", narrowed('otherwise = "allow"', { "10.1.2.3" }).mode)
  end)

  it("has no network where nothing is named", function()
    local network = narrowed('allow { "x.org" }')
    assert.equal("none", network.mode)
    assert.same({}, network.rules)
  end)
end)
